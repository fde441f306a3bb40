"""The front of a run: its members, their hypervolume, the finalists, and the report's charts."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.config.loading import parse_config
from nas.config.sections import RunConfig
from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.fronts import box, covered, growth, members
from nas.objectives.objective import SCORE, Objective
from nas.record.events import finalist_event, outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import History
from nas.record.trials import Trial
from nas.report import headline, summarize, terminal_summary, write_report
from nas.report.front import columns, spaced
from nas.report.front_charts import Axis, Cloud, trade_off
from nas.search.finalists import finalists, spread
from nas.search.run import start
from spaces import Architecture

BOTH = (SCORE, Objective("cost", "minimise"))
POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=9)


def config_of(**changes: object) -> RunConfig:
    values = {
        "space": "nasbench201",
        "evaluator": {
            "name": "table",
            "path": "builtin:nasbench201",
            "score": "c100_val_200",
            "metrics": {"cost": "c100_epoch_seconds"},
        },
        "strategy": "nsga2",
        "objectives": [{"name": "score"}, {"name": "cost", "goal": "minimise"}],
        "executor": "inline",
        "budget": 20,
        **changes,
    }
    return parse_config(values, "the test's configuration")


def history_of(search, random=()) -> History:
    """A history with a trial for each (score, cost); None is a failure."""
    events, first = [], 0
    for arm, points in (("search", search), ("random", random)):
        trials = [
            Trial(
                first + place,
                0,
                arm,
                Architecture("s", (("a", first + place),)),
                "random",
                None,
                f"{first + place}",
                0,
            )
            for place in range(len(points))
        ]
        events.append(round_event(0, arm, trials))
        for trial, point in zip(trials, points, strict=True):
            outcome = (
                Failed("killed", "no")
                if point is None
                else Observation(float(point[0]), metrics=(("cost", float(point[1])),))
            )
            events.append(outcome_event(trial.number, outcome))
        first += len(points)
    return fold(events)


@given(POINTS)
def test_members_are_beaten_by_nobody_and_stand_in_order(points):
    trials = history_of(points).observed
    chosen = members(trials, BOTH)
    for trial in trials:
        (score, cost) = points[trial.number]
        beaten = any(
            other[0] >= score and other[1] <= cost and other != (score, cost) for other in points
        )
        assert (trial in chosen) != beaten
    assert [trial.score for trial in chosen] == sorted(
        (trial.score for trial in chosen), reverse=True
    )


@given(POINTS)
def test_the_share_covered_grows_to_that_of_all(points):
    history = history_of([*points, None])
    ends = box(history.observed, BOTH)
    steps = growth(history, BOTH, *ends)
    assert steps[0] == (0, 0.0)
    assert [share for _, share in steps] == sorted({share for _, share in steps})
    assert steps[-1][1] == pytest.approx(covered(history.observed, BOTH, *ends))
    assert 0 <= steps[-1][1] <= 1 + 1e-12


def test_the_share_covered_by_hand():
    trials = history_of([(0, 10), (1, 20), (2, 30), (0, 30)]).observed
    ends = box(trials, BOTH)
    assert [end.tolist() for end in ends] == [[0, -30], [2, -10]]
    assert covered(trials, BOTH, *ends) == pytest.approx(0.25)
    assert (
        covered(
            history_of([(1, 5), (2, 5)]).observed,
            BOTH,
            *box(history_of([(1, 5), (2, 5)]).observed, BOTH),
        )
        == 1.0
    ), "one objective is alike"


@given(POINTS, st.integers(1, 4))
def test_finalists_are_the_best_by_score_and_then_who_adds_most(points, count):
    trials = history_of(points).observed
    chosen, ends = spread(trials, BOTH, count), box(trials, BOTH)
    front = members(trials, BOTH)
    assert len(chosen) == min(count, len(front))
    assert set(chosen) <= set(front)
    assert chosen[0].score == max(trial.score for trial in trials)
    for place in range(1, len(chosen)):
        best = max(
            covered((*chosen[:place], other), BOTH, *ends)
            for other in front
            if other not in chosen[:place]
        )
        assert covered(chosen[: place + 1], BOTH, *ends) == best


def test_with_one_objective_finalists_are_the_best_in_it():
    history = history_of([(1, 1), (3, 9), (2, 5)])
    assert [finalist.trial for finalist in finalists(history, "search", 2)] == [1, 2]
    cheap = [Objective("cost", "minimise")]
    assert [finalist.trial for finalist in finalists(history, "search", 2, cheap)] == [0, 2]
    assert finalists(history_of([None]), "search", 3, BOTH) == ()


@pytest.mark.parametrize(
    ("search", "random", "verdict", "said"),
    [
        (
            [(3, 1)],
            [(2, 2)],
            "ahead",
            "The search covers more; one search of each says nothing about the spread.",
        ),
        ([(2, 2)], [(3, 1)], "behind", "Random search covers more."),
        ([(3, 1), (1, 5)], [(3, 1), (2, 4)], "level", "Random search was as good."),
        (
            [(3, 1), (1, 5)],
            [(3, 1)],
            None,
            "random search's front of 1 network covers 100.0 % so far",
        ),
        ([(3, 1)], [], None, "random search has no feasible trial yet."),
        (
            [None],
            [(3, 1)],
            None,
            "The search has no feasible trial, so it has no front; random search's front of 1 "
            "network covers",
        ),
        ([None], [None], None, "there is no front"),
    ],
)
def test_the_fronts_are_compared_plainly(search, random, verdict, said):
    summary = summarize(history_of(search, random), config_of())
    assert summary["front"]["verdict"] == verdict
    assert said in summary["front"]["sentence"]
    json.dumps(summary, allow_nan=False)
    assert terminal_summary(summary)


def test_the_score_s_verdict_is_said_to_be_of_the_score_alone():
    said = headline(summarize(history_of([(3, 1), (1, 5)], [(3, 4), (1, 5)]), config_of()))
    assert said.startswith(
        "The search's front of 1 network covers 100.0 %, random search's front of 1 network "
        "covers 25.0 % at the same budget"
    )
    assert "By the score alone: the search's best validation score is 3.0" in said
    one = summarize(history_of([(3, 1)], [(3, 4)]), config_of(objectives=[{"name": "score"}]))
    assert one["front"] is None
    assert "alone" not in headline(one)


def test_a_front_in_the_terminal_has_a_row_a_member_and_few_enough():
    points = [(number, number**2) for number in range(1, 25)]
    shown = terminal_summary(summarize(history_of(points, points[:24]), config_of(budget=24)))
    assert "score ↑" in shown
    assert "cost ↓" in shown
    assert "shown: 10 of the 24 of search, 10 of the 24 of random" in shown
    assert columns([[0.5, 1234567.0], [0.25, 10.0]]) == [["0.500", "1,234,567"], ["0.250", "10"]]
    assert spaced(list(range(7)), 3) == [0, 3, 6]


@pytest.mark.parametrize("kinds", list(combinations([True, False, True, False], 2)))
def test_the_chart_draws_what_a_front_dominates(kinds):
    x, y = Axis("x", kinds[0]), Axis("y", kinds[1])
    points = [(x.sign * at + 10, y.sign * (5 - at) + 10, f"point {at}") for at in range(1, 5)]
    drawn = trade_off(
        [Cloud("search", "search", tuple(points), ((9.0, 9.0, "pale"),))],
        x,
        y,
        description="a front",
        joined=True,
    )
    root = ElementTree.fromstring(drawn)
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    corners = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(corners) == 2 + 2 * len(points)
    for before, after in pairwise(corners):
        assert before[0] == after[0] or before[1] == after[1], "stairs"
    titles = [item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(titles) == ["pale", "point 1", "point 2", "point 3", "point 4"]


def test_wide_costs_are_drawn_by_factors():
    points = tuple((10.0**power, float(power), "") for power in range(2, 8))
    drawn = trade_off(
        [Cloud("search", "search", points, ())],
        Axis("cost", False),
        Axis("score", True),
        description="wide",
        joined=False,
    )
    circles = [
        item.attrib
        for item in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}circle")
    ]
    # The legend is above.
    places = sorted(float(each["cx"]) for each in circles if float(each["cy"]) > 20)
    gaps = numpy.diff(places)
    assert len(gaps) == len(points) - 1
    assert gaps.max() - gaps.min() < 0.3


@pytest.mark.parametrize("third", [[], [{"name": "parameters", "goal": "minimise"}]])
def test_a_report_shows_the_front(third: list, tmp_path: Path):
    config = config_of(
        objectives=[{"name": "score"}, {"name": "cost", "goal": "minimise"}, *third],
        constraints=["score >= 60"],
        finalists={"count": 0},
        budget=12,
    )
    history = start(config, tmp_path / "run", lambda history, events: None)
    page = write_report(tmp_path / "run").read_text()
    assert "<h2>Front</h2>" in page
    assert page.count("over all feasible trials") == 0
    assert page.count("of all feasible trials, with the front of each arm") == (3 if third else 1)
    summary = summarize(history, config)
    assert bool(summary["infeasible"]) == ("<h2>Broken constraints</h2>" in page)
    shown = summary["front"]["arms"]["search"]["members"]
    assert shown
    for member in shown:
        assert f"trial {member['trial']}: score" in page


def test_a_run_of_several_objectives_trains_members_of_its_front(tmp_path: Path):
    config = config_of(
        evaluator={**config_of().evaluator.model_dump(), "test": "c100_test_200"},
        finalists={"count": 4},
    )
    history = start(config, tmp_path / "run", lambda history, events: None)
    for arm in ("search", "random"):
        own = history.of_arm(arm)
        front = members(own.observed, BOTH)
        assert {finalist.trial for finalist in own.finalists} <= {trial.number for trial in front}
        assert own.finalists[0].trial == own.best.number  # type: ignore[union-attr]
    again = replace(history, finalists=())
    assert [finalist_event(each) for each in finalists(again, "search", 4, BOTH)] == [
        finalist_event(each) for each in history.of_arm("search").finalists
    ]
