"""Where the boxes and edges of an SVG drawing lie, and which nodes share a box."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from spaces.describe import describe
from spaces.graph import Edge, Graph
from spaces.layout import Layout, arrange

MARGIN = 24.0
_GAP = 22.0
_CLOSE, _APART = 15.0, 42.0
_LONGEST_LINE = 34


def bundled(graph: Graph) -> tuple[Graph, tuple[int, ...]]:
    """The graph with only the first of each set of duplicate nodes, and how many each stands for.

    Duplicate nodes have at least one input, are the same operation of the same values in the same
    slots, and are used by the same nodes in the same slots.
    """
    before: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    behind: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    for source, target, slot in graph.edges:
        before[target].append((source, slot))
        behind[source].append((target, slot))
    sets: dict[Hashable, list[int]] = {}
    for number, item in enumerate(graph.nodes):
        alike = (item, tuple(sorted(before[number])), tuple(sorted(behind[number])))
        sets.setdefault(alike if before[number] else number, []).append(number)
    kept = {first: place for place, (first, *_) in enumerate(sets.values())}
    edges = tuple(
        Edge(kept[edge.source], kept[edge.target], edge.slot)
        for edge in graph.edges
        if edge.source in kept and edge.target in kept
    )
    return Graph(tuple(graph.nodes[first] for first in kept), edges), tuple(map(len, sets.values()))


@dataclass(frozen=True)
class Box:
    """The box of one node: its two lines of text, its centre and its size, in pixels."""

    name: str
    small: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Picture:
    """The places of all parts of a drawing, in pixels.

    Attributes:
        boxes: the box of each node.
        rows: the upper and lower y of each layer.
        layer: the layer of each node.
        bends: for each joined pair (source, target) the x at which the edge crosses each layer
            between them.
        width, height: of the whole drawing.
    """

    boxes: tuple[Box, ...]
    rows: tuple[tuple[float, float], ...]
    layer: tuple[int, ...]
    bends: dict[tuple[int, int], tuple[float, ...]]
    width: float
    height: float


def pictured(graph: Graph, counts: tuple[int, ...], title: str) -> Picture:
    """The places of the boxes and edges of the graph, whose nodes stand for `counts` nodes each."""
    names = [
        item.op if count == 1 else f"{count} × {item.op}"
        for item, count in zip(graph.nodes, counts, strict=True)
    ]
    texts = [
        (_cut(name), _cut(describe(item))) for name, item in zip(names, graph.nodes, strict=True)
    ]
    widths = [max(46.0, 7.4 * len(name) + 22, 5.6 * len(small) + 20) for name, small in texts]
    heights = [40.0 if small else 28.0 for _, small in texts]
    layout = arrange(graph, widths, gap=_GAP)
    rows = _rows(graph, layout, heights, MARGIN + (28 if title else 0))
    width = max(layout.width, 8.0 * len(title)) + 2 * MARGIN
    shift = (width - layout.width) / 2
    boxes = tuple(
        Box(
            name,
            small,
            layout.x[number] + shift,
            sum(rows[layout.layer[number]]) / 2,
            widths[number],
            heights[number],
        )
        for number, (name, small) in enumerate(texts)
    )
    bends = {pair: tuple(x + shift for x in places) for pair, places in layout.bends.items()}
    return Picture(boxes, rows, layout.layer, bends, width, rows[-1][1] + MARGIN)


def _rows(
    graph: Graph, layout: Layout, heights: list[float], top: float
) -> tuple[tuple[float, float], ...]:
    """The upper and lower y of each layer.

    Layers stand close together if only single straight edges join them.
    """
    count = max(layout.layer) + 1
    tallest = [
        max(height for height, row in zip(heights, layout.layer, strict=True) if row == index)
        for index in range(count)
    ]
    apart = [_CLOSE] * count
    for source, target in layout.bends:
        if len(graph.outgoing[source]) > 1 or len(graph.incoming[target]) > 1:
            apart[layout.layer[source]] = apart[layout.layer[target] - 1] = _APART
    result = []
    for index in range(count):
        result.append((top, top + tallest[index]))
        top += tallest[index] + apart[index]
    return tuple(result)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"
