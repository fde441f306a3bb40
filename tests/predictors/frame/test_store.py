"""A damaged saved predictor is refused when it is loaded, not when it predicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from predictors import load_predictor, predictor
from tests.contracts.predictor_contract import random_graphs, true_scores

SMALL: dict[str, dict[str, Any]] = {
    "gnn": {"members": 2, "width": 8, "layers": 1, "steps": 2},
    "trees": {"members": 2, "rounds": 3},
    "extra_trees": {"members": 2, "trees": 3},
    "ridge": {},
    "gp": {},
    "auto": {"members": ("gp", "trees")},
}


def saved(name: str, directory: Path) -> dict[str, Any]:
    graphs = random_graphs(12, seed=1)
    predictor(name, **SMALL[name]).fit(graphs, true_scores(graphs)).save(directory)
    return json.loads((directory / "predictor.json").read_text())


@pytest.mark.parametrize("name", sorted(SMALL))
def test_settings_and_vocabulary_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    whole = saved(name, tmp_path)
    encoding = whole["state"]["encoding"]
    damaged = [
        {**whole, "state": {**whole["state"], "scale": float("nan")}},
        *(
            {**whole, "state": {**whole["state"], "encoding": {**encoding, field: []}}}
            for field in ("kept", "mean", "pairs", "nodes")
        ),
        {
            **whole,
            "state": {
                **whole["state"],
                "encoding": {**encoding, "kept": [10**9, *encoding["kept"][1:]]},
            },
        },
        {**whole, "settings": {}},
        {**whole, "name": "forest"},
        {**whole, "format": 99},
    ]
    for number, content in enumerate(damaged):
        assert content != whole
        (tmp_path / "predictor.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"predictor"):
            pytest.fail(f"the damage number {number} was read as {load_predictor(tmp_path)}")
    (tmp_path / "predictor.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"needs a readable predictor\.json"):
        load_predictor(tmp_path)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_arrays_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path)
    arrays = load_file(tmp_path / "predictor.safetensors")
    assert arrays
    for key, array in arrays.items():
        damaged = [array.reshape(-1)[:-1]] if array.size > 1 else []
        damaged.append(
            np.full_like(array, np.nan) if array.dtype.kind == "f" else array.astype(np.float32)
        )
        for values in damaged:
            save_file(
                {**arrays, key: np.ascontiguousarray(values)}, tmp_path / "predictor.safetensors"
            )
            with pytest.raises(ValueError, match=r"predictor"):
                pytest.fail(f"{key} was read as {load_predictor(tmp_path)}")
