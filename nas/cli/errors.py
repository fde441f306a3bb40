"""How an error ends a command: its exit code, and the sentence that the user reads."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from nas.cli.output import printable_lines

# Exit codes: an error that the user can fix, and one of the engine or the machine.
USER, OURS = 2, 1

_OURS = ("nas", "spaces", "predictors")


@contextmanager
def sentences() -> Iterator[None]:
    """An expected error ends the command with its sentence and exit code, without a traceback.

    The exit codes are those of `exit_code`. An unexpected error is raised again. With
    NAS_TRACEBACK in the environment every error is.
    """
    try:
        yield
        # Flushed here, so that an error of writing gets a sentence too. At the interpreter's exit
        # it would not.
        print(end="", flush=True)
    except typer.Exit:
        raise
    except BrokenPipeError:
        # The reader of the output (`head`, say) has closed the pipe. That is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except SystemExit as error:
        line = user_line(error)
        if line is None:
            raise
        _print(_ended(error, line))
        raise typer.Exit(USER) from error
    except Exception as error:
        code = exit_code(error)
        if code is None or os.environ.get("NAS_TRACEBACK"):
            raise
        _print(sentence(error))
        raise typer.Exit(code) from error


def _print(message: str) -> None:
    print(f"error: {printable_lines(message)}", file=sys.stderr)


@contextmanager
def about(config: Path) -> Iterator[None]:
    """A `ConfigError` raised inside names the configuration file as well."""
    from nas.config.sections import ConfigError

    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from error


def exit_code(error: Exception) -> int | None:
    """The exit code after the error; None if it is unexpected, so that its traceback is shown.

    An attribute `exit_code` of the error decides. Otherwise the code is 1 for a failed run, a
    failed worker or a full disk, and 2 for an error in the user's own code and for a `ValueError`
    that does not come from a library.
    """
    from nas.executors import WorkerError, disk_full
    from nas.search.loop import RunFailed

    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    if isinstance(error, RunFailed | WorkerError) or disk_full(error):
        return OURS
    if user_line(error) is not None or (
        isinstance(error, ValueError) and not _raised_by_library(error)
    ):
        return USER
    return None


def sentence(error: Exception) -> str:
    """The message of the error; if it came through the user's own code, with the line there.

    The errors that it was raised from may have come through that code too, as that of an import.
    """
    line = _line_within(error) if getattr(error, "exit_code", None) is None else None
    if line is None:
        return str(error)
    message = str(error)
    if user_line(error) is not None and not _says_all(error):
        message = f"{type(error).__name__}: {error}"
    # The message may say itself where it was, as that of a module that cannot be traced.
    place = line.rpartition(", in ")[0]
    return message if f"{place}, in " in message else f"{message}\n  {_in_your_code(line)}"


def user_line(error: BaseException) -> str | None:
    """The last line of the user's own code that the error passed; None if it passed none.

    The user's own code is a space, a task, a metric or the like. It may have called torch or us,
    and torch may have called us again, as while a module is made without memory.
    """
    own = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _is_ours(frame.f_globals) and not _is_library(frame)
    ]
    if not own:
        return None
    frame, line = own[-1]
    return f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}"


def _line_within(error: BaseException) -> str | None:
    """The `user_line` of the error, or else of the errors that it was raised from."""
    at: BaseException | None = error
    while at is not None:
        if (line := user_line(at)) is not None:
            return line
        at = at.__cause__
    return None


def _says_all(error: Exception) -> bool:
    """Whether the message is a sentence without the name of the error's type."""
    return type(error) is ValueError or _is_ours({"__name__": type(error).__module__})


def _ended(error: SystemExit, line: str) -> str:
    """The sentence on the user's own code that ended the program."""
    code = "" if error.code is None else repr(error.code)
    return (
        f"sys.exit({code}) was called, which would end the command without a result: raise an "
        "error instead, or call it and all that reads the command line only under "
        f'`if __name__ == "__main__":`\n  {_in_your_code(line)}'
    )


def _in_your_code(line: str) -> str:
    return f"in your code, {line}\n  (NAS_TRACEBACK=1 shows the whole way to it)"


def _raised_by_library(error: Exception) -> bool:
    """Whether another package raised the error.

    Its message is then not written for our users, and the traceback helps more.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and not _is_ours(frames[-1].f_globals) and _is_library(frames[-1])


def _is_ours(names: dict[str, Any]) -> bool:
    return names.get("__name__", "").partition(".")[0] in _OURS


def _is_library(frame: FrameType) -> bool:
    # Imported here, for `nas --help` does without it.
    import sysconfig

    file = frame.f_code.co_filename
    return (
        "site-packages" in file
        or file.startswith((sysconfig.get_path("stdlib"), "<"))
        or frame.f_globals.get("__name__") == "__main__"
    )
