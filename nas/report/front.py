"""The front of a run in figures: the best trade-offs of each arm, and which arm covers more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nas.config.arms import BASELINE, SEARCH
from nas.objectives.fronts import box, covered, growth, members
from nas.objectives.objective import Objective
from nas.record.history import History
from nas.report.figures import counted, decimals_for, figure

# How many members of a front the terminal shows; they are spread evenly over it.
ROWS = 10
# Where better is.
ARROWS = {"maximise": "↑", "minimise": "↓"}


def front(
    seen: History, objectives: Sequence[Objective], arms: Sequence[str]
) -> dict[str, Any] | None:
    """The fronts of the arms, as JSON values; None with one objective.

    Args:
        seen: the feasible view of the run's history.
        objectives: at least two, else there is no front.
        arms: their names.

    Returns:
        `objectives`: each with `name` and `goal`.
        `worst`, `best`: the extreme values of each objective among the feasible trials of all
            arms; None while there are no such trials. `worst` is the reference point of the
            hypervolume.
        `arms` by name: `members` (`trial` and `values`, the best in the first objective first),
            `hypervolume` as a share of the box between worst and best, and its `growth`: pairs of
            a number of trials and a share.
        `verdict`: `ahead`, `level`, `behind` or None.
        `sentence`: the verdict in words.
    """
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
        steps = growth(arm, objectives, worst_K, best_K) if arm.trials else ()
        share = covered(chosen, objectives, worst_K, best_K) if chosen else None
        grown = [list(step) for step in steps]
        shown[name] = {"members": values, "hypervolume": share, "growth": grown}
    signs = [each.sign for each in objectives]
    described["worst"], described["best"] = (
        [sign * value for sign, value in zip(signs, ends, strict=True)]
        for ends in (worst_K.tolist(), best_K.tolist())
    )
    done = {name: len(seen.of_arm(name).trials) - len(seen.of_arm(name).pending) for name in arms}
    verdict, sentence = _judged(shown, done)
    return {**described, "arms": shown, "verdict": verdict, "sentence": sentence}


def terminal_front(summary: Mapping[str, Any]) -> Iterator[str]:
    """The fronts as lines of a table, with a row for each member; arrows show where better is."""
    shown = summary["front"]
    names = [f"{item['name']} {ARROWS[item['goal']]}" for item in shown["objectives"]]
    heads = ["front", "trial", *names]
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
    first_width, *widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for first, *others in (heads, *rows):
        right = [cell.rjust(width) for cell, width in zip(others, widths, strict=True)]
        yield "   ".join([first.ljust(first_width), *right])
    if more:
        yield f"(shown: {', '.join(more)}; `nas report` and --json have all)"


def columns(rows: Sequence[Sequence[float]]) -> list[list[str]]:
    """The values of each row as text.

    Whole numbers are grouped by thousands; others have the decimals that distinguish the values of
    their column.
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
    """At most `count` of the items, evenly spread, including the first and the last."""
    if len(items) <= count:
        return list(items)
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def _judged(arms: Mapping[str, Any], done: Mapping[str, int]) -> tuple[str | None, str]:
    """The verdict and its sentence; `done` is the number of ended trials of each arm."""
    ours, theirs = arms[SEARCH], arms.get(BASELINE)
    reference = "of the box between the worst and the best feasible values seen"
    if ours["hypervolume"] is None:
        said = "The search has no feasible trial, so it has no front"
        if theirs is None or theirs["hypervolume"] is None:
            return None, f"{said}."
        return None, f"{said}; {_held('random search', theirs)}."
    said = _held("The search", ours)
    if theirs is None:
        return None, f"{said} {reference}."
    if theirs["hypervolume"] is None:
        when = "yet" if done[BASELINE] < done[SEARCH] else "at the same budget"
        return None, f"{said} {reference}; random search has no feasible trial {when}."
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
