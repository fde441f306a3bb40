"""The space sequence_net: which shapes it takes, and that its networks are valid and learn."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spaces import Graph, Shapes
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.operators import fix, sample, sample_graph
from spaces.ops import costs, infer_shapes, whole_shapes
from spaces.sequence_net import ALL_BLOCKS, LOCAL_BLOCKS, space

SERVED = space.for_shapes(Shapes((1, 40), (10,)))
SEQUENCES = [(1, 8), (3, 9), (1, 40), (2, 63), (1, 64), (1, 127), (12, 128), (6, 500), (1, 4001)]
OWN_CHOICES = {
    "conv": {"op", "kernel", "dilation", "skip"},
    "separable": {"op", "kernel", "dilation", "skip"},
    "gru": {"op", "bidirectional", "skip"},
    "attention": {"op", "heads", "skip"},
}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SEQUENCES), st.integers(1, 50), st.integers(0, 10**6))
def test_every_architecture_takes_its_sequences_to_scores(
    shape: tuple[int, ...], classes: int, seed: int
) -> None:
    served = space.for_shapes(Shapes(shape, (classes,)))
    architecture, graph = sample_graph(served, Random(seed))
    assert infer_shapes(graph)[-1] == (classes,)
    assert served.graph(architecture) == graph
    assert Graph.from_json(graph.to_json()) == graph
    convolved = [
        whole[2]
        for node, whole in zip(graph.nodes, whole_shapes(graph), strict=True)
        if node.op == "conv1d"
    ]
    # Long sequences are shortened first; at the end there are still two points to look at.
    assert 2 <= min(convolved) <= max(convolved) <= 127


@pytest.mark.parametrize("seed", range(12))
def test_counts_are_those_of_the_module_that_is_built(seed: int) -> None:
    architecture, graph = sample_graph(SERVED, Random(seed))
    module = SERVED.build(architecture)
    assert module(torch.rand(3, 1, 40)).shape == (3, 10)
    assert costs(graph).parameters == sum(item.numel() for item in module.parameters())


def test_there_are_many_networks_and_none_is_large() -> None:
    assert 1e14 < (size(SERVED) or 0) < 1e16
    largest = {
        "stem/width": 16,
        "stem/kernel": 7,
        "norm": "batch",
        "head/readout": "flatten",
        "stage2/width": 24,
        "stage3/width": 32,
        "stage2/transition": "none",
        **{f"stage{stage}/depth": 2 for stage in (1, 2, 3)},
    }
    counts = []
    for last in ALL_BLOCKS:
        held: dict[str, Any] = {**largest, "stage3/transition": "strided"}
        for stage in (1, 2, 3):
            for block in (1, 2):
                place = f"stage{stage}/block{block}"
                held[f"{place}/op"] = last if stage == 3 else "conv"
                if held[f"{place}/op"] == "conv":
                    held[f"{place}/kernel"] = 7
                if held[f"{place}/op"] == "gru":
                    held[f"{place}/bidirectional"] = False
        counts.append(costs(sample_graph(fix(SERVED, held), Random(0))[1]).parameters)
    assert 20_000 < max(counts) < 60_000
    random = Random(0)
    drawn = [costs(sample_graph(SERVED, random)[1]).parameters for _ in range(300)]
    assert max(drawn) <= max(counts)


def test_sampled_networks_differ() -> None:
    random = Random(0)
    assert len({canonical_key(sample_graph(SERVED, random)[1]) for _ in range(200)}) >= 198


def test_each_kind_of_block_has_its_own_choices_and_only_the_last_stage_has_all_kinds() -> None:
    asked: dict[str, set[str]] = {}
    offered: dict[str, set[str]] = {}
    for seed in range(100):
        answers = sample(SERVED, Random(seed)).answers
        for path, kind in answers.items():
            if path.endswith("/op"):
                place = path.removesuffix("op")
                names = {item.removeprefix(place) for item in answers if item.startswith(place)}
                asked.setdefault(str(kind), set()).update(names)
                offered.setdefault(path.split("/")[0], set()).add(str(kind))
    assert asked == OWN_CHOICES
    assert offered == {
        "stage1": set(LOCAL_BLOCKS),
        "stage2": set(LOCAL_BLOCKS),
        "stage3": set(ALL_BLOCKS),
    }


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("op", LOCAL_BLOCKS)
def test_a_dilated_block_reaches_as_far_as_it_says(op: str, dilation: int) -> None:
    held: dict[str, Any] = {
        **{f"stage{stage}/depth": 1 for stage in (1, 2, 3)},
        "norm": "none",
        "activation": "tanh",
        "stage1/block1/op": op,
        "stem/kernel": 3,
        "stage1/block1/kernel": 5,
        "stage1/block1/dilation": dilation,
        "stage1/block1/skip": False,
    }
    module = SERVED.build(sample(fix(SERVED, held), Random(0)))
    names = ["stage1_block1_conv"] if op == "conv" else ["stage1_block1_depthwise"]
    convolution = next(child for name, child in module.named_children() if name in names)
    assert isinstance(convolution, nn.Conv1d)
    channels = convolution.in_channels
    x = torch.zeros(1, channels, 40, requires_grad=True)
    convolution(x)[0, :, 20].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 1)).nonzero().flatten().tolist()
    assert seen == [20 + dilation * step for step in (-2, -1, 0, 1, 2)]


@pytest.mark.parametrize(
    ("readout", "reads"),
    [
        ("mean", lambda value: value.mean(2)),
        ("max", lambda value: value.amax(2)),
        ("last", lambda value: value[:, :, -1]),
        ("flatten", lambda value: value.flatten(1)),
    ],
)
def test_the_head_reads_what_it_says(readout: str, reads) -> None:
    held: dict[str, Any] = {
        "stage3/depth": 1,
        "stage3/block1/op": "attention",
        "stage3/block1/skip": False,
        "norm": "layer",
        "head/readout": readout,
        "head/dropout": 0.0,
    }
    module = SERVED.build(sample(fix(SERVED, held), Random(1))).eval()
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen.append(output)

    module.get_submodule("stage3_block1_norm").register_forward_hook(keep)
    with torch.no_grad():
        given = module(torch.rand(2, 1, 40))
        linear = module.get_submodule("head_linear")
        assert torch.allclose(given, linear(reads(seen[0])), atol=1e-6)


@pytest.mark.parametrize("op", ALL_BLOCKS)
def test_a_network_of_each_block_learns_which_half_has_the_step(op: str) -> None:
    held: dict[str, Any] = {
        "norm": "batch",
        "activation": "relu",
        "head/readout": "mean",
        "head/dropout": 0.0,
        "stage3/depth": 1,
        "stage3/block1/op": op,
    }
    served = fix(space.for_shapes(Shapes((1, 16), (2,))), held)
    torch.manual_seed(0)
    module = served.build(sample(served, Random(0)))
    labels = torch.arange(512) % 2
    inputs = 0.3 * torch.randn(512, 1, 16)
    inputs[labels == 0, :, 4:] += 1
    inputs[labels == 1, :, 12:] += 1
    optimizer = torch.optim.AdamW(module.parameters(), 0.01)
    for step in range(40):
        rows = slice(step % 6 * 64, step % 6 * 64 + 64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs[rows]), labels[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (module.eval()(inputs[384:]).argmax(1) == labels[384:]).float().mean()
    assert accuracy > 0.9


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (Shapes((40,), (10,)), r"takes sequences \(channels, length\).*inputs \(40,\)"),
        (Shapes((1, 40), (10, 4)), r"to a vector of scores.*outputs \(10, 4\)"),
        (Shapes((3, 7), (10,)), r"at least 8 points; this task has 7"),
    ],
)
def test_other_data_is_refused_with_a_sentence(shapes: Shapes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(space.for_shapes(shapes), Random(0))
