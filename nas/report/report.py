"""A run's report is one HTML file without scripts, which can be opened offline.

It can be written at any moment of a run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from nas.config.sections import RunConfig
from nas.config.stored_run import read_run
from nas.objectives.constraints import feasible
from nas.record.history import History
from nas.record.journal import Event
from nas.report import front_section
from nas.report.architectures import Drawable, architectures, drawable
from nas.report.conclusion import headline
from nas.report.failures_section import failures
from nas.report.finalists_section import finalists
from nas.report.markup import Html, card, element, joined, pair, section, table
from nas.report.outlook import outlook
from nas.report.search_section import search
from nas.report.style import style_sheet
from nas.report.summary import summarize
from nas.report.surrogate_section import surrogate
from nas.report.tiles import tiles
from spaces import SearchSpace


def write_report(
    directory: Path, out: Path | None = None, *, space: SearchSpace | None = None
) -> Path:
    """The path of the written report: `out`, or `report.html` in the run's directory.

    An older report is replaced. An example: `write_report(Path("runs/digits"))`.

    Args:
        directory: of the run, which may still be going on.
        out: the file to write.
        space: with which the architectures are drawn. It is needed only for a space that is neither
            built in nor installed; without it, that space's architectures are shown as tables.

    Raises:
        nas.record.journal.JournalError: the directory is not a run, or its journal cannot be read.
        ValueError: this version does not know the run's configuration, or the file cannot be
            written.
    """
    directory = Path(directory)
    out = directory / "report.html" if out is None else Path(out)
    if out.is_dir():
        raise ValueError(
            f"the report is one file, and {out} is a directory: name a file in it, such as "
            f"{out / 'report.html'}"
        )
    run = read_run(directory)
    events, begun = run.events, run.created
    last = events[-1].time if events else begun
    html = page(
        directory.resolve().name,
        run.history,
        run.config,
        run.environment,
        events=events,
        times=(begun, last),
        drawn=drawable(run.config.space, run.environment, space),
    )
    part = out.with_name(out.name + ".part")
    try:
        # The page is renamed into place, so a browser that reloads never shows half of it.
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
    """The whole page, as HTML.

    Args:
        name: of the run; the heading.
        history, config, environment: of the run.
        events: those from which the history was folded.
        times: of the run's creation and of its last event, in seconds since the epoch.
        drawn: the space with which the architectures are drawn.
    """
    summary = summarize(history, config, events)
    seen = feasible(history, config.constraints)
    head = joined(
        element("title", f"{name}: architecture search"),
        Html(
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
            'initial-scale=1">'
        ),
        element("style", Html(style_sheet())),
    )
    top = element(
        "header",
        element("p", _what(summary), style="eyebrow"),
        element("h1", name),
        element("p", _state(summary, times), style="state"),
        element("p", headline(summary).replace(" ± ", "\u00a0±\u00a0"), style="headline"),
        tiles(summary),
    )
    body = element(
        "main",
        front_section.front(seen, summary),
        finalists(summary),
        search(seen, summary),
        surrogate(history, summary),
        architectures(seen, summary, drawn),
        front_section.constraints(summary),
        failures(history),
        _settings(config, environment),
    )
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{top}{body}</body></html>\n'
    )


def _what(summary: Mapping[str, Any]) -> str:
    by = summary["strategy"] + (f" ({summary['predictor']})" if summary["predictor"] else "")
    task = f" for {summary['task']}" if summary["task"] else ""
    return f"Architecture search in {summary['space']}{task}, by {by}, seed {summary['seed']}"


def _state(summary: Mapping[str, Any], times: tuple[float, float]) -> str:
    begun, last = (time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment)) for moment in times)
    if summary["finished"] is not None:
        return f"Finished: {summary['finished']}. Begun {begun}, ended {last}."
    pending = sum(arm["pending"] for arm in summary["arms"].values())
    ahead = outlook(summary["forecast"], summary["decimals"])
    said = f" {ahead[0].upper()}{ahead[1:]}." if ahead else ""
    waiting = f", {pending} pending" if pending else ""
    return f"Not finished{waiting}. Begun {begun}; last event {last}.{said}"


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
