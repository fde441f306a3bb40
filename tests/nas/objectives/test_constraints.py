"""Constraints as text, and which trials keep them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nas.config.strategy import strategy_of
from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.constraints import (
    CONSTRAINT,
    Constraint,
    best_first,
    broken,
    feasible,
    none_feasible,
    parse,
    seen_by,
    violation,
)
from nas.objectives.objective import SCORE, Objective
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import History
from nas.record.trials import Trial
from nas.strategies import NSGA2, RandomSearch
from spaces import Architecture
from tests.nas.objectives.test_constrained_runs import config

NAMES = st.from_regex(r"[a-z_]+(:[a-z0-9_]+(,[a-z0-9_]+)?)?", fullmatch=True)
BOUNDS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**12), 10**12).map(float)
)
CONSTRAINTS = st.builds(Constraint, NAMES, st.sampled_from(["<=", ">="]), BOUNDS)


def history_of(*outcomes: Observation | Failed | None) -> History:
    """A history with one trial for each outcome; the trial is pending if the outcome is None."""
    trials = []
    for number in range(len(outcomes)):
        architecture = Architecture("s", (("a", number),))
        trials.append(Trial(number, 0, "search", architecture, "random", None, str(number), 0))
    ends = [
        outcome_event(number, outcome)
        for number, outcome in enumerate(outcomes)
        if outcome is not None
    ]
    return fold([round_event(0, "search", trials), *ends])


@given(CONSTRAINTS)
def test_a_constraint_is_read_as_it_is_written(constraint):
    assert parse(str(constraint)) == constraint
    assert parse(f"  {constraint.name}{constraint.sense}{constraint.bound!r} ") == constraint


@given(CONSTRAINTS, BOUNDS)
def test_a_constraint_is_kept_exactly_on_its_side_of_the_bound(constraint, value):
    kept = value <= constraint.bound if constraint.sense == "<=" else value >= constraint.bound
    assert (constraint.missed(value) == 0) == kept


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=8),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_trials_that_break_no_constraint_are_feasible(points, most, least):
    constraints = [Constraint("latency", "<=", most), Constraint("score", ">=", least)]
    history = history_of(
        *(Observation(score, 1.0, metrics=(("latency", latency),)) for score, latency in points),
        Failed("killed", "no"),
        None,
    )
    seen = feasible(history, constraints)
    kept = [
        number
        for number, (score, latency) in enumerate(points)
        if latency <= most and score >= least
    ]
    without_violation = [
        trial.number for trial in history.observed if violation(trial, constraints) == 0
    ]
    assert [trial.number for trial in seen.observed] == without_violation == kept
    for trial, original in zip(seen.trials, history.trials, strict=True):
        assert replace(trial, outcome=None) == replace(original, outcome=None)
    assert seen.trials[-2:] == history.trials[-2:]
    assert (none_feasible(history, constraints) is None) == bool(kept)
    assert feasible(history, ()) is history


def test_a_broken_constraint_is_shown_with_its_value():
    constraints = [
        Constraint("latency", "<=", 5),
        Constraint("score", ">=", 0.9),
        Constraint("energy", "<=", 1),
    ]
    history = history_of(Observation(0.8, metrics=(("latency", 7.2),)))
    assert [str(each) for each in broken(history.trials[0], constraints)] == [
        "breaks latency <= 5 (7.2)",
        "breaks score >= 0.9 (0.8)",
        "breaks energy <= 1 (not known)",
    ]
    outcome = feasible(history, constraints[:1]).trials[0].outcome
    assert outcome == Failed(CONSTRAINT, "breaks latency <= 5 (7.2)")
    close = history_of(Observation(1.0, metrics=(("latency", 5.0000001),))).trials[0]
    assert str(broken(close, constraints[:1])[0]) == "breaks latency <= 5 (5.0000001)"


def test_a_strategy_that_handles_constraints_sees_the_whole_history():
    constraints = (Constraint("latency", "<=", 5),)
    history = history_of(
        Observation(0.8, metrics=(("latency", 7.0),)), Observation(0.7, metrics=(("latency", 3.0),))
    )
    assert seen_by(NSGA2(), history, constraints) is history
    assert [trial.number for trial in seen_by(RandomSearch(), history, constraints).observed] == [1]
    strategy = strategy_of(config())
    assert isinstance(strategy, NSGA2)
    assert strategy.constraints == config().constraints


def test_infeasible_trials_come_after_the_feasible_ones_by_their_violation():
    constraints = (Constraint("latency", "<=", 5),)
    points = [(0.9, 9.0), (0.5, 4.0), (0.95, 6.0), (0.4, 3.0)]
    history = history_of(
        *(Observation(score, metrics=(("latency", latency),)) for score, latency in points)
    )
    ranked = best_first(history.observed, (SCORE, Objective("latency", "minimise")), constraints)
    assert [trial.number for trial in ranked] == [1, 3, 2, 0]
