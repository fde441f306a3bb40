"""Surrogate search with several objectives, constraints, and numbers computed from the graph."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.evaluators.evaluator import Observation
from nas.objectives.constrained_space import within
from nas.objectives.constraints import Constraint, broken, feasible
from nas.objectives.graph_numbers import number_of
from nas.objectives.objective import SCORE, Objective, values
from nas.objectives.pareto import hypervolume
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.trials import Proposal, Trial
from nas.strategies import Evolution, RandomSearch, SurrogateSearch
from nas.strategies.acquisition import front_extensions, likely_kept, possible
from predictors import PREDICTORS
from predictors.predictor import Prediction, Predictor
from spaces import Architecture, SearchSpace
from tests.contracts.strategy_contract import CELLS

COST = Objective("cost", "minimise")


def observe(architecture) -> Observation:
    """Wide convolutions are good and expensive, each layer to its own degree."""
    answers = architecture.answers
    widths = [
        int(answers[f"width{number}"]) * (answers[f"op{number}"] == "conv2d") for number in range(4)
    ]
    score = sum(width * (4 - number) for number, width in enumerate(widths))
    cost = sum(width * (1 + number) for number, width in enumerate(widths))
    return Observation(float(score), metrics=(("cost", float(cost)),))


def play(strategy, evaluations: int, seed: int, space: SearchSpace = CELLS) -> History:
    """The history of a search in rounds of four."""
    history = EMPTY
    while len(history.trials) < evaluations:
        proposals = strategy.ask(space, history, 4, seed).proposals
        history = evaluated(history, proposals, observe)
    return history


def evaluated(
    history: History,
    proposals: Iterable[Proposal],
    observed: Callable[[Architecture], Observation],
) -> History:
    """The history with the proposals as its next round, and their observations."""
    first, number = len(history.trials), len(history.rounds)
    trials = [
        Trial(
            first + place,
            number,
            "search",
            each.architecture,
            each.origin,
            each.prediction,
            each.canonical,
            0,
        )
        for place, each in enumerate(proposals)
    ]
    ends = [outcome_event(trial.number, observed(trial.architecture)) for trial in trials]
    return fold([round_event(number, "search", trials), *ends], history)


def searching(**more) -> SurrogateSearch:
    return SurrogateSearch(PREDICTORS["ridge"](), initial=8, candidates=100, **more)


@pytest.mark.parametrize("acquisition", ["ucb", "ei", "thompson"])
def test_a_front_is_pushed_further_than_by_chance(acquisition: str) -> None:
    both = (SCORE, COST)

    def reached(strategy) -> float:
        return hypervolume(values(play(strategy, 40, 0).observed, both), np.array([-1.0, -31.0]))

    searched = reached(searching(objectives=both, acquisition=acquisition))
    assert searched > 1.1 * reached(RandomSearch())


def test_candidates_that_would_break_a_measured_constraint_come_last() -> None:
    cheap = (Constraint("cost", "<=", 8.0),)
    early, late, best = list[bool](), list[bool](), list[float]()
    for seed in range(8):
        trials = play(searching(constraints=cheap, exploration=0.0), 40, seed).trials
        kept = [not broken(trial, cheap) for trial in trials]
        early, late = early + kept[:8], late + kept[20:]
        best.append(max(trial.score for trial, keeps in zip(trials, kept, strict=True) if keeps))
    assert np.mean(late) > 0.8 > np.mean(early)
    # The best architecture that keeps the constraint is wide in the cheap layers.
    assert np.median(best) >= 18


def test_numbers_computed_from_the_graph_are_not_predicted() -> None:
    fitted: list[np.ndarray] = []

    @dataclass(frozen=True)
    class Recording:
        """A predictor that keeps the labels of each fit."""

        inner: Predictor = field(default_factory=PREDICTORS["ridge"])

        def fit(self, graphs, scores, *, seed=0):
            fitted.append(np.asarray(scores))
            return self.inner.fit(graphs, scores, seed=seed)

    def described(architecture) -> Observation:
        measured = observe(architecture)
        convolutions = sum(node.op == "conv2d" for node in CELLS.graph(architecture).nodes)
        counted = ("count:conv2d", float(convolutions))
        return replace(measured, metrics=(counted, *measured.metrics))

    history = evaluated(EMPTY, RandomSearch().ask(CELLS, EMPTY, 8, 0).proposals, described)
    few = Objective("count:conv2d", "minimise")
    strategy = SurrogateSearch(
        Recording(),
        objectives=(SCORE, few),
        constraints=(Constraint("cost", "<=", 9.0),),
        initial=8,
        candidates=30,
    )
    assert len(strategy.ask(CELLS, history, 4, 0).proposals) == 4
    wanted = [values(history.observed, [Objective(name)])[:, 0] for name in ("score", "cost")]
    assert len(fitted) == 2
    assert all(np.array_equal(one, other) for one, other in zip(fitted, wanted, strict=True))


points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8)


@settings(max_examples=30, deadline=None)
@given(points, st.lists(st.tuples(st.floats(0, 1.5), st.floats(0, 1.5)), min_size=1, max_size=12))
def test_the_first_choice_adds_nearly_the_most_hypervolume(observed, candidates) -> None:
    observed_MK, possible_NK = np.array(observed), np.array(candidates)
    low_K = observed_MK.min(0)
    if (np.ptp(observed_MK, axis=0) < 1e-3).any():
        return
    span_K = np.ptp(observed_MK, axis=0)
    share_MK, share_NK = (observed_MK - low_K) / span_K, (possible_NK - low_K) / span_K
    before = hypervolume(share_MK, np.zeros(2))
    with_each = [np.concatenate([share_MK, share_K[None]]) for share_K in share_NK]
    gain_N = np.array([hypervolume(points, np.zeros(2)) - before for points in with_each])
    (first,) = front_extensions(possible_NK[None], observed_MK, 1, np.random.default_rng(0))
    assert gain_N[first] >= 0.85 * gain_N.max() - 0.02 * before - 1e-6


def test_a_batch_does_not_crowd_into_one_place() -> None:
    observed_MK = np.array([[0.0, 1.0], [1.0, 0.0]])
    possible_NK = np.array([[0.90, 0.90], [0.89, 0.89], [0.99, 0.3], [0.3, 0.99]])
    chosen = front_extensions(possible_NK[None], observed_MK, 3, np.random.default_rng(0))
    assert chosen[0] == 0
    assert set(chosen) == {0, 2, 3}


def test_possible_objectives_by_acquisition() -> None:
    mean_NK, std_NK = np.zeros((3, 2)), np.ones((3, 2))
    random = np.random.default_rng(0)
    assert (possible("ucb", mean_NK, std_NK, 0.5, random) == 0.5).all()
    assert possible("thompson", mean_NK, std_NK, 0.5, random).shape == (1, 3, 2)
    assert possible("ei", mean_NK, std_NK, 0.5, random).shape[0] > 1


def test_a_value_at_the_bound_keeps_it() -> None:
    known = Prediction(np.array([7.0, 8.0, 9.0]), np.zeros(3), np.zeros(3))
    unsure = Prediction(np.array([7.0, 8.0, 9.0]), np.ones(3), np.zeros(3))
    at_most_N = likely_kept({"cost": known}, [Constraint("cost", "<=", 8.0)])
    assert at_most_N.round(6).tolist() == [1, 1, 0]
    at_least_N = likely_kept({"cost": known}, [Constraint("cost", ">=", 8.0)])
    assert at_least_N.round(6).tolist() == [0, 1, 1]
    likely_N = likely_kept(
        {"cost": unsure, "score": known},
        [Constraint("cost", "<=", 8.0), Constraint("score", ">=", 0.0)],
    )
    assert likely_N == pytest.approx([0.8413, 0.5, 0.1587], abs=1e-4)


def test_a_space_with_tight_constraints_can_be_searched() -> None:
    # One architecture in 256 keeps the constraint: four convolutions, each of three widths.
    narrow = within(CELLS, [Constraint("count:conv2d", ">=", 4)])
    history = play(replace(searching(), candidates=1000), 24, 0, narrow)
    assert len(history.keys) == len(history.trials) == 24
    assert all(
        number_of(narrow, trial.architecture, "count:conv2d") == 4 for trial in history.trials
    )


def test_evolution_that_replaces_the_surrogate_keeps_the_constraints() -> None:
    # The architecture with the best score breaks the constraint. If the surrogate is not trusted,
    # evolution must not mutate that architecture.
    cheap = (Constraint("cost", "<=", 8.0),)
    history = play(searching(constraints=cheap, exploration=0.0), 28, 0)
    upside_down = [
        trial
        if trial.prediction is None
        else replace(trial, prediction=replace(trial.prediction, mean=-trial.score))
        for trial in history.trials
    ]
    distrusted = replace(history, trials=tuple(upside_down))
    strategy = searching(constraints=cheap, exploration=0.0)
    asked = strategy.ask(CELLS, distrusted, 4, 0)
    assert "half of the batch by evolution" in asked.note
    evolution = Evolution(population=10, tournament=5)
    evolved = evolution.ask(CELLS, feasible(distrusted, cheap), 2, 0).proposals
    for proposal, expected in zip(asked.proposals[:2], evolved, strict=True):
        assert proposal.architecture == expected.architecture


def test_an_error_in_the_program_of_a_space_is_not_taken_for_a_rejection() -> None:
    def mistaken(choose):
        if choose.integer("size", 1, 9) > 1:
            raise ValueError("the program's own mistake")
        return CELLS.define(choose)

    space = SearchSpace("mistaken", mistaken)
    with pytest.raises(ValueError, match="the program's own mistake"):
        RandomSearch().ask(space, play(RandomSearch(), 4, 0), 4, 0)
