"""A run's report: one HTML file to open anywhere, offline, without scripts; written at any moment
of a run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from nas.config.config import RunConfig, parse_config
from nas.objectives.constraints import feasible
from nas.record.history import History, fold
from nas.record.journal import Event, open_for_reading
from nas.report import front_section, sections
from nas.report.architectures import Drawable, architectures, drawable
from nas.report.markup import Html, card, element, joined, pair, section, table
from nas.report.outlook import outlook
from nas.report.style import STYLE
from nas.report.summary import headline, summarize
from spaces import SearchSpace


def write_report(
    directory: Path, out: Path | None = None, *, space: SearchSpace | None = None
) -> Path:
    """The report's file: `out`, or `report.html` in the run's directory. It replaces an older one.

    Args:
        directory: the run's, which may be going on meanwhile.
        out: the file to write.
        space: draws the architectures; needed for a space that is neither built in nor installed,
            else they are shown as tables.

    Raises:
        nas.record.journal.JournalError: the directory is no run, or its journal cannot be read.
        ValueError: the run's configuration is not one that this version knows, or the file cannot
            be written.
    """
    directory = Path(directory)
    out = directory / "report.html" if out is None else Path(out)
    if out.is_dir():
        raise ValueError(
            f"the report is one file, and {out} is a directory: name a file in it, such as "
            f"{out / 'report.html'}"
        )
    with open_for_reading(directory) as journal:
        events = journal.events()
        config = parse_config(journal.config, f"the configuration in {directory}")
        name, environment, begun = directory.resolve().name, journal.environment, journal.created
    last = events[-1].time if events else begun
    html = page(
        name,
        fold(events),
        config,
        environment,
        events=events,
        times=(begun, last),
        drawn=drawable(config, environment, space),
    )
    part = out.with_name(out.name + ".part")
    try:
        # Whole or not at all: a browser that reloads never sees half a page.
        part.write_text(html, encoding="utf-8")
        os.replace(part, out)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise ValueError(
            f"the report could not be written to {out}: {error}; name another file for it"
        ) from error
    return out


def page(
    name: str,
    history: History,
    config: RunConfig,
    environment: Mapping[str, Any],
    *,
    events: Sequence[Event] = (),
    times: tuple[float, float],
    drawn: Drawable,
) -> str:
    """The whole page. `events`: those of the history; `times`: when the run was created, and of its
    last event, in seconds since the epoch.
    """
    summary = summarize(history, config, events)
    seen = feasible(history, config.constraints)
    head = joined(
        element("title", f"{name}: architecture search"),
        Html(
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
            'initial-scale=1">'
        ),
        element("style", Html(STYLE)),
    )
    top = element(
        "header",
        element("p", _what(summary), style="eyebrow"),
        element("h1", name),
        element("p", _state(summary, times), style="state"),
        element("p", headline(summary).replace(" ± ", "\u00a0±\u00a0"), style="headline"),
        sections.tiles(summary),
    )
    body = element(
        "main",
        front_section.front(seen, summary),
        sections.finalists(summary),
        sections.search(seen, summary),
        sections.surrogate(history, summary),
        architectures(seen, summary, drawn),
        front_section.constraints(summary),
        sections.failures(history),
        _settings(config, environment),
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{top}{body}</body></html>\n'
    )


def _what(summary: Mapping[str, Any]) -> str:
    by = summary["strategy"] + (f" ({summary['predictor']})" if summary["predictor"] else "")
    return (
        f"Architecture search in {summary['space']}"
        + (f" for {summary['task']}" if summary["task"] else "")
        + f", by {by}, seed {summary['seed']}"
    )


def _state(summary: Mapping[str, Any], times: tuple[float, float]) -> str:
    begun, last = (time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment)) for moment in times)
    if summary["finished"] is not None:
        return f"Finished: {summary['finished']}. Begun {begun}, ended {last}."
    pending = sum(arm["pending"] for arm in summary["arms"].values())
    ahead = outlook(summary["forecast"], summary["decimals"])
    said = f" {ahead[0].upper()}{ahead[1:]}." if ahead else ""
    return (
        f"Not finished{f', {pending} pending' if pending else ''}. Begun {begun}; last event "
        f"{last}.{said}"
    )


def _settings(config: RunConfig, environment: Mapping[str, Any]) -> Html:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    rows = [
        [key.replace("_", " "), _plain(value)]
        for key, value in environment.items()
        if key not in ("seal", "data") and not isinstance(value, Mapping)
    ]
    groups = [(name, group) for name, group in environment.items() if isinstance(group, Mapping)]
    rows += [
        [inner if name == "packages" else f"{name}, {inner}", _plain(value)]
        for name, group in groups
        for inner, value in group.items()
    ]
    return section(
        "Settings",
        pair(
            card("Configuration", element("pre", text)),
            card("Environment", table(["", ""], rows, ["words", "words"])),
        ),
    )


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
