"""A run's journal: one SQLite file with every event in order, the only truth about the run.

    meta(name, value)                  the format's version, when the run was created, its
                                       configuration and environment, who writes
    events(number, time, kind, body)   appended, never changed; `body` is a JSON object
                                       (`nas.record.events` lists the kinds)

The file is in write-ahead-log mode: readers never wait for the writer, and what was appended before
a crash stays. There is one writer at a time: it holds an SQLite lock on the side file
`controller.lock`, which the operating system releases however the process ends.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.record.journal_file import (
    FILE,
    JournalError,
    connect,
    connect_to_copy,
    error_code,
    journal_errors,
    lock,
    transaction,
)
from nas.record.journal_tables import FORMAT, TABLES, as_json, read_meta


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    Attributes:
        kind: one of `nas.record.folding.KINDS`.
        body: JSON values by name.
        number: its place in the journal, from 1; 0 before it is appended.
        time: when it was appended, in seconds since the epoch.
    """

    kind: str
    body: Mapping[str, Any]
    number: int = 0
    time: float = 0.0


class Journal:
    """An open journal, and a context manager that closes it.

    Made by `create`, `open_for_writing` and `open_for_reading`.

    Attributes:
        directory: the run's.
        config: the run's whole configuration, as JSON values.
        environment: versions, machine and data, as JSON values.
        created: when the run was begun, in seconds since the epoch.
        format: the version of the journal's format.
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
        with journal_errors(directory):
            meta = read_meta(directory, connection)
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
        with journal_errors(self.directory), transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO events (time, kind, body) VALUES (?, ?, ?)", rows
            )

    def events(self, after: int = 0) -> tuple[Event, ...]:
        """The events whose number is greater than `after`, in order.

        While another process writes, a later call gives more.

        Raises:
            JournalError: the journal is damaged.
        """
        with journal_errors(self.directory):
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
    """The empty journal of a new run, open for writing. A missing directory is made.

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
        "config": as_json("the configuration", config),
        "environment": as_json("the environment", environment),
    }
    with journal_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)

    def prepare(connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise JournalError(
                f"{directory} holds a run already; go on with it by `nas resume {directory}`, or "
                "choose another directory",
                2,
            )
        connection.execute("PRAGMA journal_mode = WAL")
        # In one transaction: a creation that is cut short leaves an empty file, which the next
        # creation may fill.
        with transaction(connection):
            for table in TABLES:
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
    """The journal of an existing run, to read.

    This works while another process writes to it, and on a read-only file system.

    Raises:
        JournalError: the directory is not a run, was written by a newer version, or is damaged.
    """
    directory = Path(directory)
    _check_exists(directory)
    with journal_errors(directory):
        try:
            connection = connect(directory / FILE, "ro")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            remove = None
        except sqlite3.OperationalError as error:
            if error_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            # SQLite needs a file for the log's index beside the journal. If it cannot be made, a
            # copy of the journal is read.
            connection, remove = connect_to_copy(directory)

    def close() -> None:
        connection.close()
        if remove is not None:
            remove()

    return _opened(directory, connection, close, writable=False)


def _open_locked(
    directory: Path, mode: str, prepare: Callable[[sqlite3.Connection], None]
) -> Journal:
    held = lock(directory)
    connection: sqlite3.Connection | None = None

    def close() -> None:
        if connection is not None:
            connection.close()
        held.close()

    try:
        with journal_errors(directory):
            connection = connect(directory / FILE, mode)
            connection.execute("PRAGMA synchronous = NORMAL")
            prepare(connection)
    except BaseException:
        close()
        raise
    journal = _opened(directory, connection, close, writable=True)
    try:
        with journal_errors(directory), transaction(connection):
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


def _check_exists(directory: Path) -> None:
    if not (directory / FILE).is_file():
        raise JournalError(
            f"{directory} is not a run: it has no file {FILE}. `nas search CONFIG` makes one", 2
        )


def _to_json(event: Event) -> str:
    return as_json(f"the body of a {event.kind!r} event", event.body)
