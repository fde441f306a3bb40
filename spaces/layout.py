"""Where the nodes of a drawing lie: the layer of each, its order in the layer, and its x.

The method is that of Sugiyama, Tagawa and Toda (1981). Every edge leads from one layer to the next:
an edge over several layers is cut into pieces by bends. Bends are ordered and placed as narrow
nodes, so that long edges run beside the boxes instead of behind them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spaces.graph import Graph

SWEEPS = 12
SETTLING = 30
STRAIGHTENING = 3
BEND_WIDTH = 10.0


@dataclass(frozen=True)
class Layout:
    """The places of a graph's nodes.

    Attributes:
        layer: the layer of each node; the input's is 0.
        x: the centre of each node; the leftmost edge of all nodes is at 0.
        bends: for each joined pair (source, target) the x at which the edge crosses each layer
            between them.
        width: the width of the whole drawing.
    """

    layer: tuple[int, ...]
    x: tuple[float, ...]
    bends: dict[tuple[int, int], tuple[float, ...]]
    width: float


def layers(graph: Graph) -> tuple[int, ...]:
    """The layer of each node: the length of the longest path that leads to it.

    A node without inputs stands just above the first node that uses its value.
    """
    result = [0] * len(graph.nodes)
    for number, sources in enumerate(graph.incoming):
        result[number] = max((result[source] + 1 for source in sources), default=0)
    result[-1] = max(max(result[:-1]) + 1, result[-1])
    for number in range(1, len(result) - 1):
        if not graph.incoming[number]:
            first = min((result[target] for target in graph.outgoing[number]), default=1)
            result[number] = max(0, first - 1)
    return tuple(result)


def arrange(graph: Graph, widths: Sequence[float], *, gap: float) -> Layout:
    """The places of nodes of these widths, at least `gap` apart within a layer.

    To make few edges cross, layers are ordered by barycentres, in sweeps down and up, and the best
    order seen is kept. Then every node moves towards the mean of its neighbours as far as the order
    and the widths allow.
    """
    layer = layers(graph)
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for number in range(len(layer)):
        rows[layer[number]].append(number)
    wide = list(widths)
    chains: dict[tuple[int, int], list[int]] = {}
    above: list[list[tuple[int, float]]] = [[] for _ in layer]
    below: list[list[tuple[int, float]]] = [[] for _ in layer]
    for source, target in dict.fromkeys((edge.source, edge.target) for edge in graph.edges):
        num_bends = layer[target] - layer[source] - 1
        chain = chains[source, target] = list(range(len(wide), len(wide) + num_bends))
        wide += [BEND_WIDTH] * len(chain)
        above += [[] for _ in chain]
        below += [[] for _ in chain]
        for place, bend in enumerate(chain):
            rows[layer[source] + 1 + place].append(bend)
        steps = [source, *chain, target]
        for first, second in pairwise(steps):
            # A long edge is straightest if its bends attract each other more than the nodes at its
            # ends attract them.
            weight = 8.0 if first >= len(layer) and second >= len(layer) else 2.0 if chain else 1.0
            above[second].append((first, weight))
            below[first].append((second, weight))
    rows = _ordered(rows, above, below)
    x = _placed(rows, above, below, wide, gap)
    left = min(x[number] - wide[number] / 2 for number in range(len(x)))
    right = max(x[number] + wide[number] / 2 for number in range(len(x)))
    bends = {pair: tuple(x[bend] - left for bend in chain) for pair, chain in chains.items()}
    return Layout(layer, tuple(place - left for place in x[: len(layer)]), bends, right - left)


_Links = list[list[tuple[int, float]]]


def _ordered(rows: list[list[int]], above: _Links, below: _Links) -> list[list[int]]:
    """The layers, each in an order with few crossings."""
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        rows = [list(row) for row in rows]
        downwards = sweep % 2 == 0
        links = above if downwards else below
        indices = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
        for index in indices:
            fixed = rows[index - 1 if downwards else index + 1]
            place = {number: position for position, number in enumerate(fixed)}
            own = {number: position for position, number in enumerate(rows[index])}
            centre: dict[int, float] = dict(own)
            for number in rows[index]:
                if links[number]:
                    joined = [place[other] for other, _ in links[number]]
                    centre[number] = sum(joined) / len(joined)
            rows[index].sort(
                key=lambda number, centre=centre, own=own: (centre[number], own[number])
            )
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: list[list[int]], below: _Links) -> int:
    """The number of crossings of edges between neighbouring layers."""
    count = 0
    for upper, lower in pairwise(rows):
        place = {number: position for position, number in enumerate(lower)}
        ends = [sorted(place[other] for other, _ in below[number]) for number in upper]
        seen: list[int] = []
        for group in ends:
            count += sum(1 for end in group for earlier in seen if earlier > end)
            seen += group
    return count


def _placed(
    rows: list[list[int]], above: _Links, below: _Links, wide: list[float], gap: float
) -> list[float]:
    """The x of the centre of each node and bend."""
    x = [0.0] * len(wide)
    for row in rows:
        _spread(row, [0.0] * len(row), x, wide, gap)
    for sweep in range(SETTLING):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for number in row:
                links = above[number] + below[number]
                if links:
                    total = sum(weight for _, weight in links)
                    wanted.append(sum(x[other] * weight for other, weight in links) / total)
                else:
                    wanted.append(x[number])
            _spread(row, wanted, x, wide, gap)
    beside = {
        number: (left, right)
        for row in rows
        for left, number, right in zip([None, *row], row, [*row[1:], None], strict=False)
    }

    def room(number: int) -> tuple[float, float]:
        """The lowest and highest x that the neighbours in its layer leave to a node."""
        left, right = beside[number]
        low = -math.inf if left is None else x[left] + (wide[left] + wide[number]) / 2 + gap
        high = math.inf if right is None else x[right] - (wide[right] + wide[number]) / 2 - gap
        return low, max(low, high)

    strands = _strands(above, below)
    for _ in range(STRAIGHTENING):
        for strand in strands:
            _straighten(strand, room, x)
    return x


def _strands(above: _Links, below: _Links) -> list[list[int]]:
    """The chains of nodes and bends in which each is joined to the next alone.

    Such a chain is a straight line if there is room for it.
    """
    follows = {
        number: links[0][0]
        for number, links in enumerate(below)
        if len(links) == 1 and len(above[links[0][0]]) == 1
    }
    result = []
    for start in follows.keys() - set(follows.values()):
        strand = [start]
        while strand[-1] in follows:
            strand.append(follows[strand[-1]])
        result.append(strand)
    return sorted(result)


def _straighten(
    strand: list[int], room: Callable[[int], tuple[float, float]], x: list[float]
) -> None:
    """Aligns the strand in pieces, each as long as the neighbours leave room for a common x."""
    piece: list[int] = []
    lowest, highest = -math.inf, math.inf
    for number in strand:
        low, high = room(number)
        if max(lowest, low) > min(highest, high):
            _align(piece, lowest, highest, x)
            piece, lowest, highest = [], -math.inf, math.inf
        piece.append(number)
        lowest, highest = max(lowest, low), min(highest, high)
    _align(piece, lowest, highest, x)


def _align(piece: list[int], lowest: float, highest: float, x: list[float]) -> None:
    place = min(highest, max(lowest, sum(x[number] for number in piece) / len(piece)))
    for number in piece:
        x[number] = place


def _spread(
    row: list[int], wanted: list[float], x: list[float], wide: list[float], gap: float
) -> None:
    """Moves a row to the places nearest to those wanted that keep the order and the distances.

    Nearest is in least squares; the method is pool adjacent violators.
    """
    offsets = [0.0]
    for first, second in pairwise(row):
        offsets.append(offsets[-1] + (wide[first] + wide[second]) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            earlier, more = pools.pop()
            mean, count = (mean * count + earlier * more) / (count + more), count + more
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    for number, mean, offset in zip(row, means, offsets, strict=True):
        x[number] = mean + offset
