"""Output that several commands share: the summary of a run, and text files."""

from __future__ import annotations

import json
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


def write_text(path: Path, text: str) -> None:
    """Writes the text to the file.

    Raises:
        ValueError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
