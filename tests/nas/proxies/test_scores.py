"""Proxies have the scores that are known by hand, and change nothing."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.proxies import PROXIES, Batch, noise_batch, task_batch
from nas.proxies.measuring import ProxyPlan, prepare
from nas.tasks import load_task
from spaces import GraphBuilder, Shapes
from spaces.load import load_space
from spaces.ops.tokens import vocabulary

OFFSET = 1e-5


class Module(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.sum()


def batch(*rows: list[float]) -> Batch:
    return Batch(torch.tensor(rows), torch.zeros(len(rows)), summed)


def linear(*rows: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
    return layer


def test_synflow_of_two_linear_layers() -> None:
    # |W1| 1 = (3, 7), R = 3 + 14 = 17, and each layer's sum of w dR/dw is R.
    network = nn.Sequential(linear([1.0, -2.0], [3.0, 4.0]), linear([-1.0, 2.0]))
    assert PROXIES["synflow"](network, batch([0.3, -5.0])) == pytest.approx(math.log(34))


def test_synflow_does_not_overflow_where_float32_would() -> None:
    network = nn.Sequential(*(linear([1e30]) for _ in range(5)))
    assert PROXIES["synflow"](network, batch([1.0])) == pytest.approx(
        math.log(5) + 150 * math.log(10)
    )


def test_gradient_norm_and_snip() -> None:
    network = nn.Sequential(linear([1.0, -2.0]))
    assert PROXIES["gradient_norm"](network, batch([3.0, 4.0])) == pytest.approx(5)
    assert PROXIES["snip"](network, batch([3.0, 4.0])) == pytest.approx(11)
    # Biases have one dimension, so they do not count.
    biased = nn.Linear(2, 1)
    assert PROXIES["gradient_norm"](biased, batch([3.0, 4.0])) == pytest.approx(5)


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.GELU(),
        nn.SiLU(),
        nn.ReLU6(),
        nn.PReLU(),
        nn.Sigmoid(),
        nn.Hardswish(),
        Module(torch.relu),
        Module(lambda x: functional.elu(input=x)),
        Module(lambda x: (x * 1).relu_()),
    ],
    ids=str,
)
def test_naswot_where_the_codes_are_known(activation: nn.Module) -> None:
    # The codes 1110 and 1000 agree in two units of four: det [[4, 2], [2, 4]] = 12.
    given = batch([1.0, 2.0, 0.5, -1.0], [3.0, -1.0, -2.0, -0.5])
    before = given.inputs.clone()
    copied = Batch(given.inputs.clone(), given.targets, summed)
    score = PROXIES["naswot"](nn.Sequential(nn.Identity(), activation), copied)
    assert score == pytest.approx(math.log(12))
    assert torch.equal(given.inputs, before)


def test_naswot_adds_the_layers() -> None:
    # The second activation has the same codes, so the kernel doubles.
    network = nn.Sequential(nn.ReLU(), Module(lambda x: x - 0.1), nn.ReLU())
    given = batch([1.0, 2.0, 0.5, -1.0], [3.0, -1.0, -2.0, -0.5])
    assert PROXIES["naswot"](network, given) == pytest.approx(math.log(48))


def test_naswot_of_codes_that_are_alike_is_infinite() -> None:
    same = batch([1.0, 2.0, -1.0], [2.0, 1.0, -2.0])
    assert PROXIES["naswot"](nn.ReLU(), same) == -math.inf
    assert PROXIES["naswot"](nn.Identity(), same) == -math.inf
    # Five samples and one unit.
    assert PROXIES["naswot"](nn.ReLU(), batch([1.0], [2.0], [-1.0], [-2.0], [3.0])) == -math.inf


def test_jacobian_covariance() -> None:
    # The gradient of half the sum of squares is the input itself. These two rows are uncorrelated,
    # so both eigenvalues are 1.
    apart = batch([1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0])
    score = PROXIES["jacobian_covariance"](Module(lambda x: (x * x).sum(1) / 2), apart)
    assert score == pytest.approx(-2 * (math.log(1 + OFFSET) + 1 / (1 + OFFSET)), rel=1e-5)
    # A linear network has the same gradient for all samples, so the eigenvalues are 2 and 0.
    score = PROXIES["jacobian_covariance"](linear([1.0, 2.0, 3.0, 5.0]), apart)
    assert score == pytest.approx(
        -(math.log(2 + OFFSET) + 1 / (2 + OFFSET) + math.log(OFFSET) + 1 / OFFSET), rel=1e-3
    )
    assert math.isnan(PROXIES["jacobian_covariance"](Module(lambda x: x * 0), apart))


def test_counts() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 25, 7))
    given = noise_batch(Shapes((3, 5, 5), (7,)), 2, 0)
    assert PROXIES["parameters"](network, given) == sum(
        parameter.numel() for parameter in network.parameters()
    )
    assert PROXIES["multiply_adds"](network, given) == 3 * 4 * 9 * 25 + 700


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_is_pure(name: str) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 9, 4),
    )
    network[1].eval()
    given = noise_batch(Shapes((3, 5, 5), (4,)), 6, seed=1)
    state = copy.deepcopy(network.state_dict())
    modes = [module.training for module in network.modules()]
    inputs, generator = given.inputs.clone(), torch.get_rng_state()
    scores = [PROXIES[name](network, given) for _ in range(2)]
    assert math.isfinite(scores[0])
    assert scores[0] == scores[1]
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(given.inputs, inputs)
    assert given.inputs.grad is None
    assert not given.inputs.requires_grad
    assert [module.training for module in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[key]), key


def test_batches() -> None:
    one, same, other = (noise_batch(Shapes((6,), (3,)), 50, seed) for seed in (0, 0, 1))
    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert set(one.targets.tolist()) == {0, 1, 2}
    assert one.loss is functional.cross_entropy
    assert noise_batch(Shapes((6,), (1,)), 4, 0).targets.dtype == torch.float32
    assert noise_batch(Shapes((6,), (3,)), 4, 0, tokens=5).inputs.max() < 5
    model = noise_batch(Shapes((6,), (6, 40), vocabulary=40), 4, 0, tokens=40)
    assert model.targets.shape == (4, 6)
    assert model.targets.max() >= 6
    # At each position the score of the target is 1 and the 39 others are 0. So the cross-entropy is
    # log(e + 39) - 1.
    scores = functional.one_hot(model.targets, 40).float()
    assert model.loss(scores, model.targets).item() == pytest.approx(math.log(math.e + 39) - 1)
    digits = load_task("digits")
    drawn = task_batch(digits, 9, 0)
    assert drawn.inputs.shape == (9, 1, 8, 8)
    prepared = digits.prepare(digits.train.inputs)
    assert torch.isclose(prepared, drawn.inputs[0]).flatten(1).all(1).any()
    with pytest.raises(ValueError, match="fewer than the batch's 5000"):
        task_batch(digits, 5000, 0)


def test_tokens_are_given_to_an_embedding() -> None:
    builder = GraphBuilder()
    value = builder.node("embedding", builder.input((5,)), num_embeddings=11, embedding_dim=4)
    graph = builder.output(builder.node("flatten", value))
    assert vocabulary(graph) == 11
    network = nn.Sequential(nn.Embedding(11, 4), nn.Flatten(), nn.Linear(20, 3), nn.GELU())
    tokens = noise_batch(Shapes((5,), (3,)), 3, 0, tokens=11)
    assert math.isfinite(PROXIES["synflow"](network, tokens))
    assert math.isfinite(PROXIES["gradient_norm"](network, tokens))
    with pytest.raises(ValueError, match="needs inputs that have a gradient"):
        PROXIES["jacobian_covariance"](network, tokens)


def test_a_disconnected_network_has_the_score_nan() -> None:
    space = load_space("nasbench201")
    disconnected = next(iter(space.rows({"arch": numpy.zeros((1, 6), dtype=int)})))  # type: ignore[misc]
    shapes = Shapes((3, 8, 8), (10,))
    plan = ProxyPlan("nasbench201", shapes, ("naswot", "parameters"), batch_size=3)
    scored = prepare(plan)(disconnected)
    assert math.isnan(scored.values[0])
    assert scored.values[1] > 0
