"""The report's sections on the front and on the trials that break a constraint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nas.config.arms import SEARCH
from nas.objectives.objective import Objective
from nas.record.history import History
from nas.record.trials import Trial
from nas.report.arms import arm_name, arm_style
from nas.report.figures import figure, with_spread
from nas.report.front import ARROWS, columns
from nas.report.front_charts import Axis, Cloud, trade_off
from nas.report.line_charts import Series, best_so_far
from nas.report.markup import Html, card, details, element, how, pair, section, table

# A table with more rows than this is folded.
ROWS = 12
# How objectives are called in headings and at axes.
NAMES = {
    "latency": "latency, ms",
    "memory": "memory, bytes",
    "seconds": "seconds",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "score": "validation score",
}


def front(seen: History, summary: Mapping[str, Any]) -> Html:
    """The trade-offs of both arms as charts, the growth of the covered share, and all figures.

    Args:
        seen: the feasible view of the run's history.
        summary: of the run.
    """
    if summary["front"] is None:
        return Html("")
    if not seen.observed:
        return section("Front", element("p", summary["front"]["sentence"]))
    objectives = [Objective(item["name"], item["goal"]) for item in summary["front"]["objectives"]]
    shown = []
    for place, (across, up) in enumerate(_pairs(objectives)):
        title = f"{_named(objectives[up].name).capitalize()} and {_named(objectives[across].name)}"
        chart = _trade_off(seen, summary, objectives, across, up)
        reading = [] if place else [how(_reading(len(objectives)))]
        shown.append(card(title, chart, *reading))
    reading = how(
        "The share of the box between the worst and the best feasible value of each objective, "
        "over both arms, that the front dominates, after each of an arm's trials."
    )
    shown.append(card("Hypervolume", _growth(seen, summary), reading))
    return section("Front", pair(*shown), _listing(summary, objectives))


def constraints(summary: Mapping[str, Any]) -> Html:
    """The evaluated trials that break a constraint, with the reasons; empty if there are none."""
    if not summary["infeasible"]:
        return Html("")
    rows = [
        [arm_name(item["arm"]), str(item["trial"]), item["reason"]]
        for item in summary["infeasible"]
    ]
    listing = table(["arm", "trial", "what it breaks"], rows, ["", "figure", "words"])
    reading = how(
        "They were evaluated, and count in the budget; none is the best, a finalist, or on the "
        "front."
    )
    folded = _folded(listing, len(rows), f"{len(rows)} trials")
    return section("Broken constraints", card(", ".join(summary["constraints"]), folded, reading))


def _pairs(objectives: Sequence[Objective]) -> list[tuple[int, int]]:
    """The objectives (horizontal, vertical) of each chart, by number.

    All pairs of up to three objectives are drawn, and those with the first one of more. A minimised
    objective, which is a cost, is horizontal.
    """
    if len(objectives) <= 3:
        pairs = list(combinations(range(len(objectives)), 2))
    else:
        pairs = [(0, other) for other in range(1, len(objectives))]
    return [(two, one) if objectives[one].goal == "maximise" else (one, two) for one, two in pairs]


def _trade_off(
    seen: History, summary: Mapping[str, Any], objectives: Sequence[Objective], across: int, up: int
) -> Html:
    """The chart of two objectives, which are given by number."""
    x, y = objectives[across], objectives[up]
    clouds = []
    for name, arm in summary["front"]["arms"].items():
        best = {item["trial"] for item in arm["members"]}
        points = [
            (trial.number, (x.sign * x.of(trial), y.sign * y.of(trial), _title(trial, objectives)))
            for trial in seen.of_arm(name).observed
        ]
        on_front = tuple(point for number, point in points if number in best)
        others = tuple(point for number, point in points if number not in best)
        clouds.append(Cloud(name, arm_style(name), on_front, others))
    description = f"{y.name} over {x.name} of all feasible trials, with the front of each arm"
    is_whole_front = len(objectives) == 2
    return trade_off(clouds, _axis(x), _axis(y), description=description, joined=is_whole_front)


def _growth(seen: History, summary: Mapping[str, Any]) -> Html:
    series = []
    for name, arm in summary["front"]["arms"].items():
        if arm["growth"]:
            trials, share = seen.of_arm(name), arm["growth"][-1][1]
            # The line continues to the last trial that has a result.
            end = (len(trials.trials) - len(trials.pending), share)
            points = (*((place, covered) for place, covered in arm["growth"][1:]), end)
            series.append(Series(f"{name} {100 * share:.1f} %", points, arm_style(name)))
    return best_so_far(
        series,
        budget=summary["budget"],
        description="Share of the box that the front of each arm dominates",
        x_label="trials",
        y_label="share dominated",
    )


def _listing(summary: Mapping[str, Any], objectives: Sequence[Objective]) -> Html:
    tested = {
        finalist["trial"]: finalist["test"]
        for arm in summary["arms"].values()
        for finalist in arm["finalists"]
    }
    heads = ["trial", *(f"{each.name} {ARROWS[each.goal]}" for each in objectives), "test"]
    cards = []
    for name, arm in summary["front"]["arms"].items():
        members = arm["members"]
        cells = columns([item["values"] for item in members])
        rows = [
            [
                str(item["trial"]),
                *cells[place],
                with_spread(tested.get(item["trial"]), summary["decimals"]),
            ]
            for place, item in enumerate(members)
        ]
        if not rows:
            continue
        whose = "Search" if name == SEARCH else f"{name.capitalize()} search"
        title = f"{whose}'s front, {figure(100 * arm['hypervolume'], 1)} % dominated"
        marked = [item["trial"] in tested for item in members]
        listing = table(heads, rows, ["figure"] * len(heads), marked)
        folded = _folded(listing, len(rows), f"{len(rows)} networks")
        reading = how("Arrows: where better is. Bold: a finalist, trained fully and tested.")
        cards.append(card(title, folded, reading))
    return pair(*cards)


def _folded(listing: Html, count: int, title: str) -> Html:
    return listing if count <= ROWS else details(title, listing, is_open=count <= 3 * ROWS)


def _reading(count: int) -> str:
    shown = (
        "Full colour: networks that no other of their arm beats in all objectives; pale: the "
        "others; more under the pointer."
    )
    if count == 2:
        more = (
            "The line bounds what a front dominates. What is far worse than most lies at the edge."
        )
    else:
        more = f"A front of {count} objectives: what looks beaten in one picture is not in another."
    return f"{shown} {more}"


def _axis(objective: Objective) -> Axis:
    best = "more is better" if objective.goal == "maximise" else "less is better"
    return Axis(f"{_named(objective.name)} ({best})", objective.goal == "maximise")


def _named(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _title(trial: Trial, objectives: Sequence[Objective]) -> str:
    return f"trial {trial.number}: " + ", ".join(
        f"{each.name} {each.sign * each.of(trial):.6g}" for each in objectives
    )
