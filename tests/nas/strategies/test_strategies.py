"""All strategies against their contract, and the particular behaviour of the simpler ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy
import pytest

from nas.record.history import History
from nas.strategies import (
    BOSHNAS,
    MCTS,
    PGVAE,
    SMBO,
    Evolution,
    LocalSearch,
    RandomSearch,
    Strategy,
    SurrogateSearch,
)
from nas.strategies.acquisition import ACQUISITIONS, Outlook
from predictors import PREDICTORS
from tests.contracts.strategy_contract import CELLS, best_score, check_strategy, play, score

STRATEGIES = {
    "random": RandomSearch(),
    "evolution": Evolution(population=6, tournament=3),
    "evolution with crossover": Evolution(population=6, tournament=3, crossover=0.5),
    "local": LocalSearch(initial=4),
    "surrogate ucb": SurrogateSearch(PREDICTORS["ridge"](), initial=6, candidates=60),
    "surrogate ei": SurrogateSearch(
        PREDICTORS["ridge"](), initial=6, candidates=60, acquisition="ei"
    ),
    "surrogate noisy_ei": SurrogateSearch(
        PREDICTORS["ridge"](), initial=6, candidates=60, acquisition="noisy_ei"
    ),
    "surrogate top": SurrogateSearch(
        PREDICTORS["ridge"](), initial=6, candidates=60, acquisition="top"
    ),
    "surrogate thompson": SurrogateSearch(
        PREDICTORS["ridge"](), initial=6, candidates=60, acquisition="thompson", exploration=0.5
    ),
    "mcts": MCTS(initial=4),
    "mcts without bisection": MCTS(initial=4, bisection=False),
    "smbo": SMBO(initial=6, pool=60),
    "pgvae": PGVAE(initial=8, steps=60),
    "boshnas": BOSHNAS(initial=6, candidates=40, climb_steps=5, members=1, fit_steps=20),
}


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_contract(strategy: Strategy) -> None:
    check_strategy(strategy)


def test_each_informed_strategy_beats_random_on_an_easy_landscape() -> None:
    def mean_best(strategy: Strategy) -> float:
        best = [best_score(play(strategy, CELLS, 10, 4, score, seed)) for seed in range(5)]
        return float(numpy.mean(best))

    chance = mean_best(RandomSearch())
    for name in ("evolution", "local", "surrogate ucb", "mcts", "smbo", "pgvae"):
        assert mean_best(STRATEGIES[name]) > chance, name


def test_all_start_from_the_same_random_architectures() -> None:
    firsts = set()
    for strategy in STRATEGIES.values():
        asked = strategy.ask(CELLS, play(strategy, CELLS, 1, 2, score), 2, 0)
        assert len(asked.proposals) == 2
        firsts.add(tuple(item.architecture for item in asked.proposals))
    assert len(firsts) == 1


def test_evolution_picks_parents_among_the_youngest() -> None:
    strategy = Evolution(population=4, tournament=4)
    history = play(strategy, CELLS, rounds=10, count=1, score=score)
    assert len(history.trials) == 10
    for child in history.trials[4:]:
        youngest = history.trials[child.number - 4 : child.number]
        parent = max(youngest, key=lambda trial: trial.score)
        changed = [
            path
            for path, answer in child.architecture.decisions
            if parent.architecture.answers[path] != answer
        ]
        assert len(changed) == 1


def test_local_search_steps_from_the_best() -> None:
    history = play(LocalSearch(initial=4), CELLS, rounds=2, count=4, score=score)
    assert len(history.trials) == 8
    best = max(history.trials[:4], key=lambda trial: trial.score)
    for step in history.trials[4:]:
        assert step.origin == "neighbour"
        changed = [
            path
            for path, answer in step.architecture.decisions
            if best.architecture.answers[path] != answer
        ]
        assert len(changed) == 1


def test_the_surrogate_predicts_scores_before_they_are_observed() -> None:
    history = play(STRATEGIES["surrogate ucb"], CELLS, rounds=5, count=4, score=score)
    assert len(history.trials) == 20
    assert all(trial.prediction is None for trial in history.trials[:8])
    assert all(trial.prediction is not None for trial in history.trials[8:])


def test_a_surrogate_that_does_not_rank_leaves_half_to_evolution() -> None:
    # Without exploration, because random proposals would reduce evolution's half.
    strategy = replace(STRATEGIES["surrogate ucb"], exploration=0.0)
    state = numpy.random.default_rng(0)
    noise: dict[str, float] = {}
    history = play(
        strategy,
        CELLS,
        12,
        4,
        lambda architecture: noise.setdefault(architecture.key, float(state.normal())),
    )
    # The scores are in the reverse order of the latest sixteen predictions, which are then as wrong
    # as possible.
    judged = [
        (trial.prediction.mean, trial.architecture.key)
        for trial in history.observed
        if trial.prediction is not None
    ][-16:]
    judged.sort(key=lambda pair: pair[0])
    wrong = {key: -float(rank) for rank, (_, key) in enumerate(judged)}
    asked = strategy.ask(CELLS, _with_scores(history, wrong), 4, 0)
    assert "did not rank" in asked.note
    assert sum(item.origin == "mutation" for item in asked.proposals) >= 2


def _with_scores(history: History, scores: Mapping[str, float]) -> History:
    """The history with other scores for the architectures of these keys."""
    trials = tuple(
        trial.with_score(scores[trial.architecture.key])
        if trial.architecture.key in scores
        else trial
        for trial in history.trials
    )
    return replace(history, trials=trials)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Evolution(population=3, tournament=4), "1 <= tournament <= population"),
        (lambda: Evolution(crossover=2.0), "share between 0 and 1"),
        (lambda: LocalSearch(initial=0), "initial >= 1"),
        (lambda: SurrogateSearch(PREDICTORS["ridge"](), initial=1), "initial >= 2"),
        (lambda: SurrogateSearch(PREDICTORS["ridge"](), exploration=-1), "share between 0 and 1"),
        (
            lambda: replace(SurrogateSearch(PREDICTORS["ridge"]()), acquisition="best"),
            "known: ucb, ei, noisy_ei, thompson, top",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_acquisitions() -> None:
    mean, std = numpy.array([1.0, 0.0, 2.0]), numpy.array([0.0, 3.0, 1e-15])
    random = numpy.random.default_rng(0)
    outlook = Outlook(
        mean, std, known_mean_M=numpy.array([1.2, 0.3]), known_std_M=numpy.zeros(2), best=1.5
    )
    assert ACQUISITIONS["ucb"](outlook, 2.0, 1, random).tolist() == pytest.approx([1.0, 6.0, 2.0])
    improvement = ACQUISITIONS["ei"](outlook, 0.0, 1, random)
    draws = numpy.random.default_rng(1).normal(0.0, 3.0, 400_000)
    assert improvement[0] == pytest.approx(0.0)
    assert improvement[1] == pytest.approx(numpy.maximum(draws - 1.5, 0).mean(), rel=0.02)
    assert improvement[2] == pytest.approx(0.5)
    # The true value of the observed 1.5 is predicted to be 1.2 at best.
    assert ACQUISITIONS["noisy_ei"](outlook, 0.0, 1, random)[2] == pytest.approx(0.8)
    drawn = numpy.array([ACQUISITIONS["thompson"](outlook, 0.0, 1, random) for _ in range(4000)])
    assert drawn.mean(0) == pytest.approx(mean, abs=0.2)
    assert drawn.std(0) == pytest.approx(std, abs=0.2)
    share = ACQUISITIONS["top"](outlook, 0.0, 1, random)
    assert share == pytest.approx([0.0, (draws > 2).mean(), (draws <= 2).mean()], abs=0.1)
    assert ACQUISITIONS["top"](outlook, 0.0, 3, random) == pytest.approx(numpy.ones(3), abs=1e-5)
