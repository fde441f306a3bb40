"""A compiled network trains as the plain one does; one that cannot be compiled trains plainly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.training.loop import train
from nas.training.recipe import Recipe
from tests.nas.training.networks import CPU, linear_task, seeded

RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.05, mixup=0.2, ema=0.9)
COMPILED = Recipe(epochs=2, batch_size=16, learning_rate=0.05, mixup=0.2, ema=0.9, compile=True)


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))


def test_a_network_that_cannot_be_compiled_trains_as_if_nothing_had_been_tried(monkeypatch):
    def broken(module):
        def forward(inputs):
            # The failure comes late: after statistics and generators have moved on.
            module(inputs).sum().backward()
            raise RuntimeError("no compiler\nand much more")

        return forward

    plain, module = seeded(network), seeded(network)
    expected = train(plain, linear_task(), RECIPE, seed=0, device=CPU)
    monkeypatch.setattr(torch, "compile", broken)
    trained = train(module, linear_task(), COMPILED, seed=0, device=CPU)
    assert trained.uncompiled == (
        "torch.compile failed (RuntimeError: no compiler): it trains uncompiled"
    )
    assert trained.curve == expected.curve
    assert expected.uncompiled == ""
    assert all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(
            module.state_dict().values(), plain.state_dict().values(), strict=True
        )
    )


def test_a_compiled_network_keeps_its_names_and_its_numbers(monkeypatch):
    calls, compiler = [], torch.compile

    def counting(module):
        # Torch's own tracing, without the C++ compiler behind it.
        compiled = compiler(module, backend="eager")
        return lambda inputs: calls.append(len(inputs)) or compiled(inputs)

    plain, module = seeded(network), seeded(network)
    expected = train(plain, linear_task(), RECIPE, seed=0, device=CPU)
    monkeypatch.setattr(torch, "compile", counting)
    trained = train(module, linear_task(), COMPILED, seed=0, device=CPU)
    assert trained.uncompiled == ""
    assert calls == [11] * 7, "one batch tries it out, and six are trained with"
    assert trained.curve == pytest.approx(expected.curve, rel=1e-4)
    assert list(module.state_dict()) == list(plain.state_dict())


def test_a_lack_of_memory_is_no_failure_to_compile(monkeypatch):
    def too_large(module):
        raise MemoryError

    monkeypatch.setattr(torch, "compile", too_large)
    with pytest.raises(MemoryError):
        train(seeded(network), linear_task(), COMPILED, seed=0, device=CPU)
