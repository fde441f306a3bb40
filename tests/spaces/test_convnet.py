"""The space convnet: which shapes it takes, and that its networks are valid and learn."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import Graph, Shapes
from spaces.canonical import canonical_key
from spaces.convnet import BLOCKS, space
from spaces.operators import fix, mutate, sample, sample_graph
from spaces.ops import costs, infer_shapes, whole_shapes

DIGITS = Shapes((1, 8, 8), (10,))
IMAGES = [
    (1, 8, 8),
    (1, 28, 28),
    (3, 9, 40),
    (3, 17, 17),
    (3, 32, 32),
    (3, 64, 64),
    (3, 96, 96),
    (4, 65, 33),
    (3, 224, 224),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(IMAGES), st.integers(1, 200), st.integers(0, 10**6))
def test_every_architecture_takes_its_images_to_scores(
    image: tuple[int, ...], classes: int, seed: int
) -> None:
    served = space.for_shapes(Shapes(image, (classes,)))
    architecture, graph = sample_graph(served, Random(seed))
    assert infer_shapes(graph)[-1] == (classes,)
    assert served.graph(architecture) == graph
    assert Graph.from_json(graph.to_json()) == graph
    assert costs(graph).parameters < 6_000_000 + 257 * classes
    # Batch norm needs more than one value in a channel, and a convolution more than one pixel.
    normalised = [
        shape
        for node, shape in zip(graph.nodes, whole_shapes(graph), strict=True)
        if node.op == "batch_norm2d"
    ]
    assert min(min(shape[2:]) for shape in normalised) >= 2


@pytest.mark.parametrize(
    ("side", "stages"), [(8, 2), (15, 2), (16, 3), (32, 3), (63, 3), (64, 4), (96, 4), (256, 4)]
)
def test_larger_images_get_more_stages(side: int, stages: int) -> None:
    architecture = sample(space.for_shapes(Shapes((3, side, side), (10,))), Random(0))
    assert sum(path.endswith("/depth") for path in architecture.answers) == stages


def test_each_kind_of_block_has_its_own_choices() -> None:
    asked: dict[str, set[str]] = {kind: set() for kind in BLOCKS}
    for seed in range(50):
        answers = sample(space.for_shapes(DIGITS), Random(seed)).answers
        for path, kind in answers.items():
            if path.endswith("/op"):
                place = path.removesuffix("op")
                asked[str(kind)] |= {
                    other.removeprefix(place) for other in answers if other.startswith(place)
                }
    assert asked == {
        "conv": {"op", "kernel", "squeeze", "skip"},
        "inverted": {"op", "kernel", "expansion", "squeeze", "skip"},
        "separable": {"op", "kernel", "skip"},
        "convnext": {"op", "kernel", "expansion", "skip"},
        "pool": {"op", "skip"},
    }


def test_on_digits_most_networks_are_small() -> None:
    served, random = space.for_shapes(DIGITS), Random(0)
    counts = sorted(costs(sample_graph(served, random)[1]).parameters for _ in range(200))
    assert counts[100] < 100_000
    assert counts[-1] < 500_000


def test_sampled_networks_differ() -> None:
    served, random = space.for_shapes(DIGITS), Random(0)
    assert len({canonical_key(sample_graph(served, random)[1]) for _ in range(200)}) >= 198


def test_a_mutation_of_the_block_makes_its_choices() -> None:
    served = space.for_shapes(DIGITS)
    parent = sample(fix(served, {"stage1/depth": 1, "stage1/block1/op": "pool"}), Random(0))
    children = [mutate(served, parent, Random(seed)).answers for seed in range(400)]
    changed = [child for child in children if child["stage1/block1/op"] == "inverted"]
    assert changed
    assert all("stage1/block1/expansion" in child for child in changed)


def test_members_are_named_after_their_place() -> None:
    held = {"stage1/block1/op": "inverted", "stage1/block1/squeeze": True, "head/dropout": 0.2}
    served = fix(space.for_shapes(DIGITS), held)
    module = served.build(sample(served, Random(0)))
    names = {name for name, _ in module.named_children()}
    assert {
        "stem",
        "stem_norm",
        "stage1_block1_depthwise",
        "stage1_block1_squeeze_reduce",
        "stage2_downsample",
        "head_dropout",
        "head_linear",
    } <= names


@pytest.mark.parametrize("seed", range(3))
def test_a_network_learns_the_digits(seed: int) -> None:
    """Less than a second of training brings any sample far above the 10 % of guessing."""
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    torch.manual_seed(seed)
    served = space.for_shapes(DIGITS)
    module = served.build(sample(served, Random(seed)))
    images, labels = (torch.as_tensor(array) for array in load_digits(return_X_y=True))
    inputs = images.float().reshape(-1, 1, 8, 8) / 16
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    for step in range(25):
        rows = slice(step * 50, step * 50 + 50)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs[rows]), labels[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (module(inputs[1300:]).argmax(1) == labels[1300:]).float().mean()
    assert accuracy > 0.5


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (Shapes((64,), (10,)), r"takes images \(channels, height, width\).*inputs \(64,\)"),
        (Shapes((3, 32, 32), (10, 4)), r"to a vector of scores.*outputs \(10, 4\)"),
        (Shapes((3, 32, 7), (10,)), r"at least 8 x 8 pixels; this task has 32 x 7"),
    ],
)
def test_other_data_is_refused_with_a_sentence(shapes: Shapes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(space.for_shapes(shapes), Random(0))
