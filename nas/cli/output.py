"""What several commands print or write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def print_summary(directory: Path, *, as_json: bool = False) -> None:
    """Prints where a run stands: the table for a terminal, or one JSON object."""
    from nas.config.config import parse_config
    from nas.record.history import fold
    from nas.record.journal import open_for_reading
    from nas.report.summary import summarize, terminal_summary

    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        events = journal.events()
        summary: dict[str, Any] = {
            "run": str(directory),
            **summarize(fold(events), config, events),
            "config": journal.config,
        }
    print(json.dumps(summary) if as_json else terminal_summary(summary))


def write_text(path: Path, text: str) -> None:
    """The text in the file.

    Raises:
        ValueError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
