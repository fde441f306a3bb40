"""The design of a FlexiBERT space: the options of its choices, and the space made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.flexibert.description import Layer, describe
from spaces.flexibert.encoder import network
from spaces.graph import Graph
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

OPERATIONS = ("sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5", "c_9", "c_13")

# A text of up to 512 tokens of RoBERTa's vocabulary, and two classes.
SHAPES = Shapes((512,), (2,), vocabulary=50_265)


@dataclass(frozen=True)
class Design:
    """The options of every choice, and which layers and heads share their choices.

    Attributes:
        layers: numbers of encoder layers.
        hidden: widths of a layer; a projection joins layers of different widths.
        heads: numbers of parallel heads in a layer. Each is hidden // heads wide.
        stacks: numbers of feed-forward layers that follow one another in a layer.
        feed_forward: widths of a feed-forward layer.
        operations: of a head. They are self-attention by scaled dot product (`sa_sdp`) or with a
            learned matrix between query and key (`sa_wma`), the Fourier (`l_dft`) or the cosine
            transform (`l_dct`), and a span-based dynamic convolution with an odd kernel size, such
            as `c_5`.
        stack: how many layers in a row share their choices, 1 or 2. The choices of such a stack
            have the name of its first layer.
        homogeneous: whether the feed-forward layers of a layer have one width.
        mixed: whether each head has an operation of its own (FlexiBERT 2.0).

    Raises:
        ValueError: a choice has no options or the same option twice, or the options are invalid.
    """

    layers: tuple[int, ...]
    hidden: tuple[int, ...]
    heads: tuple[int, ...]
    stacks: tuple[int, ...]
    feed_forward: tuple[int, ...]
    operations: tuple[str, ...] = OPERATIONS
    stack: int = 1
    homogeneous: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "stacks", "feed_forward"):
            options = getattr(self, name)
            whole = isinstance(options, tuple) and all(
                isinstance(option, int) and option > 0 for option in options
            )
            if not whole or not options or len(set(options)) < len(options):
                raise ValueError(
                    f"a design's {name} are a tuple of different whole numbers above 0, got "
                    f"{options!r}"
                )
        wrong = [
            item
            for item in self.operations
            if not re.fullmatch(r"sa_sdp|sa_wma|l_dft|l_dct|c_\d*[13579]", item)
        ]
        if wrong or not self.operations or len(set(self.operations)) < len(self.operations):
            raise ValueError(
                "a design's operations are different ones of sa_sdp, sa_wma, l_dft, l_dct and "
                f"c_ with an odd kernel size, got {self.operations!r}"
            )
        if self.stack not in (1, 2) or any(count % self.stack for count in self.layers):
            raise ValueError(
                "a design's stack is 1, or 2 if all numbers of layers are even; got "
                f"{self.stack!r} for the layers {self.layers!r}"
            )
        if max(self.heads) > min(self.hidden):
            raise ValueError(
                f"{max(self.heads)} heads do not fit into a width of {min(self.hidden)}: give "
                "fewer heads or a larger hidden size"
            )


def flexibert(
    name: str,
    design: Design,
    rows: Callable[[Mapping[str, numpy.ndarray]], list[Architecture]] | None = None,
) -> SearchSpace:
    """The search space of a design.

    Its networks map tokens (0 is padding) to scores of classes, or to scores for every token; see
    `network`.

    Args:
        name: of the space.
        design: the options of its choices.
        rows: reads architectures from the columns of a table, if there is one.
    """
    return SearchSpace(name, partial(define, design), SHAPES, network=network, rows=rows)


def define(design: Design, choose: Chooser) -> Graph:
    """The number of layers, then the choices of each layer, or of two layers that share them.

    A layer's choices are its width, its number of heads, their operations, and the number and
    widths of its feed-forward layers.
    """
    one_of = choose.one_of
    layers: list[Layer] = []
    for number in range(0, one_of("layers", design.layers), design.stack):
        paths = _paths(number, max(design.heads), max(design.stacks))
        hidden, heads = one_of(paths.hidden, design.hidden), one_of(paths.heads, design.heads)
        if design.mixed:
            operations = tuple(one_of(path, design.operations) for path in paths.head[:heads])
        else:
            operations = (one_of(paths.operation, design.operations),) * heads
        stacks = one_of(paths.stacks, design.stacks)
        if design.homogeneous:
            sizes = (one_of(paths.feed_forward, design.feed_forward),) * stacks
        else:
            sizes = tuple(
                one_of(path, design.feed_forward) for path in paths.feed_forward_of[:stacks]
            )
        layers += [Layer(hidden, operations, sizes)] * design.stack
    return describe(tuple(layers), mixed=design.mixed)


@dataclass(frozen=True)
class Paths:
    """The paths of the choices of one layer."""

    hidden: str
    heads: str
    operation: str
    head: tuple[str, ...]
    stacks: str
    feed_forward: str
    feed_forward_of: tuple[str, ...]


@lru_cache(maxsize=1024)
def _paths(number: int, heads: int, stacks: int) -> Paths:
    layer = f"layer_{number}"
    return Paths(
        hidden=f"{layer}/hidden",
        heads=f"{layer}/heads",
        operation=f"{layer}/operation",
        head=tuple(f"{layer}/head_{head}" for head in range(heads)),
        stacks=f"{layer}/stacks",
        feed_forward=f"{layer}/feed_forward",
        feed_forward_of=tuple(f"{layer}/feed_forward_{stack}" for stack in range(stacks)),
    )
