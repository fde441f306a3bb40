"""The tables of a journal's file: their version, their columns, and what `meta` has to hold."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.record.journal_file import (
    FILE,
    JournalError,
)

FORMAT = 1
TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE events (number INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, "
    "body TEXT NOT NULL)",
)


def read_meta(directory: Path, connection: sqlite3.Connection) -> dict[str, str]:
    """The table `meta` by name.

    Raises:
        JournalError: the file is no journal, is damaged, or is of a newer format.
    """
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


def as_json(what: str, value: Mapping[str, Any]) -> str:
    """The value as JSON text; `what` names it in errors.

    Raises:
        ValueError: it is not JSON, or holds a number that is not finite.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must hold JSON values, with finite numbers: {error}; got {str(value)[:200]}"
        ) from error
