"""NAS-Bench-MR (Ding et al., ICLR 2022): networks of parallel resolutions, 1.2e24 architectures.

A stem of two convolutions is followed by four stages. The first stage has one branch, at a quarter
of the image's height and width. Each further stage has one branch more, at half the resolution of
the branch before. A stage repeats one module. In a module, each branch sums up what the
neighbouring resolutions of the module before give, and continues with a chain of residual blocks.

The choices are the channels of both stem convolutions and of the head, and for each stage its
number of modules and each branch's number of residual blocks and of channels. The graph has a node
for each branch of each module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node, Value, node
from spaces.inverted_bottleneck import convolution
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

STAGES = 4
COUNTS = (1, 2, 3, 4)
# The authors sampled some multiples of 8 and reach the others when they edit an architecture.
WIDTHS = tuple(range(8, 129, 8))
# The first branch has a quarter of the image's height and width, as the second stem convolution.
FIRST_REDUCTION = 4
STEM_NODES = slice(1, 3)
BRANCH_NODES = slice(3, -2)

_STEM = ("stem_1/channels", "stem_2/channels")
_HEAD = "head/channels"


def _of_branches(stage: int, name: str) -> tuple[str, ...]:
    return tuple(f"stage_{stage}/branch_{branch}/{name}" for branch in range(1, stage + 1))


_QUESTIONS = tuple(
    (f"stage_{stage}/modules", _of_branches(stage, "blocks"), _of_branches(stage, "channels"))
    for stage in range(1, STAGES + 1)
)
# The questions in the order of a published row, and the options of each.
PATHS = (
    *_STEM,
    *(path for modules, blocks, channels in _QUESTIONS for path in (modules, *blocks, *channels)),
    _HEAD,
)
OPTIONS = tuple(WIDTHS if path.endswith("/channels") else COUNTS for path in PATHS)


def define(choose: Chooser) -> Graph:
    """The channels of the stem, the choices of each stage, and the channels of the head."""
    one_of = choose.one_of
    stem = [_stem(place, one_of(path, WIDTHS)) for place, path in enumerate(_STEM)]
    branches: list[Node] = []
    modules: list[int] = []
    for path, block_paths, channel_paths in _QUESTIONS:
        modules.append(one_of(path, COUNTS))
        blocks = [one_of(block_path, COUNTS) for block_path in block_paths]
        widths = [one_of(channel_path, WIDTHS) for channel_path in channel_paths]
        branches += list(map(_branch, range(len(blocks)), blocks, widths)) * modules[-1]
    head = _head(one_of(_HEAD, WIDTHS))
    return Graph((INPUT, *stem, *branches, head, OUTPUT), _edges(tuple(modules)))


def network(cell: Graph, shapes: Shapes) -> Graph:
    """The whole network: the stem, the modules, and a head that reads the branches of the last.

    To classify, the head brings all branches to the lowest resolution. To give a map of scores, it
    brings them to the highest, and resizes the scores to the size of the output. Parameters and
    multiply-adds are the published ones for images (3, 128, 128) of 50 classes, but that the
    published multiply-adds count two for each element of a batch norm's output, and one for each
    bias of the classifier.

    Raises:
        ValueError: the data are not images, or the output is neither a vector nor a map of scores.
    """
    if len(shapes.input) != 3 or len(shapes.output) not in (1, 3):
        raise ValueError(
            "nasbench_mr takes images (channels, height, width) to a vector of scores (classes,) "
            f"or to a map of them (classes, height, width); got {shapes.input} and {shapes.output}"
        )
    _, *image = shapes.input
    sizes = [
        tuple(-(-length // (FIRST_REDUCTION << branch)) for length in image)
        for branch in range(STAGES)
    ]
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    for item in cell.nodes[STEM_NODES]:
        value = _convolution(builder, value, item["out_channels"], stride=2)
    values = [value]
    for module in _modules(cell):
        inputs = _fused(builder, values, module, sizes)
        values = [
            _residual_blocks(builder, value, item)
            for value, item in zip(inputs, module, strict=True)
        ]
    channels = cell.nodes[-2]["hidden"]
    classes, *size = shapes.output
    if not size:
        value = _merged(builder, values, sizes[-1], channels)
        value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=1))
        return builder.output(builder.node("linear", value, out_features=classes))
    value = _merged(builder, values, sizes[0], channels)
    value = builder.node("conv2d", value, out_channels=classes, kernel_size=1)
    return builder.output(_resized(builder, value, size, "bilinear"))


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its column `embedding` (N, 27) holds the two numbers of channels of the stem; for each stage its
    modules, then its branches' residual blocks, then their channels; and the channels of the head.

    Raises:
        ValueError: a row is of another length, or holds a number that is none of the options.
    """
    result = []
    for number, row in enumerate(columns["embedding"].tolist()):
        if len(row) != len(PATHS):
            raise ValueError(
                f"the row {number} of `embedding` should hold {len(PATHS)} numbers; it holds "
                f"{len(row)}"
            )
        for path, options, answer in zip(PATHS, OPTIONS, row, strict=True):
            if answer not in options:
                raise ValueError(
                    f"the row {number} of `embedding` answers {path} by {answer}, which should be "
                    f"one of {', '.join(map(str, options))}"
                )
        result.append(Architecture(space.name, tuple(zip(PATHS, map(int, row), strict=True))))
    return result


@cache
def _stem(place: int, channels: int) -> Node:
    return node("stem", out_channels=channels, reduction=2 << place)


@cache
def _branch(branch: int, blocks: int, channels: int) -> Node:
    reduction = FIRST_REDUCTION << branch
    return node("residual_blocks", blocks=blocks, out_channels=channels, reduction=reduction)


@cache
def _head(channels: int) -> Node:
    # A name of its own: predictors read the statistics of each attribute over all nodes, in which
    # these channels, which matter most, would be one of many.
    return node("head", hidden=channels)


@cache
def _edges(modules: tuple[int, ...]) -> tuple[Edge, ...]:
    """The edges for these numbers of modules: each branch reads its own resolution and the next."""
    edges = [Edge(0, 1), Edge(1, 2)]
    before, number = range(2, 3), 3
    for stage, count in enumerate(modules, start=1):
        for _ in range(count):
            branches = range(number, number + stage)
            edges += [
                Edge(source, target)
                for place, target in enumerate(branches)
                for source in before[max(place - 1, 0) : place + 2]
            ]
            before, number = branches, number + stage
    return (*edges, *(Edge(source, number) for source in before), Edge(number, number + 1))


def _modules(cell: Graph) -> list[list[Node]]:
    """The branches of each module, from the highest resolution to the lowest."""
    modules: list[list[Node]] = []
    for item in cell.nodes[BRANCH_NODES]:
        if item["reduction"] == FIRST_REDUCTION:
            modules.append([])
        modules[-1].append(item)
    return modules


def _fused(
    builder: GraphBuilder, values: list[int], module: list[Node], sizes: Sequence[Sequence[int]]
) -> list[int]:
    """The inputs of a module's branches, from the values of the branches of the module before.

    A branch that the module before lacks reads the input of the branch of twice its resolution.
    """
    fused: list[int] = []
    for place, item in enumerate(module):
        channels = item["out_channels"]
        if place == len(values):
            fused.append(_convolution(builder, fused[-1], channels, stride=2))
            continue
        terms = []
        if place > 0:
            terms.append(_convolution(builder, values[place - 1], channels, stride=2))
        terms.append(_convolution(builder, values[place], channels))
        if place + 1 < len(values):
            lower = convolution(builder, values[place + 1], channels, activation="relu")
            terms.append(_resized(builder, lower, sizes[place], "nearest"))
        # One term alone went through a ReLU already.
        fused.append(terms[0] if len(terms) == 1 else _relu_of_sum(builder, *terms))
    return fused


def _residual_blocks(builder: GraphBuilder, value: int, item: Node) -> int:
    blocks, channels = item["blocks"], item["out_channels"]
    assert isinstance(blocks, int)
    for _ in range(blocks):
        inner = _convolution(builder, value, channels)
        inner = convolution(builder, inner, channels, kernel_size=3)
        value = _relu_of_sum(builder, inner, value)
    return value


def _merged(builder: GraphBuilder, values: list[int], size: Sequence[int], channels: Value) -> int:
    """All branches at one size, joined and mixed by a convolution."""
    resized = [_resized(builder, value, size, "bilinear") for value in values]
    joined = builder.node("cat", *resized, ordered=True, dim=1)
    return convolution(builder, joined, channels, activation="relu")


def _convolution(builder: GraphBuilder, value: int, channels: Value, *, stride: int = 1) -> int:
    return convolution(builder, value, channels, kernel_size=3, stride=stride, activation="relu")


def _relu_of_sum(builder: GraphBuilder, *terms: int) -> int:
    return builder.node("relu", builder.node("add", *terms))


def _resized(builder: GraphBuilder, value: int, size: Sequence[int], mode: str) -> int:
    return builder.node("interpolate", value, size=tuple(size), mode=mode)


# The table's networks were counted at this size, and those that classify were trained at it.
space = SearchSpace("nasbench_mr", define, Shapes((3, 128, 128), (50,)), network=network, rows=rows)
