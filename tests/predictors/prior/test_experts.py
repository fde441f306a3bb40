"""Experts: whom they listen to, in whose units they speak, and how they are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from predictors.learners.forest import Forest, forest_of
from predictors.prior.encoder import Encoder, Sizes, Trained, steps_of
from predictors.prior.experts import EXPECTED, FARTHEST, LEVELS, SIZES, Expert, Prior
from predictors.prior.graph_networks import NO_NETWORKS, GraphNetworks
from predictors.prior.kinds import KINDS
from predictors.prior.networks import WHOLE
from predictors.prior.node_features import FEATURES
from predictors.prior.stored import (
    SHIPPED,
    load_prior,
    rounded,
    rounded_network,
    save_prior,
    view_arrays,
    view_from,
)

DEPTH = WHOLE.index("mean weighted layers of a path")
CLASSES = WHOLE.index("log2 channels at the end")


def _heads() -> GraphNetworks:
    node_NF = np.random.default_rng(0).random((50, len(FEATURES)))
    steps = steps_of(node_NF, 2)
    sizes = Sizes(len(KINDS) + len(steps), 8, 1, 2)
    trained = Trained(Encoder(sizes, torch.Generator().manual_seed(0)), steps)
    return GraphNetworks((rounded_network(trained.arrays()),))


HEADS = _heads()


def networks(count: int, seed: int, *, classes: float = 3.0, depth: float = 20.0) -> np.ndarray:
    """Numbers of networks that differ in everything, around a depth, for so many classes."""
    random = np.random.default_rng(seed)
    whole_MW = random.normal(size=(count, len(WHOLE)))
    whole_MW[:, DEPTH] += depth
    whole_MW[:, CLASSES] = classes
    return whole_MW


def grown(whole_NW: np.ndarray, score_N: np.ndarray) -> Forest:
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(n_estimators=30, min_samples_leaf=3, random_state=0)
    trees.fit(whole_NW, score_N)
    return rounded(forest_of([[tree.tree_ for tree in trees.estimators_]], 1 / 30, [0.0]))


@pytest.fixture(scope="module")
def prior() -> Prior:
    """Two experts of scores, one of which likes deep networks, and one of costs."""
    near, far = networks(300, 1), networks(300, 2, classes=10.0)
    forests = [grown(near, near[:, DEPTH]), grown(far, -far[:, DEPTH]), grown(near, near[:, 0])]
    values = tuple(np.linspace(80.0, 100.0, len(LEVELS)).tolist())
    experts = (
        Expert("near", "accuracy", False, 300, values),
        Expert("far", "accuracy", False, 300, values),
        Expert("near", "latency", True, 300, values),
    )
    joined = Forest(
        *(
            np.concatenate([getattr(forest, name) for forest in forests])
            for name in Forest.__dataclass_fields__
        )
    )
    centers = np.stack([near.mean(0), far.mean(0), near.mean(0)])
    spread = np.concatenate([near, far]).std(0) + 1e-6
    return Prior(experts, joined, centers, spread, NO_NETWORKS, np.zeros((0, len(experts))), 0.0)


def test_the_nearest_expert_is_heard_most(prior: Prior) -> None:
    asked = networks(200, 3)
    view = prior.view(asked, cost=False)
    assert view is not None
    assert next(expert.table for expert in view.prior.experts) == "near"
    blend_M, _ = view.opinions(asked)
    assert np.corrcoef(blend_M, asked[:, DEPTH])[0, 1] > 0.6
    assert view.expected == EXPECTED
    other = prior.view(networks(200, 4, classes=10.0), cost=False)
    assert other is not None
    assert np.corrcoef(other.opinions(asked)[0], asked[:, DEPTH])[0, 1] < -0.6


def test_scores_and_costs_are_asked_apart(prior: Prior) -> None:
    view = prior.view(networks(200, 3), cost=True)
    assert view is not None
    assert [expert.column for expert in view.prior.experts] == ["latency"]


def test_nobody_speaks_of_networks_that_are_like_none(prior: Prior) -> None:
    strange = networks(200, 5) + 50.0 * prior.spread_W
    assert (prior.distances(strange) >= FARTHEST).all()
    assert prior.view(strange, cost=False) is None


def test_nobody_speaks_of_networks_of_other_sizes(prior: Prior) -> None:
    asked = networks(200, 3)
    view = prior.view(asked, cost=False)
    assert view is not None
    assert prior.tells_apart(asked).all()
    smaller = asked.copy()
    smaller[:, list(SIZES)] -= 50.0
    # They are near in all other numbers.
    assert (prior.distances(smaller)[:1] < FARTHEST).all()
    assert not prior.tells_apart(smaller).any()
    assert prior.view(smaller, cost=False) is None
    # Some networks of known sizes are enough.
    mixed = np.concatenate([smaller, asked[:5]])
    assert prior.tells_apart(mixed).all()


def test_nobody_speaks_of_one_network_in_units_of_its_own(prior: Prior) -> None:
    assert prior.view(np.repeat(networks(1, 6), 5, axis=0), cost=False) is None


def test_opinions_are_in_units_of_the_reference(prior: Prior) -> None:
    asked = networks(200, 3)
    view = prior.view(asked, cost=False)
    assert view is not None
    blend_M, opinion_MK = view.opinions(asked)
    np.testing.assert_allclose(opinion_MK.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(opinion_MK.std(0), 1, atol=1e-9)
    assert blend_M.std() == pytest.approx(1)


def test_an_expert_without_its_table_is_gone(prior: Prior) -> None:
    assert [expert.table for expert in prior.without(["near"]).experts] == ["far"]


def test_an_experts_own_units(prior: Prior) -> None:
    middle = prior.experts[0].in_own_units(np.array([-9.0, 0.0, 9.0]))
    np.testing.assert_allclose(middle, [80.0, 90.0, 100.0])


def test_a_stored_prior_is_the_same(prior: Prior, tmp_path: Path) -> None:
    save_prior(prior, tmp_path / "prior", {"seed": 1})
    read = load_prior(str(tmp_path / "prior"))
    assert read is not None
    assert read.experts == prior.experts
    asked = networks(50, 7)
    np.testing.assert_array_equal(read.forest.predict(asked), prior.forest.predict(asked))
    np.testing.assert_allclose(read.center_KW, prior.center_KW, rtol=1e-6)


def test_a_stored_view_is_the_same(prior: Prior) -> None:
    asked = networks(50, 3)
    view = prior.view(asked, cost=False)
    assert view is not None
    stated = [{**vars(expert)} for expert in view.prior.experts]
    again = view_from(stated, view_arrays(view))
    for first, second in zip(again.opinions(asked), view.opinions(asked), strict=True):
        np.testing.assert_array_equal(first, second)


def test_no_prior_is_none() -> None:
    assert load_prior("none") is None


@pytest.mark.parametrize("broken", ["missing", "json", "numbers", "trees"])
def test_a_broken_prior_is_refused_in_a_sentence(prior: Prior, tmp_path: Path, broken: str) -> None:
    place = tmp_path / broken
    save_prior(prior, place, {})
    card, weights = place / "prior.json", place / "prior.safetensors"
    if broken == "missing":
        weights.unlink()
    elif broken == "json":
        card.write_text("{")
    elif broken == "numbers":
        card.write_text(card.read_text().replace("log paths", "paths"))
    else:
        save_prior(prior.only([0, 1]), tmp_path / "two", {})
        weights.write_bytes((tmp_path / "two" / "prior.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"a prior is `shipped`, `none`, or a directory"):
        load_prior(str(place))


def test_the_shipped_prior_knows_what_may_be_shipped() -> None:
    shipped = load_prior("shipped")
    assert shipped is not None
    tables = {expert.table for expert in shipped.experts}
    assert {"nasbench101", "nasbench201", "timm", "flexibert_qnli"} <= tables
    assert not any("nasbench_mr" in table or "spike" in table for table in tables)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 5_000_000


def test_experts_listen_to_their_heads_and_only_they(prior: Prior) -> None:
    # The heads of one network: the first is that of the expert "near", the second is not heard.
    heard = replace(prior, networks=HEADS, share_GK=np.array([[0.4, 0, 0], [0, 0, 0]]), fade=1.5)
    number_MW = networks(50, 3)
    said_MG = np.random.default_rng(0).normal(size=(50, 2))
    row_MR = np.column_stack([number_MW, said_MG])
    grown_MK, found_MK = prior.opinions(number_MW), heard.opinions(row_MR)
    share_M = 0.4 / (1 + np.exp(-1.5 * grown_MK[:, 0]))
    wanted_M = (1 - share_M) * grown_MK[:, 0] + share_M * said_MG[:, 0]
    np.testing.assert_allclose(found_MK[:, 0], wanted_M)
    np.testing.assert_array_equal(found_MK[:, 1:], grown_MK[:, 1:])
    np.testing.assert_array_equal(heard.opinions(number_MW), grown_MK)
    np.testing.assert_array_equal(heard.distances(row_MR), prior.distances(number_MW))
    assert heard.heard is HEADS
    assert len(heard.only([1, 2]).heard) == 0
    np.testing.assert_array_equal(heard.only([1, 0]).opinions(row_MR), found_MK[:, [1, 0]])


def test_a_stored_network_is_the_same(prior: Prior, tmp_path: Path) -> None:
    heard = replace(prior, networks=HEADS, share_GK=np.array([[0.25, 0, 0], [0, 0.5, 0]]), fade=1.5)
    save_prior(heard, tmp_path / "prior", {})
    read = load_prior(str(tmp_path / "prior"))
    assert read is not None
    np.testing.assert_array_equal(read.share_GK, heard.share_GK)
    assert read.fade == heard.fade
    assert len(read.networks.members) == 1
    for name, array in HEADS.members[0].items():
        np.testing.assert_array_equal(read.networks.members[0][name], array)
