"""The averaged network is what is validated and handed on; the training itself does not see it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.tasks.task import Split
from nas.training.averaging import average_of
from nas.training.loop import train
from nas.training.recipe import Recipe
from nas.training.scoring import evaluate_split
from tests.nas.training.networks import CPU, linear_task, seeded

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, warmup_epochs=0)


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_the_average_is_the_sum_written_out():
    module = seeded(network)
    average = average_of(module, 0.5)
    expected = {name: tensor.clone() for name, tensor in average.tensors.items()}
    for step in range(12):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 1 + step
        module[1].running_mean += step
        module[1].num_batches_tracked += 1
        average.update(module, step)
        decay = min(0.5, (1 + step) / (10 + step))
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for name in expected:
            expected[name] = decay * expected[name] + (1 - decay) * own[name].detach()
    assert "1.running_mean" in expected
    assert "1.num_batches_tracked" not in expected
    for name, tensor in expected.items():
        torch.testing.assert_close(average.tensors[name], tensor)


def test_the_training_is_the_same_and_the_network_handed_on_is_the_average():
    task, module, plain = linear_task(), seeded(network), seeded(network)
    recipe = replace(RECIPE, ema=0.9)
    averaged = train(module, task, recipe, seed=0, device=CPU)
    straight = train(plain, task, RECIPE, seed=0, device=CPU)
    # With a decay of 0 the average is the network itself.
    same = seeded(network)
    assert train(same, task, replace(RECIPE, ema=0.0), seed=0, device=CPU).curve == straight.curve
    assert torch.equal(same[0].weight, plain[0].weight)
    assert averaged.curve != straight.curve
    assert not torch.equal(module[0].weight, plain[0].weight)
    assert evaluate_split(module, task.validation, task, 8, CPU) == averaged.validation

    paused = train(seeded(network), task, recipe, seed=0, device=CPU, until=2).paused
    on = train(seeded(network), task, RECIPE, seed=0, device=CPU, until=2).paused
    assert paused is not None
    assert on is not None
    own = {name: each for name, each in paused.tensors.items() if not name.startswith("average.")}
    assert own.keys() == on.tensors.keys()
    assert all(torch.equal(each, on.tensors[name]) for name, each in own.items())


def test_a_paused_training_hands_on_the_average_too():
    task, module = linear_task(), seeded(network)
    trained = train(module, task, replace(RECIPE, ema=0.9), seed=0, device=CPU, until=1)
    assert trained.paused is not None
    assert evaluate_split(module, task.validation, task, 8, CPU) == trained.validation
    assert torch.equal(module[0].weight, trained.paused.tensors["average.0.weight"])
    assert not torch.equal(module[0].weight, trained.paused.tensors["module.0.weight"])


def test_an_average_of_noisy_steps_is_better():
    """Targets with noise and a constant learning rate: the average of the steps is closer."""
    clean, generator = linear_task(200), torch.Generator().manual_seed(1)
    noise = 2 * torch.randn(200, 1, generator=generator)
    task = replace(clean, train=Split(clean.train.inputs, clean.train.targets + noise))
    recipe = replace(RECIPE, epochs=8, batch_size=2, schedule="constant", optimizer="sgd")
    scores = [
        train(
            seeded(lambda: nn.Linear(3, 1)), task, replace(recipe, ema=ema), seed=0, device=CPU
        ).validation
        for ema in (None, 0.99)
    ]
    assert scores[1] > scores[0]
    assert scores[1] == pytest.approx(0, abs=0.2)
