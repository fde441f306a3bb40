"""What is watched is folded into blocks that keep all costs and stay readable."""

from __future__ import annotations

import random
from random import Random

import numpy
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spaces.graph import Graph
from spaces.ops import costs
from spaces.trace import describe, watch
from spaces.trace.blocks import blocks
from spaces.trace.watched_calls import Call


def counted_by_torch(module: nn.Module, shape: tuple[int, ...]) -> float:
    """The multiply-adds of one sample, from batches of two and three."""
    flops = []
    for samples in (2, 3):
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(samples, *shape, device="meta"))
        flops.append(counter.get_total_flops())
    return (2 * flops[0] - flops[1]) / 2


def watched(module: nn.Module, shape: tuple[int, ...]) -> Graph:
    """The description, whose costs are checked."""
    module = module.to("meta")
    graph = watch(module, shape)
    counted = costs(graph)
    assert counted.parameters == sum(item.numel() for item in module.parameters())
    assert counted.multiply_adds == counted_by_torch(module, shape)
    return graph


def shown(graph: Graph) -> list[str]:
    """Each node with its sources."""
    return [
        f"{node.op.removeprefix('observed:')} {list(graph.incoming[number])}"
        for number, node in enumerate(graph.nodes)
    ]


class Encoder(nn.Module):
    """A transformer layer, with the norms before."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.norm2, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(self.norm1(x)).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        weights = (query * 0.5 @ key.transpose(-2, -1)).softmax(-1)
        x = x + self.out((weights @ value).transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


def test_a_transformer_layer_is_four_blocks():
    graph = watched(nn.Sequential(nn.Linear(4, 8), Encoder(), nn.Linear(8, 2)), (5, 4))
    assert shown(graph) == [
        "input []",
        "nn.Linear [0]",
        "nn.LayerNorm+nn.Linear+aten.mul+aten.bmm+aten._softmax [1]",
        "nn.Linear+aten.add [2, 1]",
        "nn.LayerNorm+nn.Linear+aten.gelu [3]",
        "nn.Linear+aten.add [4, 3]",
        "nn.Linear [5]",
        "output [6]",
    ]
    assert [node.label for node in graph.nodes[2:6]] == ["1.qkv", "1.out", "1.wide", "1.narrow"]
    assert dict(graph.nodes[2].attributes)["shape"] == (-1, 2, 5, 4)


class Residual(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(4, 4, 3, stride, 1), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, 1, 1), nn.BatchNorm2d(4)
        self.short = nn.Conv2d(4, 4, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.short(x))


def test_parallel_branches_stay_apart():
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    stem = nn.Conv2d(3, 4, 1)
    assert shown(watched(nn.Sequential(stem, Residual(1), Residual(2), *head), (3, 8, 8))) == [
        "input []",
        "nn.Conv2d [0]",
        "nn.Conv2d+nn.BatchNorm2d+aten.relu [1]",
        "nn.Conv2d+nn.BatchNorm2d+aten.add+aten.relu [2, 1]",
        "nn.Conv2d+nn.BatchNorm2d+aten.relu [3]",
        "nn.Conv2d+nn.BatchNorm2d [4]",
        "nn.Conv2d [3]",
        "aten.add+aten.relu+nn.AdaptiveAvgPool2d+nn.Flatten+nn.Linear [5, 6]",
        "output [7]",
    ]


class WithoutTheInput(nn.Module):
    """Learnt places are the same for all samples; learnt queries are repeated for each."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.rand(6, 2))
        self.places, self.widen = nn.Linear(2, 8), nn.Linear(8, 8)
        self.query, self.ask = nn.Parameter(torch.rand(1, 3, 8)), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.widen(torch.relu(self.places(self.steps)))
        query = self.ask(self.query.expand(len(x), -1, -1).contiguous())
        return (query @ x.transpose(1, 2)).softmax(-1) @ x


def test_what_does_not_depend_on_the_input_counts_as_often_as_it_is_done():
    graph = watched(WithoutTheInput(), (6, 8))
    assert costs(graph).multiply_adds == 6 * 2 * 8 + 6 * 8 * 8 + 3 * 8 * 8 + 2 * 3 * 6 * 8


class HasWorkThatIsNotNeeded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.aside, self.head = nn.Linear(8, 8), nn.Linear(8, 5), nn.Linear(8, 3)
        self.never = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        self.kept = self.aside(x)
        return self.head(x)


def test_work_that_the_output_does_not_need_is_counted():
    watched(HasWorkThatIsNotNeeded(), (8,))
    assert costs(describe(HasWorkThatIsNotNeeded(), (8,))).multiply_adds == 64 + 40 + 24


class Recurrent(nn.Module):
    def __init__(self, layer: nn.RNNBase, features: int, asks: bool) -> None:
        super().__init__()
        self.layer, self.head, self.asks = layer, nn.Linear(features, 3), asks

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)[0]
        if self.asks and x.mean() > 1e9:
            x = x * 2
        return self.head(x[:, -1])


@pytest.mark.parametrize(
    ("layer", "features", "asks"),
    [
        (nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True), 12, False),
        (nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True), 12, True),
        (nn.LSTM(4, 6, proj_size=3, batch_first=True), 3, False),
        (nn.GRU(4, 6, 2, bias=False, batch_first=True), 6, False),
        (nn.GRU(4, 6, 2, bias=False, batch_first=True), 6, True),
        (nn.RNN(4, 6, nonlinearity="relu", batch_first=True), 6, True),
    ],
)
def test_a_recurrent_layer_is_one_block_however_many_steps(layer, features, asks):
    graph = watch(Recurrent(layer, features, asks), (30, 4))
    assert [node.label for node in graph.nodes] == ["", "layer", "head", ""]
    products = 30 * sum(item.numel() for item in layer.parameters() if item.ndim == 2)
    assert costs(graph).multiply_adds == products + features * 3
    if not asks:  # On the meta device torch computes it step by step, and counts.
        watched(Recurrent(layer, features, asks), (30, 4))


def test_describing_uses_up_no_random_numbers_and_is_repeatable():
    class Chance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(6))

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                if random.random() + numpy.random.rand() + torch.rand(()).item() < 1.6:
                    x = layer(x)
            return x * torch.rand_like(x)

    modules = [Chance() for _ in range(3)]
    torch.manual_seed(3), random.seed(3), numpy.random.seed(3)
    states = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1]
    assert len({watch(module, (4,)) for module in modules}) == 1
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert numpy.array_equal(numpy.random.get_state()[1], states[2])  # type: ignore[index]


def test_a_large_network_is_described_by_blocks():
    layers = [part for _ in range(60) for part in (nn.Linear(4, 4), nn.ReLU(), nn.Dropout())]
    small, large = nn.Sequential(*layers[:60]), nn.Sequential(*layers)
    assert {node.op for node in describe(small, (4,)).nodes[1:-1]} == {"linear", "relu", "dropout"}
    assert [node.op for node in describe(large, (4,)).nodes[1:-1]] == [
        "observed:nn.Linear+nn.ReLU+nn.Dropout"
    ] * 60


@given(st.integers(0, 2**32 - 1))
def test_blocks_have_one_exit_and_no_circle(seed):
    chance = Random(seed)
    size = chance.randrange(2, 40)
    calls, sources = [Call("input")], [list[int]()]
    for number in range(1, size):
        recent = range(max(0, number - chance.choice((1, 3, 9))), number)
        chosen = sorted({chance.choice(recent) for _ in range(chance.choice((1, 1, 2, 3)))})
        fixed = chance.random() < 0.1
        weights = chance.choice((0, 0, 7))
        calls.append(Call("op", parameters=weights, multiply_adds=weights, fixed=fixed))
        sources.append([] if fixed else chosen)
    live, waiting = {0}, [size - 1]
    while waiting:
        number = waiting.pop()
        live.add(number)
        waiting += sources[number]
    found = blocks(calls, sources, sorted(live), size - 1)
    assert set(found) == live
    assert found[0] == 0
    for number in live - {0}:
        assert found[number] >= number
        assert found[found[number]] == found[number]
        for source in sources[number]:
            # Another block's value is that of its last call, which comes before this block's end.
            if found[source] != found[number]:
                assert source == found[source] < found[number]
    heavy = [number for number in live if calls[number].parameters and not calls[number].fixed]
    assert len({found[number] for number in heavy}) == len(heavy)
