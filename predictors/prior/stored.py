"""Priors on disk: one JSON file and one safetensors file. Nothing is pickled."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from predictors.frame.untrusted import checked, counts, floats, read_arrays, read_json
from predictors.learners.forest import Forest
from predictors.prior.experts import EXPERT_DEVIATION, LEVELS, Expert, Prior, View
from predictors.prior.graph_networks import GraphNetworks
from predictors.prior.networks import WHOLE

SHIPPED = Path(__file__).parent / "shipped"
# The array of a graph network that holds numbers of features.
FEATURE = "steps.feature_S"
CARD_FILE, WEIGHTS_FILE = "prior.json", "prior.safetensors"
FORMAT = 2
# Stands for a leaf where a node has the number of its feature.
LEAF = 255
# Bounds that no prior or view that was trained comes near to; within them every opinion is finite.
# float16, in which weights are stored, has no numbers beyond the first.
MOST_WEIGHT, MOST_FADE, MOST_NUMBER, LEAST_SPREAD, LEAST_SCALE = 1e5, 1e3, 1e30, 1e-9, 1e-9


def view_arrays(view: View) -> dict[str, np.ndarray]:
    """All that is needed to make a view again, by name."""
    return {
        "view.mean": view.mean_K,
        "view.scale": view.scale_K,
        "view.weight": view.weight_K,
        "view.deviation": view.deviation_K,
        "view.expected": np.array([view.expected]),
        **_packed(view.prior),
    }


def view_from(experts: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> View:
    """The view that `view_arrays` turned into these arrays.

    Raises:
        KeyError, TypeError, ValueError: they do not fit together.
    """
    prior = _unpacked(tuple(_expert(each) for each in experts), arrays)
    shape = (len(prior.experts),)
    return View(
        prior,
        floats(arrays, "view.mean", shape),
        floats(arrays, "view.scale", shape, least=LEAST_SCALE),
        floats(arrays, "view.weight", shape, least=0),
        floats(arrays, "view.deviation", shape, least=0, most=EXPERT_DEVIATION),
        float(floats(arrays, "view.expected", (1,), least=0, most=1)[0]),
    )


def save_prior(prior: Prior, directory: Path, card: Mapping[str, object]) -> None:
    """Write the two files that `load_prior` reads.

    Args:
        prior: the experts.
        directory: a missing one is created.
        card: what is said about them, for people.

    Raises:
        ValueError: `load_prior` would refuse it, as with a number too large for float16.
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array) for name, array in _packed(prior).items()}
    _unpacked(prior.experts, arrays)
    directory.mkdir(parents=True, exist_ok=True)
    save_file(arrays, directory / WEIGHTS_FILE)
    written = {
        "format": FORMAT,
        "experts": [asdict(expert) for expert in prior.experts],
        "numbers": list(WHOLE),
        **card,
    }
    text = json.dumps(written, indent=1, allow_nan=False)
    (directory / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def digest(prior: Prior) -> str:
    """A short digest of the prior as it is stored."""
    stated = json.dumps([asdict(expert) for expert in prior.experts])
    arrays = _packed(prior)
    contents = b"".join(np.ascontiguousarray(arrays[name]).tobytes() for name in sorted(arrays))
    return hashlib.sha256(stated.encode() + contents).hexdigest()[:16]


@lru_cache(maxsize=8)
def load_prior(where: str) -> Prior | None:
    """The prior of that name.

    Args:
        where: `shipped`, `none`, or the directory of a prior that `save_prior` wrote.

    Raises:
        ValueError: there is no such prior, or its files are malformed.
    """
    if where == "none":
        return None
    directory = SHIPPED if where == "shipped" else Path(where)
    try:
        card = read_json(directory / CARD_FILE)
        if not isinstance(card, dict):
            raise ValueError("it should name its format, its numbers and its experts")
        if card.get("format") != FORMAT or card.get("numbers") != list(WHOLE):
            raise ValueError(
                "it was written by another version, which reads other numbers; have "
                "benchmarks/pretrain.py write a new one"
            )
        if not isinstance(card.get("experts"), list):
            raise ValueError("it should list its experts")
        experts = tuple(_expert(each) for each in card["experts"])
        return _unpacked(experts, read_arrays(directory / WEIGHTS_FILE))
    except ValueError as error:
        raise ValueError(
            f"a prior is `shipped`, `none`, or a directory with {CARD_FILE} and {WEIGHTS_FILE} "
            f"(benchmarks/pretrain.py writes one); {where} cannot be read: {error}"
        ) from error


def _expert(stated: Mapping[str, Any]) -> Expert:
    known = [item.name for item in fields(Expert)]
    if not isinstance(stated, Mapping) or set(stated) != set(known):
        raise ValueError(f"an expert has the fields {', '.join(known)}; got {stated!r:.80}")
    if not isinstance(stated["values"], list | tuple) or len(stated["values"]) != len(LEVELS):
        raise ValueError(f"an expert has {len(LEVELS)} values; got {stated['values']!r:.80}")
    values = tuple(checked(value, "a value of an expert") for value in stated["values"])
    expert = Expert(**{**stated, "values": values})
    if (
        not isinstance(expert.table, str)
        or not isinstance(expert.column, str)
        or not isinstance(expert.cost, bool)
        or not isinstance(expert.networks, int)
        or isinstance(expert.networks, bool)
        or expert.networks < 1
    ):
        raise ValueError(
            "an expert names its table and its column, says whether that is a cost, and how many "
            f"networks it learnt from; got {dict(stated)!r:.200}"
        )
    return expert


def _packed(prior: Prior) -> dict[str, np.ndarray]:
    """The prior's arrays, small: a node's threshold or value shares one number.

    The nodes of a tree are in depth-first order, so a left child is the next node.
    """
    forest = prior.forest
    place_L = np.arange(len(forest.feature_L)) - np.repeat(
        np.cumsum(forest.nodes_T) - forest.nodes_T, forest.nodes_T
    )
    leaf_L = forest.left_L == place_L
    if not np.array_equal(forest.left_L[~leaf_L], place_L[~leaf_L] + 1):
        raise ValueError("the nodes of the trees must be in depth-first order")
    return {
        "trees.feature": np.where(leaf_L, LEAF, forest.feature_L).astype(np.uint8),
        "trees.number": np.where(leaf_L, forest.value_L, forest.threshold_L).astype(np.float16),
        "trees.right": np.where(leaf_L, 0, forest.right_L).astype(np.uint16),
        "trees.nodes": forest.nodes_T.astype(np.uint16),
        "trees.of_each": forest.trees_K.astype(np.uint16),
        "center": prior.center_KW.astype(np.float32),
        "spread": prior.spread_W.astype(np.float32),
        **_packed_networks(prior),
    }


def _packed_networks(prior: Prior) -> dict[str, np.ndarray]:
    if not len(prior.heard):
        return {}
    members = {
        f"member{place}.{name}": array.astype(np.uint8 if name == FEATURE else np.float16)
        for place, member in enumerate(prior.networks.members)
        for name, array in member.items()
    }
    share, fade = prior.share_GK.astype(np.float32), np.array([prior.fade], dtype=np.float32)
    return {"share": share, "fade": fade, **members}


def _unpacked_networks(
    arrays: Mapping[str, np.ndarray], count: int
) -> tuple[GraphNetworks, np.ndarray, float]:
    """The graph networks, how much their heads count in so many experts, and how that fades."""
    members: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        place, _, name = key.partition(".")
        if re.fullmatch(r"member[0-9]{1,6}", place):
            shape = tuple(array.shape)
            members.setdefault(place, {})[name] = (
                counts(arrays, key, shape)
                if name == FEATURE
                else floats(arrays, key, shape, least=-MOST_WEIGHT, most=MOST_WEIGHT).astype(
                    np.float32
                )
            )
    ordered = sorted(members, key=lambda place: int(place.removeprefix("member")))
    networks = GraphNetworks(tuple(members[place] for place in ordered))
    networks.check()
    if not members:
        return networks, np.zeros((0, count)), 0.0
    share_GK = floats(arrays, "share", (len(networks), count), least=0, most=1)
    if (share_GK.sum(0) > 1 + 1e-6).any():
        raise ValueError("the shares of the graph networks in an expert sum to 1 at most")
    return networks, share_GK, float(floats(arrays, "fade", (1,), least=0, most=MOST_FADE)[0])


def _unpacked(experts: tuple[Expert, ...], arrays: Mapping[str, np.ndarray]) -> Prior:
    if not experts:
        raise ValueError("a prior has at least one expert; it has none")
    nodes_T = counts(arrays, "trees.nodes", (None,))
    feature_L = counts(arrays, "trees.feature", (None,), most=LEAF)
    shape = feature_L.shape
    number_L = floats(arrays, "trees.number", shape, least=-MOST_WEIGHT, most=MOST_WEIGHT)
    right_L = counts(arrays, "trees.right", shape)
    if nodes_T.sum() != len(feature_L):
        raise ValueError("the arrays of the trees are of different lengths")
    place_L = np.arange(len(feature_L)) - np.repeat(np.cumsum(nodes_T) - nodes_T, nodes_T)
    leaf_L = feature_L == LEAF
    forest = Forest(
        feature_L=np.where(leaf_L, 0, feature_L),
        threshold_L=np.where(leaf_L, 0.0, number_L),
        left_L=np.where(leaf_L, place_L, place_L + 1),
        right_L=np.where(leaf_L, place_L, right_L),
        value_L=np.where(leaf_L, number_L, 0.0),
        nodes_T=nodes_T,
        trees_K=counts(arrays, "trees.of_each", (len(experts),)),
        initial_K=np.zeros(len(experts)),
    )
    forest.check(len(WHOLE))
    center_KW = floats(
        arrays, "center", (len(experts), len(WHOLE)), least=-MOST_NUMBER, most=MOST_NUMBER
    )
    spread_W = floats(arrays, "spread", (len(WHOLE),), least=LEAST_SPREAD, most=MOST_NUMBER)
    return Prior(experts, forest, center_KW, spread_W, *_unpacked_networks(arrays, len(experts)))


def rounded_network(member: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a graph network with the precision in which they are stored."""
    return {
        name: array if name == FEATURE else array.astype(np.float16).astype(np.float32)
        for name, array in member.items()
    }


def rounded(forest: Forest) -> Forest:
    """The forest with the precision in which it is stored, so that a stored one is the same."""
    return replace(
        forest,
        threshold_L=forest.threshold_L.astype(np.float16).astype(np.float64),
        value_L=forest.value_L.astype(np.float16).astype(np.float64),
    )
