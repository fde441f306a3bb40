"""Successive halving: which trials are promoted and when, and what it costs."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.record.history import EMPTY
from nas.strategies import (
    ASHA,
    NSGA2,
    Evolution,
    Hyperband,
    LocalSearch,
    RandomSearch,
    Strategy,
    SurrogateSearch,
)
from predictors import PREDICTORS
from tests.contracts.strategy_contract import CELLS, best_score, check_strategy, play, score
from tests.nas.strategies.letters import THIRD, Letters, ask, brief, go_on

SURROGATE = SurrogateSearch(PREDICTORS["ridge"](), initial=6, candidates=60)
OVERS = {
    "random": RandomSearch(),
    "evolution": Evolution(6, 3),
    "local": LocalSearch(4),
    "surrogate": SURROGATE,
    "nsga2": NSGA2(population=6),
}


@pytest.mark.parametrize("over", OVERS.values(), ids=OVERS)
def test_asha_keeps_the_contract(over: Strategy) -> None:
    check_strategy(ASHA(over))


@pytest.mark.parametrize("over", [RandomSearch(), SURROGATE], ids=["random", "surrogate"])
def test_hyperband_keeps_the_contract(over: Strategy) -> None:
    check_strategy(Hyperband(over))


def test_asha_promotes_the_best_third_and_the_highest_rung_first() -> None:
    asha, history = ASHA(Letters()), EMPTY
    proposals = ask(asha, history, 8).proposals
    history = go_on(history, proposals, lambda letter, fidelity: letter % 5 + fidelity)
    # Letters 4, 3 and 8 score highest; of eight a third is two, and of equals the older goes on.
    asked = ask(asha, history, 4)
    assert brief(asked.proposals) == [
        (4, 0.333, 4),
        (3, 0.333, 3),
        (8, 0.111, None),
        (9, 0.111, None),
    ]
    assert asked.note == "trials 4, 3 promoted to 1/3 of the epochs"
    assert [item.prediction for item in asked.proposals] == [None] * 4
    history = go_on(
        history, asked.proposals, lambda letter, fidelity: 1.0 if letter == 8 else letter + fidelity
    )
    # Letter 9 is now among the best three of ten. On the second rung, a third of two is none.
    assert brief(ask(asha, history, 2).proposals) == [(9, 0.333, 11), (10, 0.111, None)]
    history = go_on(history, ask(asha, history, 2).proposals, lambda letter, fidelity: letter)
    asked = ask(asha, history, 3)
    assert brief(asked.proposals) == [(9, 1.0, 12), (10, 0.333, 13), (11, 0.111, None)]
    assert asked.note == "trial 12 promoted to all epochs; trial 13 promoted to 1/3 of the epochs"


def test_asha_may_promote_more_than_a_third_where_later_ones_are_better() -> None:
    asha, history = ASHA(Letters()), EMPTY
    for _ in range(12):
        history = go_on(history, ask(asha, history, 1).proposals, lambda letter, fidelity: letter)
    first = [trial for trial in history.trials if trial.continues is None]
    assert sum(trial.fidelity == THIRD for trial in history.trials) > len(first) // 3


def test_failures_are_worst_and_never_promoted() -> None:
    for make in (ASHA, Hyperband):
        strategy, history = make(Letters()), EMPTY
        history = go_on(
            history,
            ask(strategy, history, 9).proposals,
            lambda letter, fidelity: letter if letter in (2, 5) else None,
        )
        promotions = [
            item for item in ask(strategy, history, 4).proposals if item.continues is not None
        ]
        assert brief(promotions) == [(5, 0.333, 5), (2, 0.333, 2)]
        history = go_on(history, promotions, lambda letter, fidelity: None)
        assert all(item.continues is None for item in ask(strategy, history, 9).proposals)


def test_brackets_are_those_of_the_paper() -> None:
    paper = Hyperband(RandomSearch(), 3, 0.0124)
    assert [paper.size(bracket) for bracket in range(6)] == [81, 34, 15, 8, 5, 81]
    assert [Hyperband(Letters()).size(bracket) for bracket in range(3)] == [9, 5, 3]


def test_a_bracket_is_halved_together_and_the_next_one_fills_the_batch() -> None:
    hyperband, history = Hyperband(Letters()), EMPTY
    history = go_on(history, ask(hyperband, history, 7).proposals, lambda letter, fidelity: letter)
    asked = ask(hyperband, history, 4)
    assert brief(asked.proposals) == [
        (7, 0.111, None),
        (8, 0.111, None),
        (9, 0.333, None),
        (10, 0.333, None),
    ], "no trial is promoted before all nine have ended"
    history = go_on(history, asked.proposals, lambda letter, fidelity: letter)
    asked = ask(hyperband, history, 2)
    assert brief(asked.proposals) == [(8, 0.333, 8), (7, 0.333, 7)]
    history = go_on(history, asked.proposals, lambda letter, fidelity: letter)
    asked = ask(hyperband, history, 8)
    # First the last promotion of the first bracket, then the three architectures that the second
    # bracket lacks, then the third bracket with full trainings, then a new cycle.
    assert brief(asked.proposals) == [
        (6, 0.333, 6),
        (11, 0.333, None),
        (12, 0.333, None),
        (13, 0.333, None),
        (14, 1.0, None),
        (15, 1.0, None),
        (16, 1.0, None),
        (17, 0.111, None),
    ]
    history = go_on(history, asked.proposals, lambda letter, fidelity: letter)
    assert brief(ask(hyperband, history, 2).proposals) == [(8, 1.0, 11), (13, 1.0, 16)]


def test_where_nothing_new_is_left_the_brackets_are_halved_as_they_are() -> None:
    hyperband, history = Hyperband(Letters(last=4)), EMPTY
    for _ in range(6):
        proposals = ask(hyperband, history, 4).proposals
        history = go_on(history, proposals, lambda letter, fidelity: letter)
    assert brief(history.trials) == [(n, 0.111, None) for n in range(4)] + [(3, 0.333, 3)]


@settings(max_examples=25)
@given(st.data())
def test_nothing_is_promoted_twice_or_unjustly_and_the_budget_holds(data) -> None:
    make = data.draw(st.sampled_from([ASHA, Hyperband]))
    eta, least = data.draw(st.sampled_from([(2, 0.25), (3, 0.1111), (4, 0.25)]))
    strategy, history = make(Letters(last=200), eta, least), EMPTY
    budget = data.draw(st.integers(1, 5))
    random = numpy.random.default_rng(data.draw(st.integers(0, 1000)))
    count = data.draw(st.integers(1, 6))
    while proposals := history.affordable(ask(strategy, history, count).proposals, budget):
        for place, fidelity in enumerate(strategy.rungs[:-1]):
            rung = [trial for trial in history.trials if trial.fidelity == fidelity]
            observed = [trial for trial in rung if trial.is_observed]
            ranked = sorted(observed, key=lambda trial: (-trial.score, trial.number))
            best = ranked[: len(rung) // eta]
            going = [
                item.continues
                for item in proposals
                if item.fidelity == strategy.rungs[place + 1] and item.continues is not None
            ]
            if make is ASHA:
                assert set(going) <= {trial.number for trial in best}
            assert len(going) <= len(rung) // eta
            assert not {trial.continues for trial in history.trials} & set(going)
        history = go_on(
            history,
            proposals,
            lambda letter, f: None if random.random() < 0.2 else float(random.integers(10)),
        )
        assert history.spent <= budget + 1e-6
    # A full training costs 1, so the search ends only after nearly the whole budget is spent.
    assert history.spent > budget - 1
    if make is Hyperband:
        after = {trial.continues: trial for trial in history.trials}
        begun = list(strategy._begun(history))
        assert begun
        for _, members in begun:
            while members:
                going = [after[trial.number] for trial in members if trial.number in after]
                assert len(going) <= len(members) // eta, "this holds over all rounds too"
                members = going


def test_halving_finds_better_ones_than_random_at_the_same_budget() -> None:
    def mean_best(strategy: Strategy, trials: int) -> float:
        histories = [play(strategy, CELLS, trials // 4, 4, score, seed) for seed in range(5)]
        return float(numpy.mean([best_score(history) for history in histories]))

    # 60 trials of ASHA cost about 14 full evaluations. Here all fidelities give the same score.
    assert mean_best(ASHA(), 60) > mean_best(RandomSearch(), 16)
