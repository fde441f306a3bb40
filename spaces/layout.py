"""Where the nodes of a drawing lie: layers, the order within each, and places across, after
Sugiyama, Tagawa and Toda (1981).

Every edge leads from its layer to the next: an edge that spans several is cut into pieces by bends,
which take part in the ordering and placing as narrow nodes do, so that long edges run beside the
boxes instead of behind them.
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
    """Places of a graph's nodes.

    Attributes:
        layer: of each node; the input's is 0.
        x: the centre of each node, smallest left edge at 0.
        bends: for each joined pair (source, target) the x at which the edge crosses each layer
            between them.
        width: of everything.
    """

    layer: tuple[int, ...]
    x: tuple[float, ...]
    bends: dict[tuple[int, int], tuple[float, ...]]
    width: float


def layers(graph: Graph) -> tuple[int, ...]:
    """The layer of each node: the longest path that leads to it. Nodes without inputs stand just
    above what they feed first.
    """
    result = [0] * len(graph.nodes)
    for number, sources in enumerate(graph.incoming):
        result[number] = max((result[source] + 1 for source in sources), default=0)
    result[-1] = max(max(result[:-1]) + 1, result[-1])
    for number in range(1, len(result) - 1):
        if not graph.incoming[number]:
            result[number] = max(
                0, min((result[target] for target in graph.outgoing[number]), default=1) - 1
            )
    return tuple(result)


def arrange(graph: Graph, widths: Sequence[float], *, gap: float) -> Layout:
    """Places for nodes of these widths, `gap` apart within a layer.

    Few edges cross: layers are ordered by barycentres, down and up, and the best order seen is
        kept. Then every node moves to the mean of its
    neighbours as far as the order and the widths allow.
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
        chain = chains[source, target] = list(
            range(len(wide), len(wide) + layer[target] - layer[source] - 1)
        )
        wide += [BEND_WIDTH] * len(chain)
        above += [[] for _ in chain]
        below += [[] for _ in chain]
        for place, bend in enumerate(chain):
            rows[layer[source] + 1 + place].append(bend)
        steps = [source, *chain, target]
        for first, second in pairwise(steps):
            # A long edge is straightest if its bends hold together more than they hold to the nodes
            # at its ends.
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
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        rows = [list(row) for row in rows]
        downwards = sweep % 2 == 0
        links = above if downwards else below
        indices = range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1)
        for index in indices:
            place = {
                number: position
                for position, number in enumerate(rows[index - 1 if downwards else index + 1])
            }
            own = {number: position for position, number in enumerate(rows[index])}
            centre = {
                number: sum(place[other] for other, _ in links[number]) / len(links[number])
                if links[number]
                else own[number]
                for number in rows[index]
            }
            rows[index].sort(
                key=lambda number, centre=centre, own=own: (centre[number], own[number])
            )
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: list[list[int]], below: _Links) -> int:
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
    x = [0.0] * len(wide)
    for row in rows:
        _spread(row, [0.0] * len(row), x, wide, gap)
    for sweep in range(SETTLING):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for number in row:
                links = above[number] + below[number]
                total = sum(weight for _, weight in links)
                wanted.append(
                    sum(x[other] * weight for other, weight in links) / total
                    if links
                    else x[number]
                )
            _spread(row, wanted, x, wide, gap)
    beside = {
        number: (left, right)
        for row in rows
        for left, number, right in zip([None, *row], row, [*row[1:], None], strict=False)
    }

    def room(number: int) -> tuple[float, float]:
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
    """The runs of nodes and bends that follow each other alone: what one would draw as a straight
    line.
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
    """One x for as long a piece of the strand as the neighbours leave room for, then one for the
    next piece.
    """
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
    """The places nearest to those wanted, in least squares, that keep the order and the distances:
    pool adjacent violators.
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
