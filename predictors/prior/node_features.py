"""The features of a node of a coarse graph: kinds of operations, sizes, kernel, costs."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from predictors.prior.kinds import KINDS, PLACE, kinds_of
from spaces.graph import Node
from spaces.ops.finding import settings
from spaces.ops.shapes import Shape

# The features of a node: whether an operation of each kind is in it, then these numbers.
NUMBERS = (
    "log2 output channels",
    "log2 input channels",
    "log2 positions",
    "log2 input positions over positions",
    "kernel size",
    "log2 groups",
    "log2 parameters",
    "log2 multiply-adds",
    "arguments",
)
FEATURES = (*KINDS, *NUMBERS)
COLUMN = {name: place for place, name in enumerate(FEATURES)}
_FIRST_NUMBER = len(KINDS)
# Sizes of the kernels of depthwise convolutions, which a watched convolution's costs are held
# against.
_KERNELS = (3, 5, 7, 9, 11, 13, 15, 31)


class Part(NamedTuple):
    """All that the features of a kept node depend on.

    Attributes:
        node: the node itself.
        kinds: of the node and of what is folded into it.
        value: its shape, and whether the channels are last.
        given: the same of its largest argument; of its value if it has none.
        arguments: their number, without constants.
        own: the multiply-adds of the node alone.
        parameters, multiply_adds: with what is folded into it.
    """

    node: Node
    kinds: frozenset[str]
    value: tuple[Shape, bool]
    given: tuple[Shape, bool]
    arguments: int
    own: int
    parameters: int
    multiply_adds: int


@lru_cache(maxsize=32768)
def row_of(part: Part) -> bytes:
    """The features of a kept node in float32, cached because networks repeat their nodes."""
    row = [0.0] * len(FEATURES)
    for kind in part.kinds:
        row[PLACE[kind]] = 1.0
    channels, positions = _sizes(*part.value)
    from_channels, from_positions = _sizes(*part.given)
    kernel, groups = _kernel(part.node, part.own, from_channels, channels, positions)
    row[_FIRST_NUMBER:] = [
        math.log2(channels),
        math.log2(from_channels),
        math.log2(positions),
        math.log2(from_positions / positions),
        kernel,
        math.log2(groups),
        math.log2(1 + part.parameters),
        math.log2(1 + part.multiply_adds),
        float(part.arguments),
    ]
    return np.array(row, dtype=np.float32).tobytes()


def _sizes(shape: Shape, last: bool) -> tuple[int, int]:
    """The number of channels and of positions of one sample's value."""
    sizes = shape[1:]
    if not sizes:
        return 1, 1
    channels = sizes[-1] if last else sizes[0]
    return max(channels, 1), max(math.prod(sizes) // max(channels, 1), 1)


def _kernel(
    node: Node, multiply_adds: int, inputs: int, channels: int, positions: int
) -> tuple[float, float]:
    """The size of the kernel and the number of groups of a convolution; 0 and 1 for other nodes.

    A watched convolution has no such attributes. Its costs tell: the multiply-adds of an output
    are the kernel's area times the inputs of a group.
    """
    if "convolution" not in kinds_of(node.op):
        return (float(_largest(node.get("kernel_size"))), 1.0)
    size = node.get("kernel_size")
    if size is not None:
        groups = settings(node).get("groups", 1)
        # Depthwise convolutions may say so in a word.
        return float(_largest(size)), float(groups if isinstance(groups, int) else inputs)
    if not multiply_adds:
        return 1.0, 1.0
    area = multiply_adds / (positions * channels * inputs)
    side = math.sqrt(area)
    if area >= 1 and abs(side - round(side)) < 1e-6:
        return side, 1.0
    for kernel in _KERNELS:
        groups = kernel**2 / area
        if abs(groups - inputs) < 0.01 * inputs:
            return float(kernel), float(inputs)
    return (side, 1.0) if area >= 1 else (1.0, 1 / area)


def _largest(size: object) -> int:
    if isinstance(size, tuple):
        return max([part for part in size if isinstance(part, int)], default=0)
    return size if isinstance(size, int) else 0
