"""The surrogate search beyond one score: fronts, constraints, and numbers that the graph itself
tells.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.evaluators.evaluator import Observation
from nas.objectives.constrained_space import number_of, within
from nas.objectives.constraints import Constraint, broken, feasible
from nas.objectives.objective import SCORE, Objective, values
from nas.objectives.pareto import hypervolume
from nas.record.history import EMPTY, History, Trial, fold, outcome_event, round_event
from nas.strategies import Evolution, RandomSearch, SurrogateSearch
from nas.strategies.acquisition import front_extensions, likely_kept, possible
from predictors import PREDICTORS
from predictors.predictor import Prediction
from spaces import SearchSpace
from tests.contracts.strategy_contract import CELLS

COST = Objective("cost", "minimise")


def observe(architecture) -> Observation:
    """Wide convolutions are good and dear; each has its own worth."""
    answers = architecture.answers
    widths = [
        int(answers[f"width{number}"]) * (answers[f"op{number}"] == "conv2d") for number in range(4)
    ]
    score = sum(width * (4 - number) for number, width in enumerate(widths))
    return Observation(
        float(score),
        metrics=(
            ("cost", float(sum(width * (1 + number) for number, width in enumerate(widths)))),
        ),
    )


def play(strategy, evaluations: int, seed: int) -> History:
    history = EMPTY
    while len(history.trials) < evaluations:
        first = len(history.trials)
        trials = [
            Trial(
                first + place,
                first // 4,
                "search",
                each.architecture,
                each.origin,
                each.prediction,
                each.canonical,
                0,
            )
            for place, each in enumerate(strategy.ask(CELLS, history, 4, seed).proposals)
        ]
        ends = [outcome_event(trial.number, observe(trial.architecture)) for trial in trials]
        history = fold([round_event(first // 4, "search", trials), *ends], history)
    return history


def searching(**more) -> SurrogateSearch:
    return SurrogateSearch(PREDICTORS["ridge"](), initial=8, candidates=100, **more)


@pytest.mark.parametrize("acquisition", ["ucb", "ei", "thompson"])
def test_a_front_is_pushed_further_than_by_chance(acquisition: str) -> None:
    both = (SCORE, COST)

    def reached(strategy) -> float:
        return hypervolume(values(play(strategy, 40, 0).observed, both), np.array([-1.0, -31.0]))

    assert reached(searching(objectives=both, acquisition=acquisition)) > 1.1 * reached(
        RandomSearch()
    )


def test_candidates_that_would_break_a_measured_constraint_come_last() -> None:
    cheap = (Constraint("cost", "<=", 8.0),)
    history = play(searching(constraints=cheap, exploration=0.0), 40, 0)
    kept = [not broken(trial, cheap) for trial in history.trials]
    assert np.mean(kept[20:]) > 0.8 > np.mean(kept[:8])
    # The best that keeps it is wide where that is cheap.
    assert (
        max(trial.score for trial, keeps in zip(history.trials, kept, strict=True) if keeps) >= 18
    )


def test_what_the_graph_tells_is_not_predicted() -> None:
    asked: list[np.ndarray] = []

    @dataclass(frozen=True)
    class Counting:
        inner: object = field(default_factory=PREDICTORS["ridge"])

        def fit(self, graphs, scores, *, seed=0):
            asked.append(np.asarray(scores))
            return self.inner.fit(graphs, scores, seed=seed)  # type: ignore[attr-defined]

    def described(architecture) -> Observation:
        said = observe(architecture)
        convolutions = sum(node.op == "conv2d" for node in CELLS.graph(architecture).nodes)
        return Observation(
            said.score,
            metrics=(("count:conv2d", float(convolutions)), ("cost", dict(said.metrics)["cost"])),
        )

    proposals = RandomSearch().ask(CELLS, EMPTY, 8, 0).proposals
    trials = [
        Trial(place, 0, "search", each.architecture, each.origin, None, each.canonical, 0)
        for place, each in enumerate(proposals)
    ]
    history = fold(
        [
            round_event(0, "search", trials),
            *(outcome_event(trial.number, described(trial.architecture)) for trial in trials),
        ]
    )
    few = Objective("count:conv2d", "minimise")
    strategy = SurrogateSearch(
        Counting(),
        objectives=(SCORE, few),
        constraints=(Constraint("cost", "<=", 9.0),),
        initial=8,
        candidates=30,
    )  # type: ignore[arg-type]
    assert len(strategy.ask(CELLS, history, 4, 0).proposals) == 4
    wanted = [values(history.observed, [Objective(name)])[:, 0] for name in ("score", "cost")]
    assert len(asked) == 2
    assert all(np.array_equal(one, other) for one, other in zip(asked, wanted, strict=True))


points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8)


@settings(max_examples=30, deadline=None)
@given(points, st.lists(st.tuples(st.floats(0, 1.5), st.floats(0, 1.5)), min_size=1, max_size=12))
def test_the_first_choice_adds_nearly_the_most_hypervolume(observed, candidates) -> None:
    observed_MK, possible_NK = np.array(observed), np.array(candidates)
    low_K = observed_MK.min(0)
    if (np.ptp(observed_MK, axis=0) < 1e-3).any():
        return
    share_MK, share_NK = (
        (each - low_K) / np.ptp(observed_MK, axis=0) for each in (observed_MK, possible_NK)
    )
    before = hypervolume(share_MK, np.zeros(2))
    gain_N = np.array(
        [
            hypervolume(np.concatenate([share_MK, share[None]]), np.zeros(2)) - before
            for share in share_NK
        ]
    )
    (first,) = front_extensions(possible_NK[None], observed_MK, 1, np.random.default_rng(0))
    assert gain_N[first] >= 0.85 * gain_N.max() - 0.02 * before - 1e-6


def test_a_batch_does_not_crowd_into_one_place() -> None:
    observed_MK = np.array([[0.0, 1.0], [1.0, 0.0]])
    possible_NK = np.array([[0.90, 0.90], [0.89, 0.89], [0.99, 0.3], [0.3, 0.99]])
    assert front_extensions(possible_NK[None], observed_MK, 3, np.random.default_rng(0))[0] == 0
    assert set(front_extensions(possible_NK[None], observed_MK, 3, np.random.default_rng(0))) == {
        0,
        2,
        3,
    }


def test_the_ways_of_seeing_what_is_possible() -> None:
    mean_NK, std_NK = np.zeros((3, 2)), np.ones((3, 2))
    random = np.random.default_rng(0)
    assert (possible("ucb", mean_NK, std_NK, 0.5, random) == 0.5).all()
    assert possible("thompson", mean_NK, std_NK, 0.5, random).shape == (1, 3, 2)
    assert possible("ei", mean_NK, std_NK, 0.5, random).shape[0] > 1


def test_a_value_at_the_bound_keeps_it() -> None:
    known = Prediction(np.array([7.0, 8.0, 9.0]), np.zeros(3), np.zeros(3))
    unsure = Prediction(np.array([7.0, 8.0, 9.0]), np.ones(3), np.zeros(3))
    assert likely_kept({"cost": known}, [Constraint("cost", "<=", 8.0)]).round(6).tolist() == [
        1,
        1,
        0,
    ]
    assert likely_kept({"cost": known}, [Constraint("cost", ">=", 8.0)]).round(6).tolist() == [
        0,
        1,
        1,
    ]
    likely_N = likely_kept(
        {"cost": unsure, "score": known},
        [Constraint("cost", "<=", 8.0), Constraint("score", ">=", 0.0)],
    )
    assert likely_N == pytest.approx([0.8413, 0.5, 0.1587], abs=1e-4)


def test_a_space_held_tightly_is_searched_all_the_same() -> None:
    # One architecture in 256 is inside: four convolutions, each of three widths.
    narrow = within(CELLS, [Constraint("count:conv2d", ">=", 4)])
    history = EMPTY
    for number in range(6):
        proposals = replace(searching(), candidates=1000).ask(narrow, history, 4, 0).proposals
        trials = [
            Trial(
                4 * number + place,
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
        ends = [outcome_event(trial.number, observe(trial.architecture)) for trial in trials]
        history = fold([round_event(number, "search", trials), *ends], history)
    assert len(history.keys) == len(history.trials) == 24
    assert all(
        number_of(narrow, trial.architecture, "count:conv2d") == 4 for trial in history.trials
    )


def test_evolution_helps_out_with_what_keeps_the_constraints() -> None:
    # The best score breaks the constraint: where the surrogate is distrusted, its place is not
    # taken by mutations of that.
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
    parents = (
        Evolution(population=10, tournament=5)
        .ask(CELLS, feasible(distrusted, cheap), 2, 0)
        .proposals
    )
    assert [item.architecture for item in asked.proposals[:2]] == [
        item.architecture for item in parents
    ]


def test_a_mistake_in_a_program_is_not_taken_for_a_rejection() -> None:
    def mistaken(choose):
        if choose.integer("size", 1, 9) > 1:
            raise ValueError("the program's own mistake")
        return CELLS.define(choose)

    space = SearchSpace("mistaken", mistaken)
    with pytest.raises(ValueError, match="the program's own mistake"):
        RandomSearch().ask(space, play(RandomSearch(), 4, 0), 4, 0)
