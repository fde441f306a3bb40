"""The report's section on the front, and on the trials that break a constraint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nas.objectives.objective import Objective
from nas.record.arms import SEARCH
from nas.record.history import History, Trial
from nas.report.charts import Series, best_so_far
from nas.report.figures import figure, with_spread
from nas.report.front import ARROWS, columns
from nas.report.front_charts import Axis, Cloud, trade_off
from nas.report.markup import Html, card, details, element, how, pair, section, table

# So many members of a front stand in the table; the others are behind a line.
ROWS = 12
NAMES = {
    "latency": "latency, ms",
    "memory": "memory, bytes",
    "seconds": "seconds",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "score": "validation score",
}


def front(seen: History, summary: Mapping[str, Any]) -> Html:
    """The trade-offs found, beside random search's: drawn, how the covered share grew, and in
    figures. `seen` is the feasible view.
    """
    if summary["front"] is None:
        return Html("")
    if not seen.observed:
        return section("Front", element("p", summary["front"]["sentence"]))
    objectives = [Objective(item["name"], item["goal"]) for item in summary["front"]["objectives"]]
    # Over a cost lies what it buys: a minimised objective is the horizontal one.
    pairs = (
        list(combinations(range(len(objectives)), 2))
        if len(objectives) <= 3
        else [(0, other) for other in range(1, len(objectives))]
    )
    # (horizontal, vertical)
    pairs = [(two, one) if objectives[one].goal == "maximise" else (one, two) for one, two in pairs]
    reading = how(_reading(len(objectives)))
    grown = card(
        "Hypervolume",
        _growth(seen, summary),
        how(
            "The share of the box between the worst and the best feasible value of each "
            "objective, over both arms, that the front dominates, "
            "after each of an arm's trials."
        ),
    )
    shown = [
        card(
            f"{_named(objectives[up].name).capitalize()} and {_named(objectives[across].name)}",
            chart,
            *([] if place else [reading]),
        )
        for place, (across, up) in enumerate(pairs)
        for chart in [_trade_off(seen, summary, objectives, across, up)]
    ]
    return section("Front", pair(*shown, grown), _listing(summary, objectives))


def constraints(summary: Mapping[str, Any]) -> Html:
    """The trials that were evaluated and break a constraint, with what they miss; nothing where
    none does.
    """
    if not summary["infeasible"]:
        return Html("")
    rows = [
        [_name(item["arm"]), str(item["trial"]), item["reason"]] for item in summary["infeasible"]
    ]
    listing = table(["arm", "trial", "what it breaks"], rows, ["", "figure", "words"])
    reading = how(
        "They were evaluated, and count in the budget; none is the best, a finalist, or on the "
        "front."
    )
    return section(
        "Broken constraints",
        card(
            ", ".join(summary["constraints"]),
            _folded(listing, len(rows), f"{len(rows)} trials"),
            reading,
        ),
    )


def _trade_off(
    seen: History, summary: Mapping[str, Any], objectives: Sequence[Objective], across: int, up: int
) -> Html:
    x, y = objectives[across], objectives[up]
    clouds = []
    for name, arm in summary["front"]["arms"].items():
        best = {item["trial"] for item in arm["members"]}
        points = [
            (trial.number, (x.sign * x.of(trial), y.sign * y.of(trial), _title(trial, objectives)))
            for trial in seen.of_arm(name).observed
        ]
        clouds.append(
            Cloud(
                name,
                _style(name),
                tuple(point for number, point in points if number in best),
                tuple(point for number, point in points if number not in best),
            )
        )
    description = f"{y.name} over {x.name} of all feasible trials, with the front of each arm"
    return trade_off(
        clouds, _axis(x), _axis(y), description=description, joined=len(objectives) == 2
    )


def _growth(seen: History, summary: Mapping[str, Any]) -> Html:
    series = []
    for name, arm in summary["front"]["arms"].items():
        if arm["growth"]:
            trials = seen.of_arm(name)
            # The line goes on to the last trial that has a result.
            end = (len(trials.trials) - len(trials.pending), arm["growth"][-1][1])
            label = f"{name} {100 * arm['growth'][-1][1]:.1f} %"
            series.append(
                Series(
                    label,
                    (*((place, share) for place, share in arm["growth"][1:]), end),
                    _style(name),
                )
            )
    labels = {
        "description": "Share of the box that the front of each arm dominates",
        "x_label": "trials",
        "y_label": "share dominated",
    }
    return best_so_far(series, budget=summary["budget"], **labels)


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
        title = (
            f"{'Search' if name == SEARCH else f'{name.capitalize()} search'}'s front, "
            f"{figure(100 * arm['hypervolume'], 1)} % dominated"
        )
        listing = table(
            heads, rows, ["figure"] * len(heads), [item["trial"] in tested for item in members]
        )
        cards.append(
            card(
                title,
                _folded(listing, len(rows), f"{len(rows)} networks"),
                how("Arrows: where better is. Bold: a finalist, trained fully and tested."),
            )
        )
    return pair(*cards)


def _folded(listing: Html, count: int, title: str) -> Html:
    return listing if count <= ROWS else details(title, listing, is_open=count <= 3 * ROWS)


def _reading(count: int) -> str:
    shown = (
        "Full colour: networks that no other of their arm beats in all objectives; pale: the "
        "others; more under the pointer."
    )
    if count == 2:
        return (
            f"{shown} The line bounds what a front dominates. What is far worse than most lies at "
            "the edge."
        )
    return (
        f"{shown} A front of {count} objectives: what looks beaten in one picture is not in "
        "another."
    )


def _axis(objective: Objective) -> Axis:
    best = "more is better" if objective.goal == "maximise" else "less is better"
    return Axis(f"{_named(objective.name)} ({best})", objective.goal == "maximise")


def _named(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def _title(trial: Trial, objectives: Sequence[Objective]) -> str:
    return f"trial {trial.number}: " + ", ".join(
        f"{each.name} {each.sign * each.of(trial):.6g}" for each in objectives
    )


def _style(arm: str) -> str:
    return "search" if arm == SEARCH else "baseline"


def _name(arm: str) -> Html:
    return element("span", arm, style=f"arm {_style(arm)}")
