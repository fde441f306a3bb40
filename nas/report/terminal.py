"""A run's summary as plain text for the terminal: figures by arm, notes, and the headline."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nas.report.arm_figures import has_partial_trainings
from nas.report.conclusion import headline
from nas.report.figures import (
    amount,
    at_fidelity,
    counted,
    duration,
    figure,
    percent,
    with_spread,
)
from nas.report.front import terminal_front
from nas.report.outlook import outlook
from nas.report.verdict import winning


def terminal_summary(summary: Mapping[str, Any]) -> str:
    """The summary as text: a column for each arm, notes, the fronts, and the headline."""
    rows = [("", *summary["arms"]), *_rows(summary)]
    first_width, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = []
    for label, *cells in rows:
        right = [cell.rjust(max(width, 12)) for cell, width in zip(cells, widths, strict=True)]
        table.append("   ".join([label.ljust(first_width), *right]))
    rule = "─" * len(table[0])
    fronts = ["", *terminal_front(summary)] if summary["front"] else []
    conclusion = ["", *textwrap.wrap(headline(summary), 100)]
    lines = [table[0], rule, *table[1:], rule, *_notes(summary), *fronts, *conclusion]
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    arms, decimals = summary["arms"].values(), summary["decimals"]
    budget = f" of {summary['budget']}"

    def row(label: str, cell: Callable[[Mapping[str, Any]], str]) -> tuple[str, ...]:
        return (label, *map(cell, arms))

    def best(arm: Mapping[str, Any]) -> str:
        trial = arm["best"]
        return f"{trial['trial']}{at_fidelity(trial['fidelity'])}" if trial else "–"

    def won(arm: Mapping[str, Any], part: str) -> str:
        return with_spread((winning(arm) or {}).get(part), decimals)

    if any(map(has_partial_trainings, arms)):
        yield row("evaluated", lambda arm: str(arm["evaluated"]))
        yield row("  in whole ones", lambda arm: amount(arm["spent"]) + budget)
    else:
        yield row("evaluated", lambda arm: str(arm["evaluated"]) + budget)
    yield row("failed", lambda arm: str(arm["failed"]))
    if summary["constraints"]:
        yield row("infeasible", lambda arm: str(arm["infeasible"]))
    yield row(
        "best validation", lambda arm: figure(arm["best"] and arm["best"]["validation"], decimals)
    )
    yield row("  trial", best)
    if any(arm["winner"] is not None for arm in arms):
        yield row("winner: trial", lambda arm: str(arm["winner"]) if winning(arm) else "–")
        yield row("  validation", lambda arm: won(arm, "validation"))
        yield row("  test", lambda arm: won(arm, "test"))


def _notes(summary: Mapping[str, Any]) -> Iterator[str]:
    pooled = summary["surrogate"]["pooled"]
    if pooled["predicted"]:
        inside = (
            f"{percent(pooled['coverage_90'])} of {counted(pooled['predicted'], 'result')} inside "
            "its 90 % intervals"
        )
        yield f"surrogate   rank correlation {figure(pooled['rank_correlation'], 2)}, {inside}"
    if summary["transfer"] is not None:
        yield from _under("transfer    ", summary["transfer"]["sentence"])
    if summary["failures"]:
        kinds = ", ".join(f"{item['count']} {item['kind']}" for item in summary["failures"])
        yield f"failures    {kinds}"
    if summary["constraints"]:
        yield f"kept        {', '.join(summary['constraints'])}"
    if summary["infeasible"]:
        first, others = summary["infeasible"][0], len(summary["infeasible"]) - 1
        more = f", and {counted(others, 'other')}" if others else ""
        yield f"infeasible  trial {first['trial']} {first['reason']}{more}"
    if summary["forecast"] is not None:
        ahead = outlook(summary["forecast"], summary["decimals"])
        if ahead:
            yield from _under("forecast    ", ahead)
    state = "not finished" if summary["finished"] is None else f"finished: {summary['finished']}"
    spent = f"; {duration(summary['seconds'])} of evaluation" if summary["seconds"] else ""
    yield f"state       {state}{spent}"


def _under(label: str, text: str) -> Iterator[str]:
    """The text in lines of at most 100 characters, with the label before the first line."""
    for place, line in enumerate(textwrap.wrap(text, 100 - len(label))):
        yield (label if place == 0 else " " * len(label)) + line
