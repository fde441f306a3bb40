"""Which errors are the user's to mend, and which are ours or the machine's."""

from __future__ import annotations

USER, OURS = 2, 1


def exit_code(error: Exception) -> int | None:
    """What a command ends with after the error; None for one that nobody foresaw, whose traceback is shown."""
    from nas.executors import WorkerError
    from nas.journal import JournalError
    from nas.run import RunFailed

    if isinstance(error, JournalError):
        return error.exit_code
    if isinstance(error, RunFailed | WorkerError):
        return OURS
    if isinstance(error, ValueError):
        return USER
    return None
