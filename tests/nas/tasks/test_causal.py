"""A network that sees the next token is refused, and a causal one is trained."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.tasks.causal import Causal
from nas.training.loop import train
from nas.training.recipe import Recipe
from tests.nas.tasks.texts import CPU, Mixing, seeded, token_task


@pytest.mark.parametrize("gate", [1.0, 0.0])
@pytest.mark.parametrize("mix", ["attention", "convolution", "blocks", "next"])
def test_a_network_that_sees_the_next_token_is_refused(mix, gate):
    task = token_task(check=Causal(9))
    module = seeded(lambda: Mixing(mix, gate=gate))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        ValueError,
        match=(
            "would see the next token instead of predicting it: take `objective: masked`, or a "
            "space of causal networks"
        ),
    ):
        train(module, task, Recipe(epochs=1), seed=0, device=CPU)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("mix", ["causal attention", "left convolution"])
def test_a_causal_network_is_trained(mix):
    task = token_task(check=Causal(9))
    trained = train(
        seeded(lambda: Mixing(mix)),
        task,
        Recipe(epochs=12, batch_size=8, learning_rate=0.05),
        seed=0,
        device=CPU,
    )
    assert trained.validation > -0.5 > -math.log(9)
    unchecked = train(
        seeded(lambda: Mixing(mix)),
        token_task(),
        Recipe(epochs=12, batch_size=8, learning_rate=0.05),
        seed=0,
        device=CPU,
    )
    assert trained.curve == unchecked.curve, "the check draws from nothing that training draws from"


def test_outputs_of_another_shape_are_refused_by_their_shape():
    task = token_task(check=Causal(9))
    with pytest.raises(
        ValueError, match=r"gives outputs of shape \(9,\), and the task 'tokens' needs \(6, 9\)"
    ):
        train(nn.EmbeddingBag(9, 9), task, Recipe(epochs=1), seed=0, device=CPU)
