"""The SQLite file of a journal: opened, locked by its one writer, its errors as sentences."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILE = "journal.sqlite"
LOCK = "controller.lock"
# Errors of the operating system that another choice of the directory avoids.
_MISPLACED = (
    errno.EEXIST,
    errno.ENOTDIR,
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
)


class JournalError(Exception):
    """The run directory cannot be used in this way. The message is a sentence for the user.

    Attributes:
        exit_code: of a command: 2 if the directory is the wrong one, in use or damaged; 1 if the
            disk is full or cannot be written.
    """

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the file; `mode` as in SQLite's URIs: `ro`, `rw` or `rwc`."""
    # Without an isolation level the sqlite3 module opens no transactions by itself.
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30.0, isolation_level=None
    )


def connect_to_copy(directory: Path) -> tuple[sqlite3.Connection, Callable[[], None]]:
    """A connection to a copy of the journal in a temporary folder, and what removes the copy."""
    copies = tempfile.mkdtemp(prefix="journal-")
    for path in directory.glob(f"{FILE}*"):
        if not path.name.endswith("-shm"):
            shutil.copyfile(path, Path(copies, path.name))
    return connect(Path(copies, FILE), "rw"), lambda: shutil.rmtree(copies, ignore_errors=True)


def lock(directory: Path) -> sqlite3.Connection:
    """The writer's lock on the run's directory: held until the connection is closed.

    Raises:
        JournalError: another process holds it, or the directory cannot be used.
    """
    with journal_errors(directory):
        held = sqlite3.connect(directory / LOCK, timeout=0.0, isolation_level=None)
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            held.close()
            if error_code(error) != sqlite3.SQLITE_BUSY:
                raise
            raise JournalError(
                f"{_holder(directory)} is running the search in {directory}; wait for it or stop "
                "it first; reading works meanwhile",
                2,
            ) from None
    return held


def _holder(directory: Path) -> str:
    unknown = "another process"
    with suppress(sqlite3.Error, json.JSONDecodeError, KeyError):
        connection = connect(directory / FILE, "ro")
        try:
            row = connection.execute("SELECT value FROM meta WHERE name = 'controller'").fetchone()
        finally:
            connection.close()
        if row is not None:
            holder = json.loads(row[0])
            return f"{unknown} (pid {holder['pid']} on {holder['host']})"
    return unknown


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction: committed at the end, or rolled back after an error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite may have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def journal_errors(directory: Path) -> Iterator[None]:
    """Turns the errors of SQLite and of the file system into `JournalError`."""
    path = directory / FILE
    try:
        yield
    except sqlite3.Error as error:
        code = error_code(error)
        if code == sqlite3.SQLITE_FULL:
            raise _full(directory) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise JournalError(
                f"{path} is damaged or not a journal ({error}); restore it from a copy, or begin "
                "a new run in another directory",
                2,
            ) from error
        raise JournalError(
            f"{path} cannot be used ({error}); check that the directory can be read and written, "
            "and that the disk is well",
            1,
        ) from error
    except json.JSONDecodeError as error:
        raise JournalError(
            f"{path} is damaged: a text in it is not JSON ({error}); restore it from a copy", 2
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(directory) from error
        raise JournalError(
            f"{directory} cannot be used as a run's directory ({error})",
            2 if error.errno in _MISPLACED else 1,
        ) from error


def _full(directory: Path) -> JournalError:
    return JournalError(
        f"the disk is full: the journal of {directory} could not grow. What was there stays "
        f"readable; free space and `nas resume {directory}`",
        1,
    )


def error_code(error: sqlite3.Error) -> int | None:
    """SQLite\'s primary result code; None if the error has none."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
