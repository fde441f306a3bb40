"""Output that several commands share: the summary of a run, tables of text, and text files."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.evaluators.recorded import RecordedTrainings


def print_summary(directory: Path, *, as_json: bool = False) -> None:
    """Prints the state of a run or recording: lines for a terminal, or one JSON object."""
    from nas.config.stored_run import TABLE, read_run
    from nas.report.summary import summarize
    from nas.report.terminal import terminal_summary

    run = read_run(directory, recordings=True)
    if run.is_recording:
        from nas.search.recording import recorded

        print_recorded(directory / TABLE, recorded(run.history, run.config, {}), as_json=as_json)
        return
    summary: dict[str, Any] = {
        "run": str(directory),
        **summarize(run.history, run.config, run.events),
        "config": run.settings,
    }
    print(json.dumps(summary) if as_json else terminal_summary(summary))


def print_recorded(path: Path, table: RecordedTrainings, *, as_json: bool = False) -> None:
    """Prints what a recording says of its space: a few lines for a terminal, or one JSON object."""
    summary = table.summary()
    if as_json:
        print(json.dumps({"table": str(path), **summary}))
        return
    print(
        f"{summary['architectures']:,} architectures, {summary['trainings']:,} trainings, "
        f"{summary['failed']:,} failed, {summary['left']:,} left"
    )
    if "between_architectures" in summary:
        print(
            f"validation scores: {summary['mean']:.4f} in the mean, a deviation of "
            f"{summary['between_architectures']:.4f} between architectures"
        )
    if "between_seeds" in summary:
        print(f"  and of {summary['between_seeds']:.4f} between trainings of one architecture")
    if "repeated_tau" in summary:
        tau = summary["repeated_tau"]
        print(f"  two trainings rank the architectures with a Kendall tau of {tau:.2f}")
    print(f"\nto search in it: evaluator: {{name: table, path: {path}}}")


def aligned(rows: Sequence[Sequence[str]], *, left: Collection[str] = ()) -> str:
    """Rows of text, the first of them the headings, as lines with columns.

    Args:
        rows: as many cells in each; what is not `printable` in them is escaped.
        left: the headings of the columns that begin at the left; the others end at the right.
    """
    rows = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    places = [str.ljust if heading in left else str.rjust for heading in rows[0]]
    return "\n".join(
        "  ".join(
            place(cell, width) for place, cell, width in zip(places, row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def printable(text: str) -> str:
    """The text on one line, with escapes for what could command a terminal.

    Names come from the user's modules and from files of others.

    >>> printable("a" + chr(27) + "[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def printable_lines(text: str) -> str:
    """The text with each of its lines `printable`."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def write_text(path: Path, text: str) -> None:
    """Writes the text to the file.

    Raises:
        ValueError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
