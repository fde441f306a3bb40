"""Accel-NASBench (Ahmad et al., DAC 2024): MnasNet's space for ImageNet, 1.0e11 architectures.

A network has seven blocks of inverted bottlenecks. The choices for each block are its expansion,
its kernel size, its number of layers, and whether they use squeeze-and-excitation. The graph is the
chain of the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.domains import Answer
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node, node
from spaces.inverted_bottleneck import convolution, inverted_bottleneck
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

STEM_CHANNELS = 32
CHANNELS = (16, 24, 40, 80, 112, 192, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
HEAD_CHANNELS = 1280
DROPOUT = 0.2
EXPANSIONS = (1, 4, 6)
KERNEL_SIZES = (3, 5)
MOST_LAYERS = (3, 3, 3, 3, 3, 4, 3)

_QUESTIONS = tuple(
    tuple(
        f"block_{number}/{name}"
        for name in ("expansion", "kernel_size", "layers", "squeeze_excite")
    )
    for number in range(len(CHANNELS))
)
_LAYER_COUNTS = tuple(tuple(range(1, most + 1)) for most in MOST_LAYERS)
_NO_OR_YES = (False, True)


def define(choose: Chooser) -> Graph:
    """The four choices of each block, from the input to the output."""
    one_of = choose.one_of
    layers: list[Node] = []
    for block, (expansion, kernel_size, count, squeeze_excite) in enumerate(_QUESTIONS):
        layers += _block(
            block,
            one_of(expansion, EXPANSIONS),
            one_of(kernel_size, KERNEL_SIZES),
            one_of(count, _LAYER_COUNTS[block]),
            one_of(squeeze_excite, _NO_OR_YES),
        )
    return Graph((INPUT, *layers, OUTPUT), _chain(len(layers) + 2))


def network(layers: Graph, shapes: Shapes) -> Graph:
    """The whole network: a convolution of stride 2, the layers, a convolution, and a classifier.

    The last convolution has 1,280 channels, dropout is in front of the classifier, and all
    activations are SiLU. Accuracy and GPU figures are published for this network (the FPGA figures
    are those of the same network with ReLU), but with stochastic depth, which drops whole layers in
    training. Its parameters are the published ones. The published multiply-adds are larger: they
    add four for each element of a batch norm's output, and one for each element that goes into a
    pooling or comes out of it.

    Raises:
        ValueError: the data are not images, or the output is not a vector of scores.
    """
    if len(shapes.input) != 3 or len(shapes.output) != 1:
        raise ValueError(
            "accel_nasbench takes images (channels, height, width) to a vector of scores "
            f"(classes,); got {shapes.input} and {shapes.output}"
        )
    builder = GraphBuilder()
    value = convolution(
        builder,
        builder.input(shapes.input),
        STEM_CHANNELS,
        kernel_size=3,
        stride=2,
        activation="silu",
    )
    channels = STEM_CHANNELS
    for item in layers.nodes[1:-1]:
        value = inverted_bottleneck(builder, value, channels, item, "silu")
        channels = item["out_channels"]
    value = convolution(builder, value, HEAD_CHANNELS, activation="silu")
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
    value = builder.node("dropout", value, p=DROPOUT)
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its column `arch` (N, 28) holds for each block the expansion, the kernel size, the number of
    layers, and whether they use squeeze-and-excitation (0 or 1).
    """
    return [Architecture(space.name, _decisions(row)) for row in columns["arch"].tolist()]


def _decisions(row: list[int]) -> tuple[tuple[str, Answer], ...]:
    decisions: list[tuple[str, Answer]] = []
    for block, paths in enumerate(_QUESTIONS):
        *numbers, squeeze_excite = row[4 * block : 4 * block + 4]
        decisions += zip(paths, (*numbers, bool(squeeze_excite)), strict=True)
    return tuple(decisions)


@cache
def _block(
    block: int, expansion: int, kernel_size: int, count: int, squeeze_excite: bool
) -> tuple[Node, ...]:
    attributes = {
        "expansion": expansion,
        "kernel_size": kernel_size,
        "out_channels": CHANNELS[block],
        "squeeze_excite": squeeze_excite,
    }
    first = node("mb_conv", stride=STRIDES[block], **attributes)
    return (first, *[node("mb_conv", stride=1, **attributes)] * (count - 1))


@cache
def _chain(count: int) -> tuple[Edge, ...]:
    return tuple(Edge(number, number + 1) for number in range(count - 1))


space = SearchSpace(
    "accel_nasbench", define, Shapes((3, 224, 224), (1000,)), network=network, rows=rows
)
