"""The directory of an export: nothing is overwritten, and it appears only when complete."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.export.verify import ExportError


def check_free(out: Path) -> None:
    """Checks that an export may be written to `out`.

    Raises:
        ValueError: it is a file, or a directory that is not empty.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(
            f"{out} is a file; an export is a directory, so name another place with --out"
        )
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"{out} is not empty, and an export overwrites nothing; name another directory with "
            "--out, or remove this one"
        )


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A new directory beside `out`, which is renamed to `out` at the end.

    If the block raises an error, the directory is removed and `out` does not appear.

    Raises:
        ExportError: the disk is full, or the place cannot be written.
    """
    folder = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.unfinished")
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ExportError(
                f"the disk is full: {out} could not be written; free space and export again"
            ) from error
        raise ExportError(
            f"{out} could not be written ({error}); name another place with --out"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
