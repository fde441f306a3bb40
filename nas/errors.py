"""Which errors are the user's to mend, and which are ours or the machine's."""

from __future__ import annotations

import sysconfig

USER, OURS = 2, 1


def exit_code(error: Exception) -> int | None:
    """What a command ends with after the error; None for one that nobody foresaw, whose traceback is shown."""
    from nas.executors import WorkerError
    from nas.run import RunFailed

    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    if isinstance(error, RunFailed | WorkerError):
        return OURS
    if isinstance(error, ValueError) and not _raised_by_library(error):
        return USER
    return None


def _raised_by_library(error: Exception) -> bool:
    """Whether the error comes out of other packages' code: then nobody has made a sentence of it, and the traceback says more."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in ("nas", "spaces", "predictors"):
        return False
    file = trace.tb_frame.f_code.co_filename
    return "site-packages" in file or file.startswith((sysconfig.get_path("stdlib"), "<frozen"))
