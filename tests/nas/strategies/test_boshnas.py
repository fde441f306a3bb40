"""The strategy `boshnas` beside its contract in test_strategies.py: its policy, its climbs, and
what it reads off the history.
"""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch

from nas.record.history import EMPTY, History, fold, outcome_event, round_event
from nas.strategies import BOSHNAS, RandomSearch
from nas.strategies.boshnas import (
    OPTIMISED,
    STALE,
    UNSURE,
    bound,
    boxes,
    nearest_first,
    stale_rounds,
)
from predictors import GNN, Boshnas
from predictors.boshnas.gobi import Ascent, climb
from predictors.boshnas.relaxed import climb_operations, graph_features
from predictors.boshnas.surrogate import Surrogate
from predictors.network.ensemble import Networks
from tests.contracts.predictor_contract import random_graphs, true_scores
from tests.contracts.strategy_contract import CELLS, TINY, networks, play, score

SMALL = BOSHNAS(initial=8, candidates=60, climb_steps=10, members=2, fit_steps=40)
VARIANTS = {
    "second": replace(SMALL, order="second"),
    "zeroth": replace(SMALL, order="zeroth"),
    "one noise": replace(SMALL, heteroscedastic=False),
    "relaxed": replace(SMALL, inputs="relaxed"),
    "relaxed, second": replace(SMALL, inputs="relaxed", order="second"),
}


@pytest.mark.parametrize("strategy", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_proposes_new_architectures_and_the_same_ones_again(
    strategy: BOSHNAS,
) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    history = play(strategy, CELLS, rounds=4, count=4, score=score)
    assert torch.equal(before, torch.get_rng_state())
    assert len(history.trials) == len(history.keys) == len(networks(history)) == 16
    assert [trial.prediction is None for trial in history.trials] == [True] * 8 + [False] * 8
    assert play(strategy, CELLS, rounds=4, count=4, score=score) == history
    whole = play(
        replace(strategy, initial=4, fit_steps=10),
        TINY,
        rounds=4,
        count=3,
        score=lambda architecture: float(len(architecture.key)),
    )
    assert len(whole.keys) == 7


def test_of_ten_proposals_eight_climb_one_is_unsure_and_one_random() -> None:
    history = play(RandomSearch(), CELLS, rounds=3, count=4, score=score)
    origins = [
        item.origin
        for seed in range(6)
        for item in replace(SMALL, fit_steps=10).ask(CELLS, history, 20, seed).proposals
    ]
    shares = {
        origin: origins.count(origin) / len(origins) for origin in (OPTIMISED, UNSURE, "random")
    }
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[OPTIMISED] == pytest.approx(0.8, abs=0.12)
    assert min(shares[UNSURE], shares["random"]) > 0.03


def test_the_unsure_are_those_of_the_largest_doubt() -> None:
    history = play(RandomSearch(), CELLS, rounds=3, count=4, score=score)
    asked = replace(SMALL, unsure=1.0, random=0.0).ask(CELLS, history, 60, 0)
    doubts = [item.prediction.epistemic for item in asked.proposals]  # type: ignore[union-attr]
    assert {item.origin for item in asked.proposals} == {UNSURE}
    assert doubts == sorted(doubts, reverse=True)


def test_the_control_takes_what_the_bound_is_highest_of_and_climbs_come_near_to_that() -> None:
    history = play(RandomSearch(), CELLS, rounds=6, count=4, score=score)
    greedy = replace(SMALL, unsure=0.0, random=0.0, candidates=300, fit_steps=100)

    def bounds(strategy: BOSHNAS, count: int) -> list[float]:
        told = [item.prediction for item in strategy.ask(CELLS, history, count, 0).proposals]
        return [said.mean + strategy.epistemic * said.epistemic for said in told]  # type: ignore[union-attr]

    ranked = bounds(replace(greedy, order="zeroth"), 300)
    assert ranked == sorted(ranked, reverse=True)
    for order in ("first", "second"):
        assert numpy.mean(bounds(replace(greedy, order=order, climb_steps=60), 4)) > numpy.quantile(
            ranked, 0.9
        )


@pytest.mark.parametrize("order", ["first", "second"])
def test_climbs_end_higher_than_all_the_graphs_they_start_from(order) -> None:
    graphs = random_graphs(60, seed=1)
    fitted = Boshnas(members=2, steps=80).fit(graphs, true_scores(graphs))
    assert isinstance(fitted.model, Surrogate)
    place_ND = fitted.model.embedding.embed(fitted.encode(graphs))
    value = bound(fitted.model, (0.0, 0.5))
    _, height_K = climb(
        value, place_ND[:10], place_ND.min(0), place_ND.max(0), Ascent(order, 60), 0
    )
    assert height_K.mean() > float(value(torch.from_numpy(place_ND)).max())


def test_relaxed_operations_are_shares_and_climb_to_the_better_operation() -> None:
    graphs = random_graphs(60, seed=1)
    fitted = GNN(members=2, width=16, layers=2, steps=80).fit(graphs, true_scores(graphs))
    assert isinstance(fitted.model, Networks)
    encoded = fitted.encode(graphs[:5])
    read_MF, share_MPO = climb_operations(
        fitted.model, fitted.encoding, encoded, (0.0, 0.0), Ascent("first", 60), 0
    )
    features_MF = graph_features(fitted.model, encoded)
    assert read_MF.shape == features_MF.shape == (5, 2 * 16)
    assert share_MPO.sum(-1) == pytest.approx(numpy.ones(share_MPO.shape[:2]), abs=1e-5)
    ops = fitted.encoding.nodes.ops
    sizes_M = encoded.flat.last_M - encoded.flat.first_M
    for share_PO, last in zip(share_MPO, sizes_M, strict=True):
        assert share_PO[0, ops.index("input")] == share_PO[last, ops.index("output")] == 1
    inner = numpy.concatenate(
        [share_PO[1:last] for share_PO, last in zip(share_MPO, sizes_M, strict=True)]
    )
    assert inner[:, ops.index("conv")].mean() > 0.8, "convolutions are what scores"
    # What was not moved is read as the graph itself: its own operation's share is then all.
    moved = torch.from_numpy(read_MF).reshape(5, 2, 16).transpose(0, 1)
    still = torch.from_numpy(features_MF).reshape(5, 2, 16).transpose(0, 1)
    assert fitted.model.network.judge(moved).mean() > fitted.model.network.judge(still).mean()


def test_the_nearest_to_each_end_come_first_and_all_are_named_once() -> None:
    place_ND = numpy.array([[0.0], [1.0], [2.0], [10.0]])
    end_KD = numpy.array([[9.0], [0.9]])
    assert nearest_first(end_KD, place_ND, numpy.array([0.0, 1.0, 5.0, 2.0])) == [3, 1, 2, 0]
    assert nearest_first(end_KD, place_ND, numpy.array([0.0, 3.0, 5.0, 2.0])) == [1, 3, 2, 0]


def test_a_start_may_move_a_share_of_the_candidates_range_and_not_out_of_it() -> None:
    place_ND = numpy.array([[-4.0, 1.0], [0.0, 3.0], [4.0, 2.0]])
    low_KD, high_KD = boxes(place_ND[:2], place_ND, 0.25)
    assert low_KD.tolist() == [[-4.0, 1.0], [-2.0, 2.5]]
    assert high_KD.tolist() == [[-2.0, 1.5], [2.0, 3.0]]


def told(rounds: list[tuple[str, float | None]]) -> History:
    """A history of rounds of one trial, of this origin and score; None for a failure."""
    drawn = RandomSearch().ask(CELLS, EMPTY, len(rounds), 0).proposals
    history = play(
        RandomSearch(), CELLS, rounds=len(rounds), count=1, score=lambda architecture: 0.0
    )
    assert len(drawn) == len(history.trials)
    trials = [
        replace(
            trial,
            origin=origin,
            outcome=None if value is None else replace(trial.outcome, score=value),
        )  # type: ignore[type-var]
        for trial, (origin, value) in zip(history.trials, rounds, strict=True)
    ]
    return replace(history, trials=tuple(trials))


def test_only_rounds_that_optimised_and_brought_nothing_are_counted() -> None:
    assert stale_rounds(told([("random", 1.0), ("random", 0.5)])) == 0
    assert (
        stale_rounds(
            told(
                [
                    ("random", 1.0),
                    (OPTIMISED, 0.5),
                    ("random", 0.2),
                    (OPTIMISED, 0.5),
                    (UNSURE, 0.1),
                ]
            )
        )
        == 2
    )
    assert stale_rounds(told([("random", 1.0), (OPTIMISED, 0.5), (OPTIMISED, 1.5)])) == 0
    assert (
        stale_rounds(told([("random", 1.0), (OPTIMISED, 0.5), ("random", 2.0), (OPTIMISED, 1.0)]))
        == 1
    )
    assert stale_rounds(told([("random", 1.0), (OPTIMISED, 0.5), (OPTIMISED, None)])) == 1, (
        "what is pending has not failed to help"
    )


def test_noise_counts_once_the_best_has_stood_and_then_it_has_converged() -> None:
    history = play(SMALL, CELLS, rounds=3, count=4, score=score)

    def stood(times: int) -> History:
        rounds = history
        for number in range(times):
            first = len(rounds.trials)
            (item,) = RandomSearch().ask(CELLS, rounds, 1, number).proposals
            like = replace(
                rounds.trials[-1],
                number=first,
                round=3 + number,
                architecture=item.architecture,
                canonical=item.canonical,
            )
            like = replace(like, origin=OPTIMISED, outcome=None)
            rounds = fold(
                [
                    round_event(3 + number, "search", [like]),
                    outcome_event(first, replace(history.trials[0].outcome, score=-9.0)),
                ],
                rounds,
            )  # type: ignore[type-var]
        return rounds

    before = stale_rounds(history)
    notes = [
        SMALL.ask(CELLS, stood(times - before), 2, 0).note
        for times in (STALE - 1, STALE, 2 * STALE)
    ]
    assert notes[0] == ""
    assert "noise counts too" in notes[1]
    assert notes[2].startswith("converged")
    noisy = replace(SMALL, order="zeroth", aleatoric=100.0, epistemic=0.0, unsure=0.0, random=0.0)
    early, late = (
        noisy.ask(CELLS, stood(times - before), 4, 0).proposals for times in (STALE - 1, STALE)
    )
    assert numpy.mean([item.prediction.mean for item in early]) > numpy.mean(
        [item.prediction.mean for item in late]
    )  # type: ignore[union-attr]


def test_it_beats_chance() -> None:
    strategy = replace(SMALL, fit_steps=100, candidates=100, climb_steps=30)
    best = play(strategy, CELLS, 6, 6, score, 0).best
    chance = [play(RandomSearch(), CELLS, 6, 6, score, seed).best.score for seed in range(10)]  # type: ignore[union-attr]
    assert best is not None
    assert best.score > numpy.quantile(chance, 0.8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": 1}, "initial to be 2 or more"),
        ({"order": "third"}, "known: second, first, zeroth"),
        ({"inputs": "words"}, "known: embedding, relaxed"),
        ({"embedding": "words"}, "known: counts"),
        ({"unsure": 0.6, "random": 0.6}, "together at most 1"),
        ({"trust": 0.0}, "above 0 and at most 1"),
        ({"epistemic": -1.0}, "aleatoric and epistemic"),
        ({"climb_steps": 0}, "climb_steps to be 1 or more"),
        ({"inputs": "relaxed", "members": 1}, "members, at least 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BOSHNAS(**settings)
