"""The text of a module: it reads well, needs torch only, and is what `build` runs."""

from __future__ import annotations

import linecache
import subprocess
import sys
import traceback
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import GraphBuilder
from spaces.build import build, source
from spaces.graph import INPUT, OUTPUT, Edge, Graph, Node, node

EXPECTED = '''import torch
from torch import nn


class Small(nn.Module):
    """Takes (batch, 3, 8, 8) and gives (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.batch_norm2d_1 = nn.BatchNorm2d(16)
        self.conv2d_1 = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.scale = nn.Parameter(torch.full((16, 1, 1), 0.1))
        self.linear_1 = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.batch_norm2d_1(x)
        x = torch.relu(x)
        x1 = self.conv2d_1(x)
        x1 = nn.functional.silu(x1)
        x1 = x1 * self.scale
        x1 = x + x1
        x = torch.cat([x, x1], dim=1)
        x = nn.functional.adaptive_avg_pool2d(x, 1)
        x = x.flatten(1)
        return self.linear_1(x)
'''


def small():
    builder = GraphBuilder()
    x = builder.input((3, 8, 8))
    stem = node("conv2d", out_channels=16, kernel_size=3, padding=1, bias=False)
    x = builder.add(replace(stem, label="stem"), x)
    x = builder.node("relu", builder.node("batch_norm2d", x))
    builder.node("conv2d", x, out_channels=99, kernel_size=1)
    y = builder.node("conv2d", x, out_channels=16, kernel_size=3, padding=1, groups="in_channels")
    y = builder.node("silu", y)
    scale = builder.add(Node("parameter", (("fill", 0.1), ("shape", (16, 1, 1))), label="scale"))
    y = builder.node("add", x, builder.node("identity", builder.node("mul", y, scale)))
    x = builder.node("cat", x, y, ordered=True)
    x = builder.node("flatten", builder.node("adaptive_avg_pool2d", x, output_size=1))
    return builder.output(builder.node("linear", x, out_features=10))


def test_the_text_reads_as_one_would_write_it():
    assert source(small(), class_name="Small") == EXPECTED


def test_the_text_is_a_file_that_needs_torch_only(tmp_path):
    (tmp_path / "small.py").write_text(source(small(), class_name="Small"))
    code = (
        "import sys, torch, small; "
        "assert small.Small()(torch.zeros(5, 3, 8, 8)).shape == (5, 10); "
        "print('spaces' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_the_built_module_is_that_text_and_shows_it_in_tracebacks():
    module = build(small())
    with pytest.raises(RuntimeError) as error:
        module(torch.zeros(2, 4, 8, 8))
    assert "x = self.stem(x)" in "".join(traceback.format_exception(error.value))
    assert "".join(linecache.getlines(type(module).forward.__code__.co_filename)) == source(small())


def test_building_draws_new_weights_from_the_seed():
    torch.manual_seed(3)
    one, two = build(small()), build(small())
    torch.manual_seed(3)
    again = build(small())
    assert torch.equal(one.linear_1.weight, again.linear_1.weight)
    assert not torch.equal(one.linear_1.weight, two.linear_1.weight)


def test_several_values_at_the_output_are_added():
    graph = Graph(
        (node("input", shape=(4,)), Node("relu"), OUTPUT),
        (Edge(0, 1), Edge(0, 2), Edge(1, 2), Edge(1, 2)),
    )
    inputs = torch.randn(3, 4)
    assert torch.allclose(build(graph)(inputs), inputs + 2 * inputs.relu())


@pytest.mark.parametrize(
    "graph",
    [
        Graph((INPUT, OUTPUT), ()),
        Graph((INPUT, Node("relu"), OUTPUT), (Edge(0, 1),)),
        Graph((INPUT, node("parameter", shape=(3,)), OUTPUT), (Edge(1, 2),)),
    ],
)
def test_a_network_without_a_value_is_refused(graph):
    with pytest.raises(ValueError, match="output gets no value"):
        source(graph, (3,))


def test_weights_are_shared_among_equal_nodes_only():
    builder = GraphBuilder()
    x = builder.node("linear", builder.input((4,)), out_features=4, share=1)
    with pytest.raises(
        ValueError, match=r"nodes 1 and 2 share weights .*nn.Linear\(4, 4\) and nn.Linear\(4, 5\)"
    ):
        source(builder.output(builder.node("linear", x, out_features=5, share=1)))


def test_labels_become_names_that_are_free_and_harmless():
    labels = ["a.b", "a_b", "forward", "class", "0.1"]
    labels += ["x'); import os; ('", "", "__init__", "ä", "labels", "training"]
    builder = GraphBuilder()
    x = builder.input((4,))
    for label in labels:
        x = builder.add(Node("linear", (("out_features", 4),), label=label), x)
    graph = builder.output(x)
    names = [
        line.split()[0].removeprefix("self.")
        for line in source(graph).splitlines()
        if "nn.Linear" in line
    ]
    assert names[:5] == ["a_b", "a_b_2", "forward_2", "class_2", "linear_0_1"]
    assert len(set(names)) == len(labels)
    assert all(name.isidentifier() and name.isascii() for name in names)
    assert list(build(graph).labels.values()) == labels


@pytest.mark.parametrize("name", ["", "1a", "class", "nn", "a b", "A(nn.Module): pass\nclass B"])
def test_the_class_name_must_be_a_name(name):
    with pytest.raises(ValueError, match="class_name"):
        source(small(), class_name=name)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_from_outside_stay_texts(label, mode):
    builder = GraphBuilder()
    x = builder.add(node("pad", pad=(1, 1), mode=mode), builder.input((4, 4)))
    x = builder.add(Node("linear", (("out_features", 2),), label=label), x)
    text = source(builder.output(x))
    scope = compile(text, "generated", "exec")
    assert set(scope.co_names) == {"torch", "nn", "Module", "Network"}
    forward = next(line for line in text.splitlines() if "functional.pad" in line)
    assert repr(mode)[1:-1] in forward or mode == "constant" or mode in ("inf", "-inf", "nan")


def test_the_batch_is_dynamic_when_exported():
    builder = GraphBuilder()
    x = builder.input((4, 6))
    x = builder.node("reshape", x, shape=("batch", 2, 2, 6))
    x = builder.node("permute", x, dims=(2, 0, 1, 3))
    first, second = (builder.node("getitem", x, index=(place,)) for place in (0, 1))
    x = builder.node("reshape", builder.node("add", first, second), shape=("batch", 12))
    token = builder.node("parameter", shape=(1, 12), fill=1.0)
    token = builder.node("expand", token, shape=("batch", -1))
    module = build(builder.output(builder.node("cat", x, token, ordered=True))).eval()
    exported = torch.export.export(
        module, (torch.randn(3, 4, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    ).module()
    inputs = torch.randn(7, 4, 6)
    assert torch.equal(exported(inputs), module(inputs))
