"""NSGA-II finds both ends of a front, and what lies between."""

import numpy as np
import pytest

from nas.config.loading import parse_config
from nas.config.sections import ConfigError
from nas.config.strategy import strategy_of
from nas.evaluators.evaluator import Observation
from nas.objectives.objective import SCORE, Objective, values
from nas.objectives.pareto import front, hypervolume
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY
from nas.record.trials import Trial
from nas.search.run import start
from nas.strategies import NSGA2, RandomSearch
from spaces import Graph, GraphBuilder, SearchSpace
from spaces.canonical import canonical_key
from tests.contracts.strategy_contract import best_score

BOTH = (SCORE, Objective("cost", "minimise"))


def chain(choose) -> Graph:
    builder = GraphBuilder()
    value = builder.input()
    for number in range(6):
        value = builder.node(
            "conv2d",
            value,
            width=choose.integer(f"width{number}", 1, 8),
            kernel=choose.one_of(f"kernel{number}", [1, 3, 5]),
        )
    return builder.output(value)


SPACE = SearchSpace("chain", chain)


def observe(architecture) -> Observation:
    """Early layers gain most from width, late ones cost most; a kernel of 3 is good at no cost."""
    answers = architecture.answers
    widths = [answers[f"width{number}"] for number in range(6)]
    kernels_of_3 = sum(answers[f"kernel{number}"] == 3 for number in range(6))
    good = sum(width * (3 - number / 2) for number, width in enumerate(widths)) + 5 * kernels_of_3
    cost = sum(width * (1 + number) for number, width in enumerate(widths))
    return Observation(float(good), metrics=(("cost", float(cost)),))


def play(strategy, evaluations, seed):
    history = EMPTY
    while len(history.trials) < evaluations:
        first = len(history.trials)
        proposals = strategy.ask(SPACE, history, 4, seed).proposals
        trials = [
            Trial(
                first + place,
                first // 4,
                "search",
                each.architecture,
                each.origin,
                None,
                each.canonical,
                0,
            )
            for place, each in enumerate(proposals)
        ]
        ends = [outcome_event(trial.number, observe(trial.architecture)) for trial in trials]
        history = fold([round_event(first // 4, "search", trials), *ends], history)
    return history


def reached(history):
    """The hypervolume of the history's front."""
    return hypervolume(values(history.observed, BOTH), np.array([0.0, -200.0]))


def test_the_front_is_pushed_further_than_by_chance():
    for seed in range(3):
        by_chance = reached(play(RandomSearch(), 160, seed))
        assert reached(play(NSGA2(BOTH), 160, seed)) > 1.1 * by_chance


def test_the_front_is_wide():
    points = values(play(NSGA2(BOTH), 160, 0).observed, BOTH)
    best = points[front(points)]
    assert len(best) > 8
    assert np.ptp(best, axis=0).min() > 30


def test_one_objective_is_plain_evolution():
    history = play(NSGA2(), 120, 0)
    assert best_score(history) > best_score(play(RandomSearch(), 120, 0))
    assert len({canonical_key(SPACE.graph(trial.architecture)) for trial in history.trials}) == 120


def test_mistakes_are_sentences():
    with pytest.raises(ValueError, match="none twice"):
        NSGA2((SCORE, SCORE))
    with pytest.raises(ValueError, match="population of at least 2"):
        NSGA2(population=1)
    with pytest.raises(
        ValueError,
        match=r"'latency' is none of the numbers that trial 0 was observed with: "
        "score, seconds, cost",
    ):
        values(play(RandomSearch(), 4, 0).observed, (Objective("latency"),))


def test_a_run_optimises_the_objectives_of_its_configuration(tmp_path, shared_data):
    config = parse_config(
        {
            "space": "nasbench201",
            "evaluator": {
                "name": "table",
                "path": str(shared_data("nasbench201.npz")),
                "score": "c100_val_200",
                "metrics": {"millions": "c100_params"},
            },
            "strategy": {"name": "nsga2", "population": 8},
            "objectives": [{"name": "score"}, {"name": "millions", "goal": "minimise"}],
            "budget": 40,
            "baseline": "none",
            "finalists": {"count": 0},
        },
        "a test",
    )
    strategy = strategy_of(config)
    assert isinstance(strategy, NSGA2)
    assert strategy.objectives == (SCORE, Objective("millions", "minimise"))
    history = start(config, tmp_path / "run", lambda history, events: None)
    points = values(history.observed, config.objectives)
    assert points.shape == (40, 2)
    assert len(front(points)) > 1


def test_other_strategies_refuse_objectives():
    wanted = {
        "space": "nasbench201",
        "evaluator": {"name": "table", "path": "builtin:nasbench201", "score": "c100_val_200"},
        "strategy": "local",
    }
    config = parse_config(
        {**wanted, "objectives": [{"name": "seconds", "goal": "minimise"}]}, "a test"
    )
    with pytest.raises(
        ConfigError,
        match="'local' is after the score alone; for other objectives take surrogate or nsga2",
    ):
        strategy_of(config)
