"""Gradient ascent on the inputs of a function."""

from __future__ import annotations

import gc

import numpy as np
import psutil
import pytest
import torch

from predictors.boshnas import gobi
from predictors.boshnas.gobi import Ascent, climb

ORDERS = ("second", "first")


def hill(dimensions: int, seed: int):
    """A random concave quadratic whose maximum, 0, is inside the box, and K starts."""
    random = np.random.default_rng(seed)
    root = random.standard_normal((dimensions, dimensions))
    curve = torch.from_numpy(
        (root @ root.T / dimensions + 0.1 * np.eye(dimensions)).astype(np.float32)
    )
    top = torch.from_numpy(random.uniform(-1, 1, dimensions).astype(np.float32))
    start_KD = random.standard_normal((6, dimensions))
    return (lambda x_KD: -0.5 * ((x_KD - top) @ curve * (x_KD - top)).sum(1)), start_KD, top.numpy()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_quadratic_is_climbed_to_its_top(order, seed: int) -> None:
    value, start_KD, top_D = hill(6, seed)
    end_KD, height_K = climb(
        value, start_KD, np.full(6, -4.0), np.full(6, 4.0), Ascent(order, 400), seed
    )
    assert height_K.min() > -1e-3
    assert np.abs(end_KD - top_D).max() < 0.1


@pytest.mark.parametrize("order", ORDERS)
def test_an_ascent_stays_in_the_box_and_never_ends_below_its_start(order) -> None:
    value, start_KD, top_D = hill(4, 2)
    low_D, high_D = top_D + 0.5, top_D + 2.0
    end_KD, height_K = climb(value, start_KD, low_D, high_D, Ascent(order, 30), 0)
    assert (end_KD >= low_D - 1e-6).all()
    assert (end_KD <= high_D + 1e-6).all()
    inside = torch.from_numpy(start_KD.clip(low_D, high_D).astype(np.float32))
    assert (height_K >= value(inside).numpy()).all()
    np.testing.assert_allclose(
        value(torch.from_numpy(end_KD.astype(np.float32))).numpy(), height_K, rtol=1e-5
    )


@pytest.mark.parametrize("order", ORDERS)
def test_an_ascent_depends_only_on_its_arguments(order) -> None:
    value, start_KD, _ = hill(5, 3)
    box = np.full(5, -3.0), np.full(5, 3.0)
    torch.manual_seed(1)
    first = climb(value, start_KD, *box, Ascent(order, 20), 7)
    before = torch.get_rng_state()
    second = climb(value, start_KD, *box, Ascent(order, 20), 7)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first[0], second[0])
    # The starts are independent, but the probes of the second order are drawn for all of them at
    # once.
    if order == "first":
        np.testing.assert_allclose(
            climb(value, start_KD[:2], *box, Ascent(order, 20), 7)[0], first[0][:2], rtol=1e-5
        )


@pytest.mark.parametrize("order", ORDERS)
def test_it_ends_if_no_value_improves(order) -> None:
    asked = []

    def flat(x_KD: torch.Tensor) -> torch.Tensor:
        asked.append(len(x_KD))
        return 0 * x_KD.sum(1)

    climb(flat, np.zeros((3, 2)), np.full(2, -1.0), np.full(2, 1.0), Ascent(order, 1000), 0)
    assert len(asked) == gobi.PATIENCE + 2


def test_a_linear_function_has_no_curvature_and_is_climbed_to_the_bound() -> None:
    end_KD, _ = climb(
        lambda x_KD: x_KD[:, 0],
        np.zeros((2, 2)),
        np.full(2, -1.0),
        np.full(2, 1.0),
        Ascent("second", 50),
        0,
    )
    assert end_KD[:, 0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("order", ORDERS)
def test_a_thousand_steps_leak_no_memory(order, monkeypatch) -> None:
    """Neither the number of tensors nor the memory of the process grows.

    If each step kept its autograd graph, they would sum up to hundreds of megabytes.
    """
    monkeypatch.setattr(gobi, "STILL", -1.0)
    seen: list[tuple[int, int]] = []
    steps = 0

    def waves(x_KD: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps in (100, 1000):
            tensors = sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())
            seen.append((tensors, psutil.Process().memory_info().rss))
        return torch.sin(5 * x_KD).sum(1) - 0.01 * (x_KD**2).sum(1)

    gc.collect()
    gc.disable()  # The collector would free reference cycles now and then.
    try:
        climb(
            waves,
            np.random.default_rng(0).uniform(-2, 2, (64, 128)),
            np.full(128, -3.0),
            np.full(128, 3.0),
            Ascent(order, 1000),
            0,
        )
    finally:
        gc.enable()
    assert steps == 1001
    assert seen[1][0] <= seen[0][0] + 2
    assert seen[1][1] - seen[0][1] < 50e6


def test_the_second_order_without_its_package_names_the_package(monkeypatch) -> None:
    monkeypatch.setattr(gobi, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"surrogate-nas\[optim\]"):
        Ascent("second")
    assert Ascent("first").steps == 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"order": "third"}, "known: second, first"), ({"steps": 0}, "1 step or more")],
)
def test_invalid_settings_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ascent(**settings)
