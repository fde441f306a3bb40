"""The front of a run in figures: the best trade-offs of each arm, how much they cover, and which
arm's cover more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas.config.config import RunConfig
from nas.record.arms import BASELINE, SEARCH
from nas.record.history import History
from nas.report.figures import counted, decimals_for, figure
from nas.search.finalists import box, covered, growth, members

# So many members of a front are shown in the terminal, spread evenly over it.
ROWS = 10
ARROWS = {"maximise": "↑", "minimise": "↓"}


def front(seen: History, config: RunConfig, arms: Sequence[str]) -> dict[str, Any] | None:
    """The fronts of the arms, JSON values throughout; None where there is one objective.

    Args:
        seen: the feasible view of the run's history.

    Returns:
        `objectives` with `name` and `goal`; `worst` (the reference of the hypervolume) and `best`:
        of each objective the extreme values among the feasible trials of all arms (None while there
        are none); `arms` by name: `members` (`trial` and `values`, the best in the first objective
        first), `hypervolume` as a share of the box between worst and best, and its `growth`, pairs
        of a number of trials and a share; `verdict` (`ahead`, `level`, `behind` or None) and the
        `sentence` that says so.
    """
    objectives = config.objectives
    if len(objectives) < 2:
        return None
    described = {
        "objectives": [{"name": each.name, "goal": each.goal} for each in objectives],
        "worst": None,
        "best": None,
    }
    if not seen.observed:
        empty = {name: {"members": [], "hypervolume": None, "growth": []} for name in arms}
        return {
            **described,
            "arms": empty,
            "verdict": None,
            "sentence": "No feasible trial has been evaluated yet, so there is no front.",
        }
    worst_K, best_K = box(seen.observed, objectives)
    shown: dict[str, Any] = {}
    for name in arms:
        arm = seen.of_arm(name)
        chosen = members(arm.observed, objectives)
        values = [
            {"trial": trial.number, "values": [each.sign * each.of(trial) for each in objectives]}
            for trial in chosen
        ]
        steps = (
            [list(step) for step in growth(arm, objectives, worst_K, best_K)] if arm.trials else []
        )
        share = covered(chosen, objectives, worst_K, best_K) if chosen else None
        shown[name] = {"members": values, "hypervolume": share, "growth": steps}
    signs = [each.sign for each in objectives]
    described["worst"], described["best"] = (
        [sign * value for sign, value in zip(signs, ends, strict=True)]
        for ends in (worst_K.tolist(), best_K.tolist())
    )
    done = {name: len(seen.of_arm(name).trials) - len(seen.of_arm(name).pending) for name in arms}
    verdict, sentence = _judged(shown, done)
    return {**described, "arms": shown, "verdict": verdict, "sentence": sentence}


def terminal_front(summary: Mapping[str, Any]) -> Iterator[str]:
    """The fronts as lines of a table: a row a member, an arrow at each objective's name for where
    better is.
    """
    shown = summary["front"]
    heads = [
        "front",
        "trial",
        *(f"{item['name']} {ARROWS[item['goal']]}" for item in shown["objectives"]),
    ]
    rows, more = list[list[str]](), list[str]()
    for name, arm in shown["arms"].items():
        chosen = spaced(arm["members"], ROWS)
        cells = columns([item["values"] for item in chosen])
        rows += [
            [name if place == 0 else "", str(item["trial"]), *cells[place]]
            for place, item in enumerate(chosen)
        ]
        if len(chosen) < len(arm["members"]):
            more.append(f"{len(chosen)} of the {len(arm['members'])} of {name}")
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        yield "   ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
    if more:
        yield f"(shown: {', '.join(more)}; `nas report` and --json have all)"


def columns(rows: Sequence[Sequence[float]]) -> list[list[str]]:
    """The values of each row as people read them: whole numbers grouped, others with the decimals
    that tell their column apart.
    """
    by_column = []
    for column in zip(*rows, strict=True):
        whole = all(float(value).is_integer() for value in column) and max(map(abs, column)) < 1e15
        decimals = decimals_for(column)
        by_column.append(
            [
                f"{int(value):,}".replace("-", "−") if whole else figure(value, decimals)
                for value in column
            ]
        )
    return [list(row) for row in zip(*by_column, strict=True)]


def spaced(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def _judged(arms: Mapping[str, Any], done: Mapping[str, int]) -> tuple[str | None, str]:
    ours, theirs = arms[SEARCH], arms.get(BASELINE)
    reference = "of the box between the worst and the best feasible values seen"
    if ours["hypervolume"] is None:
        said = "The search has no feasible trial, so it has no front"
        return None, said + (
            "."
            if theirs is None or theirs["hypervolume"] is None
            else f"; {_held('random search', theirs)}."
        )
    said = _held("The search", ours)
    if theirs is None:
        return None, f"{said} {reference}."
    if theirs["hypervolume"] is None:
        return (
            None,
            f"{said} {reference}; random search has no feasible trial "
            f"{'yet' if done[BASELINE] < done[SEARCH] else 'at the same budget'}.",
        )
    said = f"{said}, {_held('random search', theirs)}"
    if done[BASELINE] < done[SEARCH]:
        return None, f"{said} so far, {reference}."
    said = f"{said} at the same budget, {reference}."
    difference = ours["hypervolume"] - theirs["hypervolume"]
    if difference > 1e-9:
        return (
            "ahead",
            f"{said} The search covers more; one search of each says nothing about the spread.",
        )
    if difference < -1e-9:
        return "behind", f"{said} Random search covers more."
    return "level", f"{said} Random search was as good."


def _held(who: str, arm: Mapping[str, Any]) -> str:
    return (
        f"{who}'s front of {counted(len(arm['members']), 'network')} covers "
        f"{100 * arm['hypervolume']:.1f} %"
    )
