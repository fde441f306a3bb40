"""Output that several commands share: the summary of a run, tables of text, and text files."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any


def print_summary(directory: Path, *, as_json: bool = False) -> None:
    """Prints the state of a run: a table for a terminal, or one JSON object."""
    from nas.config.stored_run import read_run
    from nas.report.summary import summarize
    from nas.report.terminal import terminal_summary

    run = read_run(directory)
    summary: dict[str, Any] = {
        "run": str(directory),
        **summarize(run.history, run.config, run.events),
        "config": run.settings,
    }
    print(json.dumps(summary) if as_json else terminal_summary(summary))


def aligned(rows: Sequence[Sequence[str]], *, left: Collection[str] = ()) -> str:
    """Rows of text, the first of them the headings, as lines with columns.

    Args:
        rows: as many cells in each.
        left: the headings of the columns that begin at the left; the others end at the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [str.ljust if heading in left else str.rjust for heading in rows[0]]
    return "\n".join(
        "  ".join(
            place(cell, width) for place, cell, width in zip(places, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def write_text(path: Path, text: str) -> None:
    """Writes the text to the file.

    Raises:
        ValueError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
