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
    except Exception as error:
        code = exit_code(error)
        if code is None or os.environ.get("NAS_TRACEBACK"):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        raise typer.Exit(code) from error


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
    """The message of the error; if the user's own code raised it, with the line that raised it."""
    line = user_line(error) if getattr(error, "exit_code", None) is None else None
    if line is None:
        return str(error)
    message = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return f"{message}\n  in your code, {line}\n  (NAS_TRACEBACK=1 shows the whole way to it)"


def user_line(error: Exception) -> str | None:
    """The last line of the user's own code that the error passed; None if our code raised it.

    The user's own code is a space, a task, a metric or the like. The result is also None if no
    code of the user was involved.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or _is_ours(frames[-1].f_globals):
        return None
    own = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not _is_ours(frame.f_globals) and not _is_library(frame)
    ]
    if not own:
        return None
    frame, line = own[-1]
    return f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}"


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
