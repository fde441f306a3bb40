"""What the prior is trained with is all in the keys of what is kept, and on its card."""

from __future__ import annotations

import inspect
import json
import random
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pretrain
from benchmarks.known_tables import TABLES, KnownTable, column_of
from predictors.prior import encoder_training, growing
from predictors.prior.coarse import coarse_graph
from predictors.prior.networks import Networks, collate, whole_numbers
from predictors.prior.stored import load_prior
from spaces.load import load_space
from spaces.operators import sample


@pytest.fixture(scope="module")
def known() -> KnownTable:
    """Cells of NAS-Bench-201 with made-up labels."""
    space, draw = load_space("nasbench201"), random.Random(0)
    graphs = [space.graph(sample(space, draw)) for _ in range(30)]
    networks = collate([coarse_graph(space.network_graph(g), space.shapes.input) for g in graphs])
    labels = {"y": networks.size_M3[:, 0] + np.arange(30)}
    return KnownTable("made_up", networks, labels, False, np.arange(30), False)


def kept(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()}


def test_a_forest_is_grown_anew_if_a_setting_of_its_trees_differs(
    known: KnownTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_MW = whole_numbers(known.networks)
    first = pretrain.grown(known, "y", whole_MW, tmp_path)
    monkeypatch.setattr(growing, "LEAST_OF_A_LEAF", 7)
    pretrain.grown(known, "y", whole_MW, tmp_path)
    # 30 labels are few, whose leaves have another least size.
    assert len(kept(tmp_path)) == 1
    monkeypatch.setattr(growing, "LEAST_IF_FEW", 7)
    other = pretrain.grown(known, "y", whole_MW, tmp_path)
    assert len(kept(tmp_path)) == 2
    assert len(other.feature_L) < len(first.feature_L)


def test_a_network_is_trained_anew_if_an_edge_or_a_setting_differs(
    known: KnownTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretrain.trained(known, ["y"], 0, tmp_path)
    again = pretrain.trained(known, ["y"], 0, tmp_path)
    assert len(kept(tmp_path)) == 1
    for name, array in trained.items():
        np.testing.assert_array_equal(again[name], array)
    source_E = known.networks.source_E.copy()
    source_E[-1] -= 1
    changed = replace(known, networks=replace(known.networks, source_E=source_E))
    other = pretrain.trained(changed, ["y"], 0, tmp_path)
    assert len(kept(tmp_path)) == 2
    assert any((other[name] != array).any() for name, array in trained.items())
    monkeypatch.setattr(pretrain, "NETWORK", {**pretrain.NETWORK, "width": 12})
    narrow = pretrain.trained(known, ["y"], 0, tmp_path)
    assert len(kept(tmp_path)) == 3
    assert len(narrow["network.read.bias"]) == 12


def test_a_key_depends_on_every_array_and_setting(known: KnownTable) -> None:
    arrays = {item.name: getattr(known.networks, item.name) for item in fields(Networks)}
    keys = {pretrain.key_of(arrays.values(), 1)}
    for name, array in arrays.items():
        changed = array.copy()
        changed.flat[-1] += 1
        keys.add(pretrain.key_of({**arrays, name: changed}.values(), 1))
    keys.add(pretrain.key_of(arrays.values(), 2))
    keys.add(pretrain.key_of([array.astype(">f8") for array in arrays.values()], 1))
    assert len(keys) == 1 + len(arrays) + 2


def test_nothing_of_the_training_is_left_to_a_default() -> None:
    """A default that changes would not change the key of a kept network."""
    assert set(pretrain.TRAINING) == {item.name for item in fields(encoder_training.Training)}
    parameters = inspect.signature(encoder_training.pretrain).parameters.values()
    settings = {each.name for each in parameters if each.default is not inspect.Parameter.empty}
    assert set(pretrain.NETWORK) == settings


def test_the_card_says_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [[3, kind, 1, 2, 3, other] for kind in range(5) for other in range(5)]
    np.savez(tmp_path / "cells.npz", arch=np.array(cells), seconds=1 + np.arange(25.0))
    text = f"nasbench201:{tmp_path / 'cells.npz'}:seconds:cost"
    asked = ["--without", *TABLES, "--only", "timm", "--experts", text]
    asked += ["--share", "0.3", "--fade", "2"]
    folders = [str(tmp_path / name) for name in ("data", "cache", "out")]
    monkeypatch.setattr("sys.argv", ["pretrain.py", *folders, *asked])
    pretrain.main()
    card = json.loads((tmp_path / "out" / "prior.json").read_text(encoding="utf-8"))
    stated = {name: card[name] for name in ("without", "only", "further", "share", "fade", "seed")}
    assert stated == {
        "without": sorted(TABLES),
        "only": ["timm"],
        "further": ["nasbench201:cells.npz:seconds:cost"],
        "share": 0.3,
        "fade": 2.0,
        "seed": pretrain.SEED,
    }
    prior = load_prior(str(tmp_path / "out"))
    assert prior is not None
    assert [expert.column for expert in prior.experts] == ["seconds"]
    assert column_of(text).table == "cells"
