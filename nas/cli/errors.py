"""How an error ends a command: which are the user's to mend and which ours or the machine's, and
how each is said.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

USER, OURS = 2, 1

_OURS = ("nas", "spaces", "predictors")


@contextmanager
def sentences() -> Iterator[None]:
    """Errors that have a sentence are shown as that sentence: exit code 2 where the user can mend
    it, 1 where it is ours or the machine's.
    """
    try:
        yield
        # Here, and not at the interpreter's end, where an error of what was printed would have no
        # sentence.
        print(end="", flush=True)
    except typer.Exit:
        raise
    except BrokenPipeError:
        # Whoever read the output (head, say) has seen enough.
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
    """What is found wrong with a configuration after it was read is said with its file's name too."""
    from nas.config.config import ConfigError

    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{config}: {error}") from error


def exit_code(error: Exception) -> int | None:
    """What a command ends with after the error; None for one that nobody foresaw, whose traceback
    is shown.
    """
    from nas.executors import WorkerError, disk_full
    from nas.search.run import RunFailed

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
    """The error as the user reads it: its own sentence, or the error of the user's own code with
    the line it came from.
    """
    line = user_line(error) if getattr(error, "exit_code", None) is None else None
    if line is None:
        return str(error)
    said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
    return f"{said}\n  in your code, {line}\n  (NAS_TRACEBACK=1 shows the whole way to it)"


def user_line(error: Exception) -> str | None:
    """The last line of the user's own code (a space, a task, a metric) that the error passed
    through; None where our own code raised it.
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
    """Whether the error comes out of other packages' code: then nobody has made a sentence of it,
    and the traceback says more.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and not _is_ours(frames[-1].f_globals) and _is_library(frames[-1])


def _is_ours(names: dict[str, Any]) -> bool:
    return names.get("__name__", "").partition(".")[0] in _OURS


def _is_library(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return (
        "site-packages" in file
        or file.startswith((sysconfig.get_path("stdlib"), "<"))
        or frame.f_globals.get("__name__") == "__main__"
    )
