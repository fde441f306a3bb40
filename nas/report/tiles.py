"""The report's tiles: the main figures of a run, shown at the top of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.config.arms import SEARCH
from nas.report.arm_figures import has_partial_trainings
from nas.report.arms import arm_style
from nas.report.figures import amount, counted, duration, figure, percent, with_spread
from nas.report.markup import Html, element, joined
from nas.report.verdict import winning


def tiles(summary: Mapping[str, Any]) -> Html:
    """The figures that a reader wants first: scores, front, evaluations, surrogate, time."""
    pooled = summary["surrogate"]["pooled"]
    shown = [_arm_tile(name, arm, summary["decimals"]) for name, arm in summary["arms"].items()]
    if summary["front"]:
        shown.append(_front_tile(summary["front"]))
    shown.append(_evaluated_tile(summary))
    if pooled["predicted"]:
        results = counted(pooled["predicted"], "result")
        correlation = figure(pooled["rank_correlation"], 2)
        shown.append(_tile("surrogate ranks", correlation, f"correlation, {results}"))
        shown.append(_tile("in 90 % intervals", percent(pooled["coverage_90"]), "of the results"))
    if summary["seconds"]:
        shown.append(_tile("evaluation time", duration(summary["seconds"]), "with full trainings"))
    return element("div", *shown, style="tiles")


def _arm_tile(name: str, arm: Mapping[str, Any], decimals: int) -> Html:
    what, won, best = "search" if name == SEARCH else f"{name} search", winning(arm), arm["best"]
    if won is not None:
        return _tile(
            f"{what}, test",
            _large(won["test"], decimals),
            f"trial {won['trial']}, {counted(won['test']['seeds'], 'seed')}",
            arm_style(name),
        )
    if best is not None:
        return _tile(
            f"{what}, validation",
            figure(best["validation"], decimals),
            f"the best, trial {best['trial']}",
            arm_style(name),
        )
    return _tile(f"{what}, validation", "–", "nothing evaluated yet", arm_style(name))


def _front_tile(front: Mapping[str, Any]) -> Html:
    shares = {
        name: f"{figure(100 * arm['hypervolume'], 1)} %"
        for name, arm in front["arms"].items()
        if arm["hypervolume"] is not None
    }
    others = "; ".join(f"{name} {share}" for name, share in shares.items() if name != SEARCH)
    return _tile(
        "front, hypervolume",
        shares.get(SEARCH, "–"),
        others or "of the box of values",
        arm_style(SEARCH),
    )


def _evaluated_tile(summary: Mapping[str, Any]) -> Html:
    arms = summary["arms"].values()
    evaluated = " + ".join(
        amount(arm["spent"]) if has_partial_trainings(arm) else str(arm["evaluated"])
        for arm in arms
    )
    failed = sum(arm["failed"] for arm in arms)
    each = " each" if len(arms) > 1 else ""
    broken = f", {len(summary['infeasible'])} infeasible" if summary["infeasible"] else ""
    return _tile(
        "evaluated", evaluated, f"of {summary['budget']}{each}; {failed or 'none'} failed{broken}"
    )


def _large(statistics: Mapping[str, Any], decimals: int) -> Html:
    """The mean, with the standard deviation smaller beside it."""
    mean, _, deviation = with_spread(statistics, decimals).partition(" ± ")
    return joined(mean, element("span", f" ± {deviation}", style="spread") if deviation else "")


def _tile(what: str, much: str, more: str, style: str = "") -> Html:
    parts = [
        element("div", what, style="what"),
        element("div", much, style=f"much {style}".strip()),
        element("div", more, style="more"),
    ]
    return element("div", *parts, style="tile")
