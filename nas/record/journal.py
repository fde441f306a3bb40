"""A run's journal: one SQLite file with every event in order, the only truth about the run.

    meta(name, value)                  the format's version, when the run was created, its configuration and environment, who writes
    events(number, time, kind, body)   appended, never changed; `body` is a JSON object (`nas.record.history` says what stands in it)

The file is in write-ahead-log mode: readers never wait for the writer, and what was appended before
a crash stays. There is one writer at a time: it holds an SQLite lock on the side file
`controller.lock`, which the operating system drops when the process ends in whatever way.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
FILE = "journal.sqlite"
LOCK = "controller.lock"

# Errors of a directory that the user can choose better.
_MISPLACED = (
    errno.EEXIST,
    errno.ENOTDIR,
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
)

_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE events (number INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, "
    "body TEXT NOT NULL)",
)


class JournalError(Exception):
    """A run directory that cannot be used as asked. The message is a sentence for the user.

    Attributes:
        exit_code: what a command ends with: 2 where the directory named is the wrong one, in use or
            damaged, 1 where the disk is full or cannot be written.
    """

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    Attributes:
        kind: one of `nas.record.history.KINDS`.
        body: JSON values by name.
        number: its place in the journal, from 1; 0 before it is appended.
        time: when it was appended, in seconds since the epoch.
    """

    kind: str
    body: Mapping[str, Any]
    number: int = 0
    time: float = 0.0


class Journal:
    """An open journal. Made by `create`, `open_for_writing` and `open_for_reading`; a context
    manager that closes it.
    """

    def __init__(
        self,
        directory: Path,
        connection: sqlite3.Connection,
        close: Callable[[], None],
        *,
        writable: bool,
    ) -> None:
        self.directory = directory
        self._connection = connection
        self._close = close
        self._writable = writable
        with _sentences(directory):
            meta = _read_meta(directory, connection)
            self.config: dict[str, Any] = json.loads(meta["config"])
            self.environment: dict[str, Any] = json.loads(meta["environment"])
        if not isinstance(self.config, dict) or not isinstance(self.environment, dict):
            raise JournalError(
                f"{directory / FILE} is damaged: the configuration and the environment should be "
                "JSON objects",
                2,
            )
        self.created = float(meta["created"])
        self.format = int(meta["format"])

    def append(self, events: Sequence[Event]) -> None:
        """Adds the events in one transaction: after an error none of them is there.

        Raises:
            ValueError: a body is not JSON (NaN and infinity are not), or the journal was opened for
                reading.
            JournalError: the disk is full, or the journal cannot be written.
        """
        if not self._writable:
            raise ValueError(
                f"the journal of {self.directory} is open for reading; open it with "
                "open_for_writing to append"
            )
        now = time.time()
        rows = [(now, event.kind, _to_json(event)) for event in events]
        with _sentences(self.directory), _transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO events (time, kind, body) VALUES (?, ?, ?)", rows
            )

    def events(self, after: int = 0) -> tuple[Event, ...]:
        """The events whose number is greater than `after`, in order. While another process writes,
        a later call gives more.

        Raises:
            JournalError: the journal is damaged.
        """
        with _sentences(self.directory):
            rows = self._connection.execute(
                "SELECT number, time, kind, body FROM events WHERE number > ? ORDER BY number",
                (after,),
            ).fetchall()
            return tuple(
                Event(kind, json.loads(body), number, when) for number, when, kind, body in rows
            )

    def close(self) -> None:
        """Closes the file, and gives the writer's lock back. Calling it twice is allowed."""
        self._close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def create(
    directory: str | Path, config: Mapping[str, Any], environment: Mapping[str, Any]
) -> Journal:
    """The empty journal of a new run, open for writing. The directory is made where it is missing.

    Args:
        directory: the run's.
        config: the whole configuration with its defaults, as JSON values.
        environment: versions, machine, commit: what a reader of the results needs to know, as JSON
            values.

    Raises:
        ValueError: `config` or `environment` is not JSON.
        JournalError: there is a run already, another process has the directory, or it cannot be
            written.
    """
    directory = Path(directory)
    meta = {
        "format": str(FORMAT),
        "created": repr(time.time()),
        "config": _json("the configuration", config),
        "environment": _json("the environment", environment),
    }
    with _sentences(directory):
        directory.mkdir(parents=True, exist_ok=True)

    def prepare(connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalError(
                f"{directory} holds a run already; go on with it by `nas resume {directory}`, or "
                "choose another directory",
                2,
            )
        connection.execute("PRAGMA journal_mode = WAL")
        # In one transaction, so that a creation cut short leaves an empty file, which the next one
        # may fill.
        with _transaction(connection):
            for table in _TABLES:
                connection.execute(table)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

    return _open_locked(directory, "rwc", prepare)


def open_for_writing(directory: str | Path) -> Journal:
    """The journal of an existing run, to read and append to.

    Raises:
        JournalError: the directory is not a run, was written by a newer version, is damaged, or
            another process writes to it.
    """
    directory = Path(directory)
    _check_exists(directory)
    return _open_locked(directory, "rw", lambda connection: None)


def open_for_reading(directory: str | Path) -> Journal:
    """The journal of an existing run, to read: also while another process writes to it, and from a
    read-only file system.

    Raises:
        JournalError: the directory is not a run, was written by a newer version, or is damaged.
    """
    directory = Path(directory)
    _check_exists(directory)
    with _sentences(directory):
        try:
            connection = _connect(directory / FILE, "ro")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            remove = None
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            # The log's index is a file beside the journal; where none can be made, a copy elsewhere
            # is read.
            connection, remove = _connect_to_copy(directory)

    def close() -> None:
        connection.close()
        if remove is not None:
            remove()

    return _opened(directory, connection, close, writable=False)


def _open_locked(
    directory: Path, mode: str, prepare: Callable[[sqlite3.Connection], None]
) -> Journal:
    lock = _lock(directory)
    connection: sqlite3.Connection | None = None

    def close() -> None:
        if connection is not None:
            connection.close()
        lock.close()

    try:
        with _sentences(directory):
            connection = _connect(directory / FILE, mode)
            connection.execute("PRAGMA synchronous = NORMAL")
            prepare(connection)
    except BaseException:
        close()
        raise
    journal = _opened(directory, connection, close, writable=True)
    try:
        with _sentences(directory), _transaction(connection):
            holder = json.dumps(
                {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            )
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('controller', ?)", (holder,))
    except BaseException:
        close()
        raise
    return journal


def _opened(
    directory: Path, connection: sqlite3.Connection, close: Callable[[], None], *, writable: bool
) -> Journal:
    try:
        return Journal(directory, connection, close, writable=writable)
    except BaseException:
        close()
        raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # Without an isolation level the transactions are the ones written here, none that the module
    # opens by itself.
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30.0, isolation_level=None
    )


def _connect_to_copy(directory: Path) -> tuple[sqlite3.Connection, Callable[[], None]]:
    copies = tempfile.mkdtemp(prefix="journal-")
    for path in directory.glob(f"{FILE}*"):
        if not path.name.endswith("-shm"):
            shutil.copyfile(path, Path(copies, path.name))
    return _connect(Path(copies, FILE), "rw"), lambda: shutil.rmtree(copies, ignore_errors=True)


def _lock(directory: Path) -> sqlite3.Connection:
    with _sentences(directory):
        lock = sqlite3.connect(directory / LOCK, timeout=0.0, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            lock.close()
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            raise JournalError(
                f"{_holder(directory)} is running the search in {directory}; wait for it or stop "
                "it first; reading works meanwhile",
                2,
            ) from None
    return lock


def _holder(directory: Path) -> str:
    unknown = "another process"
    with suppress(sqlite3.Error, json.JSONDecodeError, KeyError):
        connection = _connect(directory / FILE, "ro")
        try:
            row = connection.execute("SELECT value FROM meta WHERE name = 'controller'").fetchone()
        finally:
            connection.close()
        if row is not None:
            holder = json.loads(row[0])
            return f"{unknown} (pid {holder['pid']} on {holder['host']})"
    return unknown


def _check_exists(directory: Path) -> None:
    if not (directory / FILE).is_file():
        raise JournalError(
            f"{directory} is not a run: it has no file {FILE}. `nas search CONFIG` makes one", 2
        )


def _read_meta(directory: Path, connection: sqlite3.Connection) -> dict[str, str]:
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if not tables:
        raise JournalError(
            f"{directory} is not a run: its {FILE} is empty, the search ended before it began. "
            "`nas search CONFIG` begins anew",
            2,
        )
    if not {"meta", "events"} <= tables:
        raise JournalError(
            f"{directory / FILE} is not a journal: it has the tables "
            f"{', '.join(sorted(tables))}, expected meta and events",
            2,
        )
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    missing = {"format", "created", "config", "environment"} - set(meta)
    if missing or not meta["format"].isdecimal() or not _is_number(meta["created"]):
        lacking = ", ".join(sorted(missing)) or "numbers for the format and the time of creation"
        raise JournalError(f"{directory / FILE} is damaged: its table meta lacks {lacking}", 2)
    if int(meta["format"]) > FORMAT:
        raise JournalError(
            f"{directory} was written in journal format {meta['format']}, and this version reads "
            f"formats up to {FORMAT}: "
            "use the version of surrogate-nas that made the run, or a newer one (`pip install "
            "--upgrade surrogate-nas`)",
            2,
        )
    return meta


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # On a full disk SQLite may have rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _sentences(directory: Path) -> Iterator[None]:
    """Turns the errors of SQLite and of the file system into `JournalError`."""
    path = directory / FILE
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
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


def _code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _to_json(event: Event) -> str:
    return _json(f"the body of a {event.kind!r} event", event.body)


def _json(what: str, value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must hold JSON values, with finite numbers: {error}; got {str(value)[:200]}"
        ) from error
