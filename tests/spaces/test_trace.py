"""A module built from a trace computes the same as the traced module and has the same costs."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spaces import GraphBuilder, SearchSpace, Shapes
from spaces.build import build, source
from spaces.graph import Graph
from spaces.operators import domains, mutate, sample
from spaces.ops import costs, infer_shapes
from spaces.trace import copy_state, trace
from tests.spaces.traced_modules import MODULES, Faulty, Shared


@pytest.mark.parametrize("name", MODULES)
def test_the_built_module_computes_what_the_traced_module_computes(name):
    torch.manual_seed(0)
    module, inputs = MODULES[name](), torch.randn(3, 3, 16, 16)
    graph = trace(module, (3, 16, 16))
    assert Graph.from_json(graph.to_json()) == graph
    built = build(graph)
    copy_state(module, built)
    with torch.no_grad():
        torch.testing.assert_close(built(inputs), module(inputs), rtol=1e-6, atol=1e-6)
        module.eval(), built.eval()
        expected = module(inputs)
        torch.testing.assert_close(built(inputs), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(built(inputs[:1]), module(inputs[:1]), rtol=1e-5, atol=1e-5)
    assert infer_shapes(graph)[-1] == expected.shape[1:]
    assert costs(trace(built, (3, 16, 16))).parameters == costs(graph).parameters


@pytest.mark.parametrize("name", MODULES)
def test_the_counts_are_those_of_the_module(name):
    module = MODULES[name]()
    counted = costs(trace(module, (3, 16, 16)))
    assert counted.parameters == sum(parameter.numel() for parameter in module.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module.to("meta")(torch.empty(2, 3, 16, 16, device="meta"))
    assert 2 * 2 * counted.multiply_adds == counter.get_total_flops()


def test_a_traced_graph_equals_the_one_written_by_hand():
    module = nn.Sequential(
        nn.Conv2d(3, 8, (3, 3), stride=(2, 2), padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8, 5),
        nn.Softmax(dim=-1),
    )
    builder = GraphBuilder()
    x = builder.input((3, 16, 16))
    x = builder.node("conv2d", x, out_channels=8, kernel_size=3, stride=2, padding=1, bias=False)
    x = builder.node("relu", builder.node("batch_norm2d", x))
    x = builder.node("conv2d", x, out_channels=8, kernel_size=3, groups="in_channels")
    x = builder.node(
        "adaptive_avg_pool2d", builder.node("max_pool2d", x, kernel_size=2), output_size=1
    )
    x = builder.node("dropout", builder.node("flatten", x), p=0.2)
    x = builder.node("softmax", builder.node("linear", x, out_features=5), dim=-1)
    graph = trace(module, (3, 16, 16))
    assert graph == builder.output(x)
    assert [node.label for node in graph.nodes[1:-1]] == [str(number) for number in range(10)]


def test_three_ways_to_call_a_function_are_one_operation():
    def traced(program):
        return trace(Faulty(program), (3, 16, 16))

    graphs = [
        traced(lambda m, x: nn.functional.relu(x)),
        traced(lambda m, x: x.relu()),
        traced(lambda m, x: torch.relu(x)),
        traced(lambda m, x: x.relu_()),
    ]
    assert all(graph == graphs[0] for graph in graphs)
    sums = [
        traced(lambda m, x: x + x.tanh()),
        traced(lambda m, x: torch.add(x, x.tanh())),
        traced(lambda m, x: x.add(x.tanh())),
    ]
    assert all(graph == sums[0] for graph in sums)
    flat = [
        traced(lambda m, x: x.flatten(1)),
        traced(lambda m, x: x.view(x.size(0), -1)),
        traced(lambda m, x: x.reshape(-1, 3 * 16 * 16)),
    ]
    assert all(graph == flat[0] for graph in flat)


def test_operations_in_place_change_the_value_that_others_hold():
    def program(m, x):
        y = kept = x * 2
        y += 1
        copied = y.clone()
        F.relu(y, inplace=True)
        return kept + copied

    inputs = torch.randn(2, 3, 4, 4)
    assert torch.equal(build(trace(Faulty(program), (3, 4, 4)))(inputs), program(None, inputs))


def test_shapes_are_numbers_that_may_decide():
    def program(m, x):
        (b, c, h, w), rank = x.shape, x.ndim
        assert (c, h, w) == (3, 16, 16)
        assert (x.size(-1), x.shape[2:].numel()) == (16, 256)
        assert (rank, x.dim()) == (4, 4)
        return m.conv(x).reshape(b, -1) if c == 3 and b == x.shape[0] else x

    operations = [node.op for node in trace(Faulty(program), (3, 16, 16)).nodes]
    assert operations == ["input", "conv2d", "flatten", "output"]


def test_functions_take_their_arguments_by_name_and_powers_by_tensor():
    def program(m, x):
        pooled = torch.mean(input=F.relu(input=x), dim=(2, 3))
        powers = 2**pooled + pooled ** torch.sigmoid(input=pooled)
        return powers + torch.add(input=pooled, other=pooled, alpha=0.5)

    inputs = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(
        build(trace(Faulty(program), (3, 4, 4)))(inputs), program(None, inputs)
    )


def test_modules_used_twice_share_their_weights():
    text = source(trace(Shared(), (3, 16, 16)))
    assert text.count("nn.Conv2d") == 1
    assert text.count("self.conv(") == 3


def test_copying_state_is_strict():
    class Wide(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.one = nn.Linear(4, width)

        def forward(self, x):
            return self.one(x)

    built = build(trace(Wide(8), (4,)))
    with pytest.raises(
        ValueError,
        match=r"one: weight should have the shape \(8, 4\), the original has the shape \(9, 4\)",
    ):
        copy_state(Wide(9), built)
    with pytest.raises(ValueError, match="nothing of that name"):
        copy_state(nn.Linear(4, 8), built)
    with pytest.raises(ValueError, match="made by spaces"):
        copy_state(Wide(8), Wide(8))


def test_a_module_of_torch_alone_is_a_network():
    module = nn.Linear(4, 2)
    built = build(trace(module, (4,)))
    copy_state(module, built)
    inputs = torch.randn(3, 4)
    assert torch.equal(built(inputs), module(inputs))


def test_sequences_of_numbers_are_embedded():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(11, 8), nn.Linear(8, 2)
            self.places = nn.Embedding(6, 8)
            self.register_buffer("order", torch.arange(6))

        def forward(self, x):
            return self.head((self.words(x) + self.places(self.order)).mean(1))

    module, inputs = Reader(), torch.randint(11, (3, 6))
    built = build(trace(module, (6,)))
    copy_state(module, built)
    assert torch.equal(built(inputs), module(inputs))


def test_a_module_that_an_operator_made_is_not_made_again_for_its_graph_and_domains():
    runs = 0

    def define(choose, shapes):
        nonlocal runs
        runs += 1
        widths = [choose.one_of(f"width{number}", [4, 8, 16]) for number in range(3)]
        sizes = pairwise([*shapes.input, *widths, *shapes.output])
        return nn.Sequential(*(nn.Linear(inner, outer) for inner, outer in sizes))

    space = SearchSpace("perceptrons", define, shapes=Shapes((5,), (2,)))
    parent = sample(space, Random(0))
    graph, questions = space.graph(parent), domains(space, parent)
    assert runs == 2  # The sampler keeps no domains.
    child = mutate(space, parent, Random(1))
    assert space.graph(child) != graph
    assert dict(domains(space, child)) == dict(questions)
    assert runs == 3
    assert space.replayed(child) == space.graph(child)
    assert runs == 4
