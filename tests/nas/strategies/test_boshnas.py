"""The policy of the strategy `boshnas`, its climbs, and the rounds that it counts in the history.

Its contract is tested in `test_strategies.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch

from nas.evaluators.evaluator import Observation
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.trials import Predicted
from nas.strategies import BOSHNAS, Asked, RandomSearch
from nas.strategies.boshnas import OPTIMISED, STALE, UNSURE, stale_rounds
from nas.strategies.boshnas_climb import bound, boxes, nearest_first
from predictors import GNN, Boshnas
from predictors.boshnas.gobi import Ascent, climb
from predictors.boshnas.relaxed import climb_operations, graph_features
from predictors.boshnas.surrogate import Surrogate
from predictors.network.ensemble import Networks
from tests.contracts.predictor_contract import random_graphs, true_scores
from tests.contracts.strategy_contract import CELLS, TINY, best_score, networks, play, score

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


def predictions(asked: Asked) -> list[Predicted]:
    """The predictions of proposals that all have one."""
    found = [item.prediction for item in asked.proposals if item.prediction is not None]
    assert len(found) == len(asked.proposals)
    return found


def test_unsure_proposals_have_the_largest_epistemic_uncertainty() -> None:
    history = play(RandomSearch(), CELLS, rounds=3, count=4, score=score)
    asked = replace(SMALL, unsure=1.0, random=0.0).ask(CELLS, history, 60, 0)
    uncertainties = [prediction.epistemic for prediction in predictions(asked)]
    assert {item.origin for item in asked.proposals} == {UNSURE}
    assert uncertainties == sorted(uncertainties, reverse=True)


def test_the_control_takes_the_highest_bounds_and_climbs_come_near_to_them() -> None:
    history = play(RandomSearch(), CELLS, rounds=6, count=4, score=score)
    greedy = replace(SMALL, unsure=0.0, random=0.0, candidates=300, fit_steps=100)

    def bounds(strategy: BOSHNAS, count: int) -> list[float]:
        found = predictions(strategy.ask(CELLS, history, count, 0))
        return [each.mean + strategy.epistemic * each.epistemic for each in found]

    ranked = bounds(replace(greedy, order="zeroth"), 300)
    assert ranked == sorted(ranked, reverse=True)
    for order in ("first", "second"):
        climbed = bounds(replace(greedy, order=order, climb_steps=60), 4)
        assert numpy.mean(climbed) > numpy.quantile(ranked, 0.9)


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
    assert inner[:, ops.index("conv")].mean() > 0.8, "convolutions have the best scores"
    # An input that was not moved is read as the graph itself: the share of its own operation is 1.
    moved = torch.from_numpy(read_MF).reshape(5, 2, 16).transpose(0, 1)
    still = torch.from_numpy(features_MF).reshape(5, 2, 16).transpose(0, 1)
    assert fitted.model.network.head(moved).mean() > fitted.model.network.head(still).mean()


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


def stale(*rounds: tuple[str, float | None]) -> int:
    """The stale rounds of a history with one trial in each round.

    A round is given as the trial's origin and its score, which is None if the trial is pending.
    """
    drawn = RandomSearch().ask(CELLS, EMPTY, len(rounds), 0).proposals
    history = play(
        RandomSearch(), CELLS, rounds=len(rounds), count=1, score=lambda architecture: 0.0
    )
    assert len(drawn) == len(history.trials)
    trials = tuple(
        replace(trial, origin=origin, outcome=None if value is None else Observation(value))
        for trial, (origin, value) in zip(history.trials, rounds, strict=True)
    )
    return stale_rounds(replace(history, trials=trials))


def test_only_rounds_of_optimisation_without_a_better_score_are_counted() -> None:
    first, worse, better = ("random", 1.0), (OPTIMISED, 0.5), (OPTIMISED, 1.5)
    assert stale(first, ("random", 0.5)) == 0
    assert stale(first, worse, ("random", 0.2), worse, (UNSURE, 0.1)) == 2
    assert stale(first, worse, better) == 0
    assert stale(first, worse, ("random", 2.0), (OPTIMISED, 1.0)) == 1
    assert stale(first, worse, (OPTIMISED, None)) == 1, "a pending round is not counted yet"


def test_aleatoric_uncertainty_counts_after_stale_rounds_until_it_has_converged() -> None:
    history = play(SMALL, CELLS, rounds=3, count=4, score=score)

    def with_stale_rounds(times: int) -> History:
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
            events = [
                round_event(3 + number, "search", [like]),
                outcome_event(first, Observation(-9.0)),
            ]
            rounds = fold(events, rounds)
        return rounds

    before = stale_rounds(history)
    notes = [
        SMALL.ask(CELLS, with_stale_rounds(times - before), 2, 0).note
        for times in (STALE - 1, STALE, 2 * STALE)
    ]
    assert notes[0] == ""
    assert "noise counts too" in notes[1]
    assert notes[2].startswith("converged")
    noisy = replace(SMALL, order="zeroth", aleatoric=100.0, epistemic=0.0, unsure=0.0, random=0.0)
    early, late = (
        predictions(noisy.ask(CELLS, with_stale_rounds(times - before), 4, 0))
        for times in (STALE - 1, STALE)
    )
    assert numpy.mean([each.mean for each in early]) > numpy.mean([each.mean for each in late])


def test_it_beats_chance() -> None:
    strategy = replace(SMALL, fit_steps=100, candidates=100, climb_steps=30)
    best = best_score(play(strategy, CELLS, 6, 6, score, 0))
    chance = [best_score(play(RandomSearch(), CELLS, 6, 6, score, seed)) for seed in range(10)]
    assert best > numpy.quantile(chance, 0.8)


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
