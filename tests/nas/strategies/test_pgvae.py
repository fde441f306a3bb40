"""The draws of the strategy `pgvae`, and the weights of its baselines.

Its contract is tested in `test_strategies.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest

from nas.strategies import PGVAE, RandomSearch
from nas.strategies import weighting as weights
from nas.strategies.pgvae import ranks
from spaces.load import load_space
from tests.contracts.strategy_contract import CELLS, best_score, check_strategy, play, score
from tests.spaces.test_codes import NESTED

SMALL = PGVAE(initial=8, latent=4, width=16, steps=60)


@pytest.mark.parametrize("weighting", ["rwr", "dbas", "cbas", "cem"])
def test_the_baselines_keep_the_contract(weighting: str) -> None:
    check_strategy(replace(SMALL, weighting=weighting, steps=10))


def test_after_the_initial_design_it_draws_from_the_latent_space() -> None:
    history = play(SMALL, CELLS, rounds=5, count=4, score=score)
    assert [trial.origin for trial in history.trials] == ["random"] * 8 + ["latent"] * 12


@pytest.mark.parametrize("weighting", ["pgvae", "rwr", "dbas", "cbas", "cem"])
def test_it_beats_chance(weighting: str) -> None:
    strategy = replace(SMALL, weighting=weighting, steps=100)
    best = [best_score(play(strategy, CELLS, 20, 4, score, seed)) for seed in range(3)]
    chance = [best_score(play(RandomSearch(), CELLS, 20, 4, score, seed)) for seed in range(3)]
    assert sum(best) > sum(chance)


def test_failures_are_learnt_from() -> None:
    """A failure counts as the worst score, so architectures like it are drawn less often."""
    history = play(
        replace(SMALL, steps=100),
        CELLS,
        25,
        4,
        lambda item: None if item.answers["op0"] != "conv2d" else score(item),
    )
    late = history.trials[50:]
    assert sum(trial.is_observed for trial in late) > 0.5 * len(late), "by chance it is a quarter"


@pytest.mark.parametrize(
    "space",
    [NESTED, load_space("convnet"), load_space("nasbench101")],
    ids=lambda space: space.name,
)
def test_conditional_spaces(space) -> None:
    history = play(
        SMALL,
        space,
        rounds=4,
        count=5,
        score=lambda architecture: float(len(architecture.decisions)),
    )
    assert len(history.trials) == 20
    assert sum(trial.origin == "latent" for trial in history.trials) == 10


def test_scores_are_ranks_and_failures_are_the_worst() -> None:
    scores = iter([3.0, None, -1000.0, 5.0, 3.0, 2.0, None])
    history = play(RandomSearch(), CELLS, 1, 7, lambda item: next(scores))
    assert ranks(list(history.trials)) * 6 == pytest.approx([4.5, 1, 1, 6, 4.5, 3, 1])
    alike = play(RandomSearch(), CELLS, 1, 3, lambda item: 2.0)
    assert ranks(list(alike.trials)).tolist() == [0.5] * 3


def test_weights() -> None:
    score_N = numpy.linspace(0, 1, 101)
    for weight_N in (
        weights.rwr(score_N, 0.1),
        weights.dbas(score_N, 0.9),
        weights.cem(score_N, 0.9),
        weights.cbas(score_N, 0.9, numpy.zeros(101)),
    ):
        assert weight_N.mean() == pytest.approx(1)
        assert (numpy.diff(weight_N) >= 0).all()
    assert weights.rwr(score_N, 0.1)[100] / weights.rwr(score_N, 0.1)[0] == pytest.approx(
        numpy.exp(10)
    )
    assert (weights.cem(score_N, 0.9) > 0).sum() == 11
    above = weights.dbas(score_N, 0.9)
    assert above[90] / above[100] == pytest.approx(0.5 / 0.97725, rel=1e-3), (
        "at the quantile, half of the noise is above it; two standard deviations up, 0.977"
    )
    doubled = weights.cbas(score_N, 0.9, numpy.where(numpy.arange(101) == 95, numpy.log(2), 0))
    assert doubled[95] / doubled[96] == pytest.approx(2 * above[95] / above[96])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": 1}, "initial to be 2 or more"),
        ({"latent": 0}, "latent to be 1 or more"),
        ({"steps": 0}, "steps to be 1 or more"),
        ({"weighting": "cpas"}, "known: pgvae, rwr, dbas, cbas, cem"),
        ({"beta": -1.0}, "beta to be 0 or more"),
        ({"tau": 0.0}, "tau to be above 0"),
        ({"temperature": 0.0}, "temperature to be above 0"),
        ({"quantile": 1.0}, "between 0 and 1"),
        ({"target": 1.5}, "between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PGVAE(**settings)
