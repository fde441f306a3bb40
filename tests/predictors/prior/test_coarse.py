"""The coarse graph of a network: its sums, its features, and what it does not depend on."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.kinds import KINDS
from predictors.prior.networks import WHOLE, collate, whole_numbers
from predictors.prior.node_features import COLUMN
from spaces import Edge, Graph, GraphBuilder
from spaces.load import SPACES, load_space
from spaces.operators import sample
from spaces.ops import costs
from spaces.trace import describe
from spaces.trace.watching import watch

BUILT = [name for name in SPACES if load_space(name).builds]


def networks(name: str, count: int, seed: int = 0) -> list[Graph]:
    """The whole networks of architectures drawn from a built-in space."""
    space, draw = load_space(name), random.Random(seed)
    return [space.network_graph(space.graph(sample(space, draw))) for _ in range(count)]


def kinds(coarse: CoarseGraph, number: int) -> set[str]:
    return {kind for kind in KINDS if coarse.node_NF[number, COLUMN[kind]]}


def numbers(coarse: CoarseGraph, number: int, *names: str) -> list[float]:
    return [float(coarse.node_NF[number, COLUMN[name]]) for name in names]


def reordered(graph: Graph, seed: int) -> Graph:
    """The nodes in another topological order; each node's arguments stay in their order."""
    draw = random.Random(seed)
    order, waiting = [0], set(range(1, len(graph.nodes) - 1))
    while waiting:
        placed = set(order)
        ready = [number for number in sorted(waiting) if placed.issuperset(graph.incoming[number])]
        order.append(draw.choice(ready))
        waiting.remove(order[-1])
    order.append(len(graph.nodes) - 1)
    place = {number: position for position, number in enumerate(order)}
    edges = [Edge(place[source], place[target], slot) for source, target, slot in graph.edges]
    return Graph(tuple(graph.nodes[number] for number in order), tuple(edges))


def signature(coarse: CoarseGraph) -> list[int]:
    """A number of each node, from its features and its sources, in ascending order."""
    result: list[int] = []
    for number, row in enumerate(coarse.node_NF):
        sources = coarse.source_E[coarse.target_E == number]
        result.append(hash((row.tobytes(), tuple(sorted(result[source] for source in sources)))))
    return sorted(result)


@pytest.mark.parametrize("name", BUILT)
def test_sums_are_those_of_the_network(name: str) -> None:
    shape = load_space(name).shapes.input
    for network in networks(name, 6 if "flexibert" in name else 25):
        coarse, whole = coarse_graph(network, shape), costs(network, shape)
        assert coarse.parameters == whole.parameters > 0
        assert coarse.multiply_adds == whole.multiply_adds > 0
        in_nodes = np.exp2(coarse.node_NF[:, COLUMN["log2 parameters"]].astype(float)) - 1
        assert in_nodes.sum() == pytest.approx(whole.parameters, rel=1e-5)
        assert len(coarse) < len(network.nodes)
        assert kinds(coarse, 0) == {"input"}
        assert kinds(coarse, len(coarse) - 1) == {"output"}
        assert (np.diff(coarse.target_E) >= 0).all()
        assert (coarse.source_E < coarse.target_E).all()


@pytest.mark.parametrize("name", ["nasbench101", "nasbench201", "nats_size", "flexibert_full"])
def test_the_order_of_the_nodes_has_no_influence(name: str) -> None:
    shape = load_space(name).shapes.input
    # Among parallel layers, the order of the nodes says which one is the last but one.
    by_place = [place for place, name in enumerate(WHOLE) if "last but one" in name]
    for seed, network in enumerate(networks(name, 5)):
        other = reordered(network, seed)
        assert other != network
        first, second = coarse_graph(network, shape), coarse_graph(other, shape)
        assert signature(first) == signature(second)
        assert (first.parameters, first.multiply_adds, first.activations) == (
            second.parameters,
            second.multiply_adds,
            second.activations,
        )
        both = np.delete(whole_numbers(collate([first, second])), by_place, axis=1)
        np.testing.assert_allclose(both[0], both[1], rtol=1e-9, atol=1e-9)


def test_norm_and_activation_are_folded_into_their_convolution() -> None:
    builder = GraphBuilder()
    value = builder.input((3, 16, 16))
    value = builder.node(
        "conv2d", value, out_channels=8, kernel_size=3, stride=2, padding=1, bias=False
    )
    value = builder.node("silu", builder.node("batch_norm2d", value))
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
    coarse = coarse_graph(builder.output(builder.node("linear", value, out_features=5)))
    assert [kinds(coarse, number) for number in range(len(coarse))] == [
        {"input"},
        {"convolution", "normalisation", "smooth_activation"},
        {"global_pool"},
        {"linear"},
        {"output"},
    ]
    assert coarse.source_E.tolist() == [0, 1, 2, 3]
    assert coarse.target_E.tolist() == [1, 2, 3, 4]
    expected = {
        "log2 output channels": math.log2(8),
        "log2 input channels": math.log2(3),
        "log2 positions": math.log2(64),
        "log2 input positions over positions": math.log2(256 / 64),
        "kernel size": 3,
        "log2 groups": 0,
        "log2 parameters": math.log2(1 + 3 * 9 * 8 + 2 * 8),
        "log2 multiply-adds": math.log2(1 + 3 * 9 * 8 * 64),
        "arguments": 1,
    }
    np.testing.assert_allclose(numbers(coarse, 1, *expected), [*expected.values()], rtol=1e-6)
    assert coarse.activations == 8 * 64 + 8 + 5


def test_a_block_with_a_shortcut_keeps_both_paths() -> None:
    builder = GraphBuilder()
    stem = builder.node("conv2d", builder.input((3, 8, 8)), out_channels=4, kernel_size=1)
    branch = builder.node("conv2d", stem, out_channels=4, kernel_size=3, padding=1)
    total = builder.node("relu", builder.node("add", branch, stem, builder.node("tanh", stem)))
    coarse = coarse_graph(builder.output(builder.node("flatten", total)))
    # The identity and the activation are in the stem, which the sum therefore takes twice.
    assert coarse.source_E.tolist() == [0, 1, 2, 1, 1, 3]
    assert coarse.target_E.tolist() == [1, 2, 3, 3, 3, 4]
    assert kinds(coarse, 1) == {"convolution", "gate"}
    assert "sum" in kinds(coarse, 3)
    assert numbers(coarse, 3, "arguments") == [3]


def test_what_the_output_does_not_need_is_kept_only_if_it_is_executed() -> None:
    builder = GraphBuilder()
    value = builder.input((4,))
    builder.node("linear", value, out_features=100)
    network = builder.output(builder.node("linear", value, out_features=2))
    assert coarse_graph(network).parameters == 4 * 2 + 2
    assert len(coarse_graph(network)) == 3
    executed = coarse_graph(network, executed=True)
    assert executed.parameters == 4 * 2 + 2 + 4 * 100 + 100
    assert len(executed) == 4


@pytest.mark.parametrize("uses", [1, 2])
def test_parameters_of_a_constant_count_where_it_is_first_used(uses: int) -> None:
    builder = GraphBuilder()
    value = builder.node("linear", builder.input((6,)), out_features=6, bias=False)
    matrix = builder.node("parameter", shape=(6, 6), fill=("uniform", -0.1, 0.1))
    matrix = builder.node("transpose", matrix, dim0=0, dim1=1)
    for _ in range(uses):
        value = builder.node("matmul", value, matrix, ordered=True)
    network = builder.output(value)
    coarse = coarse_graph(network)
    assert coarse.parameters == costs(network).parameters == 36 + 36
    assert [kinds(coarse, number) for number in range(1, len(coarse) - 1)] == [
        {"linear"},
        *[{"attention"}] * uses,
    ]
    parameters = coarse.node_NF[1:-1, COLUMN["log2 parameters"]]
    np.testing.assert_allclose(np.exp2(parameters) - 1, [36, 36, 0][: uses + 1], atol=1e-4)
    # A constant is no argument.
    assert (coarse.node_NF[1:-1, COLUMN["arguments"]] == 1).all()


def test_shared_weights_count_once() -> None:
    builder = GraphBuilder()
    value = builder.input((6,))
    for _ in range(3):
        value = builder.node("linear", value, out_features=6, share="all")
    network = builder.output(value)
    assert coarse_graph(network).parameters == costs(network).parameters == 6 * 6 + 6


class Depthwise(nn.Module):
    """A convolution of each channel between two dense ones."""

    def __init__(self, kernel_size: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 1)
        self.depthwise = nn.Conv2d(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            groups=channels,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(channels)
        self.last = nn.Conv2d(channels, 20, 5, stride=2, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        value = torch.sigmoid(self.norm(self.depthwise(self.stem(images))))
        return self.last(value).flatten(1)


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_kernels_of_watched_convolutions_follow_from_their_costs(kernel_size: int) -> None:
    module, shape = Depthwise(kernel_size, channels=64), (3, 20, 20)
    watched, traced = watch(module, shape), describe(module, shape)
    assert any(node.op.startswith("observed:") for node in watched.nodes)
    assert any(node.op == "conv2d" for node in traced.nodes)
    for graph in (watched, traced):
        coarse = coarse_graph(graph, shape)
        convolutions = np.flatnonzero(coarse.node_NF[:, COLUMN["convolution"]]).tolist()
        wanted = ("kernel size", "log2 groups", "log2 output channels")
        np.testing.assert_allclose(
            [numbers(coarse, number, *wanted) for number in convolutions],
            [[1, 0, 6], [kernel_size, 6, 6], [5, 0, math.log2(20)]],
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.mark.parametrize("read", [describe, watch])
def test_a_transformer_is_read(read) -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    module = nn.Sequential(
        nn.Linear(12, 16), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    )
    coarse = coarse_graph(read(module, (10, 12)), (10, 12))
    assert coarse.parameters == sum(item.numel() for item in module.parameters())
    each = [kinds(coarse, number) for number in range(len(coarse))]
    assert sum("attention" in found for found in each) == 2
    assert sum("linear" in found for found in each) == 1 + 4
    assert sum("normalisation" in found for found in each) == 4
    # The width of a token is its number of channels, and there are ten positions.
    attention = next(number for number, found in enumerate(each) if "attention" in found)
    assert numbers(coarse, attention, "log2 output channels") == [4]
    assert numbers(coarse, attention, "log2 positions") == [pytest.approx(math.log2(10))]


class Recurrent(nn.Module):
    """Two recurrent layers and a classifier of the last state."""

    def __init__(self, layers: nn.RNNBase) -> None:
        super().__init__()
        self.layers = layers
        self.head = nn.Linear(8, 3)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(sequence)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_read(kind) -> None:
    module = Recurrent(kind(6, 8, num_layers=2, batch_first=True))
    coarse = coarse_graph(describe(module, (10, 6)), (10, 6))
    assert coarse.parameters == sum(item.numel() for item in module.parameters())
    assert coarse.multiply_adds > 0
    assert [kinds(coarse, number) for number in range(len(coarse))] == [
        {"input"},
        {"recurrent"},
        {"linear"},
        {"output"},
    ]
