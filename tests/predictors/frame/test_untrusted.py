"""Damaged files of a prior or a predictor end in one sentence, or give finite answers."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from nas.strategies.reading import reading
from predictors import PREDICTORS, load_predictor
from predictors.frame.untrusted import checked, counts, floats, read_arrays, read_json
from predictors.prior.attached import Reader, attach
from predictors.prior.stored import SHIPPED, load_prior, save_prior
from spaces.load import load_space
from spaces.operators import sample_graph

CELLS = load_space("nasbench201")
DRAW = random.Random(5)
GRAPHS = [sample_graph(CELLS, DRAW)[1] for _ in range(24)]
# What may happen to an array of somebody else's file.
DAMAGES = {
    "nothing": lambda array: array,
    "zeros": np.zeros_like,
    "large": lambda array: np.full(array.shape, 1e308),
    "larger": lambda array: np.full(array.shape, 3e38, np.float32),
    "negative": lambda array: np.full(array.shape, -7, np.int64),
    "whole": lambda array: np.full(array.shape, 2**40, np.int64),
    "short": lambda array: array[:-1],
    "flat": np.ravel,
    "deep": lambda array: array[..., None],
    "empty": lambda array: array[:0],
    "backwards": lambda array: array[::-1],
    "not a number": lambda array: np.full(array.shape, np.nan),
    "other numbers": lambda array: array.astype(np.float64) * 1.5,
}
VALUES = (None, True, -1, 0, 1e30, 2**60, "nan", "1", [], {}, [1, 2])


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small part of the shipped prior."""
    whole = load_prior("shipped")
    assert whole is not None
    directory = tmp_path_factory.mktemp("prior")
    save_prior(whole.only([0, 5]), directory, {})
    return directory


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, shipped: Path) -> Path:
    directory = tmp_path_factory.mktemp("predictor")
    score_N = np.array([float(len(graph.edges)) for graph in GRAPHS])
    score_N += 0.01 * np.arange(len(GRAPHS))
    fitted = reading(PREDICTORS["whole"](prior=str(shipped)), CELLS).fit(GRAPHS, score_N, seed=0)
    fitted.save(directory)
    return directory


def answered(ask: Callable[[], Any]) -> Any:
    """The answer, or None if it was refused in a sentence."""
    try:
        return ask()
    except ValueError as error:
        if len(str(error).split()) < 5:
            raise
        return None


def damaged(source: Path, names: tuple[str, str], place: int, damage: str, directory: Path) -> Path:
    """A copy of the two files, one of whose arrays is damaged."""
    directory.mkdir()
    (directory / names[0]).write_bytes((source / names[0]).read_bytes())
    arrays = load_file(source / names[1])
    name = sorted(arrays)[place % len(arrays)]
    arrays[name] = np.ascontiguousarray(DAMAGES[damage](arrays[name]))
    save_file(arrays, directory / names[1])
    return directory


@given(place=st.integers(0, 200), damage=st.sampled_from(sorted(DAMAGES)))
@settings(max_examples=60, deadline=None)
def test_a_damaged_array_of_a_predictor(
    place: int, damage: str, saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("damaged") / "it"
    files = ("predictor.json", "predictor.safetensors")
    path = damaged(saved, files, place, damage, directory)
    reader = Reader("cells", CELLS.network_graph, None)
    prediction = answered(lambda: load_predictor(path).predict(attach(GRAPHS[:4], reader)))
    if prediction is None:
        return
    assert np.isfinite(prediction.mean).all()
    assert np.isfinite(prediction.std).all()


@given(place=st.integers(0, 200), damage=st.sampled_from(sorted(DAMAGES)))
@settings(max_examples=60, deadline=None)
def test_a_damaged_array_of_a_prior(
    place: int, damage: str, shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("damaged") / "it"
    files = ("prior.json", "prior.safetensors")
    path = damaged(shipped, files, place, damage, directory)
    prior = answered(lambda: load_prior(str(path)))
    if prior is None:
        return
    row_MR = np.random.default_rng(0).normal(size=(5, 47 + len(prior.networks)))
    assert np.isfinite(prior.opinions(row_MR)).all()
    assert np.isfinite(prior.distances(row_MR)).all()


@given(
    path=st.sampled_from(
        ["format", "experts", "numbers", "values", "networks", "cost", "table", "more"]
    ),
    value=st.sampled_from(VALUES),
)
@settings(max_examples=60, deadline=None)
def test_a_damaged_card(
    path: str, value: Any, shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    card = json.loads((shipped / "prior.json").read_text())
    owner = card if path in ("format", "experts", "numbers") else card["experts"][0]
    owner[path] = value
    (directory / "prior.json").write_text(json.dumps(card))
    (directory / "prior.safetensors").write_bytes((shipped / "prior.safetensors").read_bytes())
    prior = answered(lambda: load_prior(str(directory)))
    if prior is not None:
        assert (path, value) in {("table", "nan"), ("table", "1"), ("cost", True)}


def test_files_that_are_none(tmp_path: Path) -> None:
    for name in ("prior.json", "prior.safetensors"):
        directory = tmp_path / name
        directory.mkdir()
        for each in ("prior.json", "prior.safetensors"):
            if each != name:
                (directory / each).write_bytes((SHIPPED / each).read_bytes())
        # Reading a pipe to which nobody writes would never end.
        os.mkfifo(directory / name)
        with pytest.raises(ValueError, match=f"there is no file {name}"):
            load_prior(str(directory))


def test_the_bounds_of_files_and_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "it.json"
    for text in ("NaN", "1e999", "9" * 5000, "[" * 100_000, "{"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"it\.json is not readable JSON"):
            read_json(path)
    path.write_text("[1, -2.5, 9007199254740992]")
    assert read_json(path) == [1, -2.5, 2**53]
    monkeypatch.setattr("predictors.frame.untrusted.LARGEST_JSON", 3)
    with pytest.raises(ValueError, match=r"it\.json has more than 3 bytes"):
        read_json(path)
    save_file({"a": np.array([np.inf])}, tmp_path / "it.safetensors")
    with pytest.raises(ValueError, match=r"the array 'a' in it\.safetensors must hold finite"):
        read_arrays(tmp_path / "it.safetensors")
    with pytest.raises(ValueError, match="it must be a finite number from 0 to inf; it is -1"):
        checked(-1, "it", least=0)
    arrays = {"a": np.ones((2, 3)), "b": np.array([1, 300])}
    assert floats(arrays, "a", (2, None)).shape == (2, 3)
    for shape in ((2,), (3, None)):
        with pytest.raises(ValueError, match="the array 'a' must have the shape"):
            floats(arrays, "a", shape)
    with pytest.raises(ValueError, match="the array 'c' is missing"):
        floats(arrays, "c", ())
    with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
        counts(arrays, "b", (2,), most=255)
    with pytest.raises(ValueError, match="whole numbers"):
        counts(arrays, "a", (2, 3))
