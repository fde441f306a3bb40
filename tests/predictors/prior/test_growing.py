"""Experts are grown: of few labels too, stored as they are, and weighed by how much they know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from predictors.prior.experts import ENOUGH, Prior
from predictors.prior.growing import enlarged, expert_forest, expert_of
from predictors.prior.networks import WHOLE
from predictors.prior.stored import digest, load_prior, save_prior


def networks(count: int, seed: int = 0) -> np.ndarray:
    """(N, W) made-up numbers of networks; the first is what labels depend on."""
    return np.random.default_rng(seed).normal(size=(count, len(WHOLE)))


def nothing() -> Prior:
    shipped = load_prior("shipped")
    assert shipped is not None
    return replace(shipped.only([]), spread_W=np.ones(len(WHOLE)))


def with_expert(prior: Prior, count: int, *, cost: bool = False, seed: int = 0) -> Prior:
    whole_NW = networks(count, seed)
    label_N = whole_NW[:, 0]
    forest = expert_forest(whole_NW, label_N, cost=cost, seed=seed)
    return enlarged(prior, expert_of(f"of {count}", "y", label_N, cost=cost), forest, whole_NW)


@pytest.mark.parametrize(("count", "least"), [(10, 0.2), (40, 0.5), (400, 0.8)])
def test_an_expert_ranks_networks_that_it_has_not_seen(count: int, least: float) -> None:
    prior = with_expert(nothing(), count)
    other_MW = networks(500, seed=1)
    opinion_M = prior.forest.predict(other_MW)[:, 0]
    assert np.corrcoef(opinion_M, other_MW[:, 0])[0, 1] > least


def test_an_expert_knows_the_values_of_its_column() -> None:
    label_N = np.arange(101.0)
    score, cost = (expert_of("t", "y", label_N, cost=cost) for cost in (False, True))
    assert score.networks == 101
    np.testing.assert_allclose(score.in_own_units(np.array([0.0, 1.0])), [50.0, 84.5], atol=0.5)
    # A cost is learnt negated, and stated as it was.
    assert cost.values == tuple(-value for value in score.values)


def test_what_is_stored_is_what_was_grown(tmp_path: Path) -> None:
    prior = with_expert(with_expert(nothing(), 30), 60, cost=True, seed=1)
    save_prior(prior, tmp_path / "prior", {"without": []})
    read = load_prior(str(tmp_path / "prior"))
    assert read is not None
    assert read.experts == prior.experts
    whole_MW = networks(50, seed=2)
    np.testing.assert_array_equal(read.forest.predict(whole_MW), prior.forest.predict(whole_MW))
    np.testing.assert_array_equal(read.center_KW, prior.center_KW)
    assert digest(read) == digest(prior)
    assert digest(prior) != digest(with_expert(with_expert(nothing(), 30), 60, cost=True, seed=2))


def test_an_expert_of_few_networks_weighs_less() -> None:
    prior = with_expert(with_expert(nothing(), 40), 40, seed=0)
    whole_MW = networks(300, seed=3)

    def shares(first: int) -> np.ndarray:
        known = (
            replace(prior.experts[0], networks=first),
            replace(prior.experts[1], networks=ENOUGH),
        )
        view = replace(prior, experts=known).view(whole_MW, cost=False)
        assert view is not None
        return view.weight_K / view.weight_K.sum()

    # The two are the same but for the number that they state.
    np.testing.assert_allclose(shares(ENOUGH), [0.5, 0.5])
    np.testing.assert_allclose(shares(10 * ENOUGH), [0.5, 0.5])
    assert shares(10)[0] < shares(100)[0] < 0.4
