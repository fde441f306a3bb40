"""A damaged saved predictor is refused when it is loaded, not when it predicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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


# What may stand in a file of somebody else in the place of something else.
VALUES = (None, True, -1, 0, 7.5, 1e300, 2**52, 10**400, "nan", "1", [], {}, [1, 2])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("stack")
    saved("auto", directory)
    return directory


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a JSON value, as the object or list that holds it and its key there."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield value, key
        yield from places(value[key])


@given(place=st.integers(0, 10**6), value=st.sampled_from(VALUES))
@settings(max_examples=80, deadline=None)
def test_anything_in_the_state_is_read_or_refused(place: int, value: Any, stack: Path) -> None:
    whole = (stack / "predictor.json").read_text()
    content = json.loads(whole)
    known = list(places(content))
    holder, key = known[place % len(known)]
    holder[key] = value
    (stack / "predictor.json").write_text(json.dumps(content))
    try:
        predicted = load_predictor(stack).predict(random_graphs(5, seed=2))
        found_M = np.append(predicted.mean, np.log(predicted.std))
        refusal = ""
    except ValueError as error:
        found_M, refusal = np.zeros(0), str(error)
    finally:
        (stack / "predictor.json").write_text(whole)
    assert "predictor" in refusal or len(found_M) == 10
    assert np.isfinite(found_M).all()


def test_sizes_that_the_arrays_do_not_have_are_refused_before_they_are_made(tmp_path: Path) -> None:
    whole = saved("gnn", tmp_path)
    for name in ("members", "width", "layers"):
        content = {**whole, "settings": {**whole["settings"], name: 10**9}}
        (tmp_path / "predictor.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="the weights are not those of the settings"):
            load_predictor(tmp_path)


def test_a_prediction_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    saved("ridge", tmp_path)
    arrays = load_file(tmp_path / "predictor.safetensors")
    weight_C = np.full_like(arrays["model.weight"], 1e308)
    save_file({**arrays, "model.weight": weight_C}, tmp_path / "predictor.safetensors")
    with pytest.raises(ValueError, match="gives a prediction that is not finite"):
        load_predictor(tmp_path)
