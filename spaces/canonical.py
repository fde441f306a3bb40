"""Graphs up to isomorphism: what is left of a graph without its dead parts, and a key that
isomorphic graphs share and others do not.

The key is exact. Colour refinement alone confuses some graphs that differ, so here it only guides
the search for one canonical order of the nodes (individualisation and refinement: McKay and
Piperno, Practical graph isomorphism II, 2014), and the key is the digest of the whole graph in that
order. Two shortcuts keep it fast: on a directed acyclic graph one sweep forward and one back refine
as much as many rounds do elsewhere, and parts of the graph that touch each other only in ways that
their colours already tell are ordered one by one, so that 32 equal branches cost 32, not 32!.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import lru_cache

from spaces.graph import OUTPUT, Edge, Graph, Node, Value

ZEROS = frozenset({"none", "zero"})
IDENTITIES = frozenset({"identity", "skip_connect", "add"})
SOURCES = frozenset({"parameter", "buffer"})
# Their inputs have no order, yet a zero among them counts.
_SYMMETRIC_BUT_NO_SUM = frozenset({"mul", "maximum", "minimum"})

_Edge = tuple[int, int, int]
_MASK = (1 << 64) - 1


def simplify(graph: Graph) -> Graph:
    """The same function with less: no dead nodes, no zeros that a sum takes, no identities, no sum
    that is only a term of another sum.

    A node is dead where no path from the input leads through it to the output; `none` and `zero`
    interrupt a path. `identity`, `skip_connect` and a sum `add` of one value, without attributes,
    give way to their input, so a sum may take a value twice. An operation whose arguments have an
    order, or that is symmetric without being a sum (a product), keeps a zero among its arguments
    with all that makes it, because there the zero has a meaning. Where nothing is left between the
    input and the output, the result is these two nodes and no edge.
    """
    kept, edges = _reduced(graph)
    if len(kept) == len(graph.nodes) and len(edges) == len(graph.edges):
        return graph
    return Graph(tuple(kept), tuple(Edge(*edge) for edge in edges))


def is_dead(graph: Graph) -> bool:
    """No path leads from the input to the output."""
    return not _reduced(graph)[1]


def canonical_key(graph: Graph) -> str:
    """32 hexadecimal digits, equal exactly for graphs that are isomorphic once simplified.

    An isomorphism keeps operations, attributes (1, 1.0 and True are one value, as they are for
    `Node`), edges, their slots and how often they occur; labels and the numbers of the nodes play
    no part. The key depends on neither process nor platform. Graphs built to be hard for colour
    refinement (Cai, Fuerer and Immerman, 1992) take exponential time; none is a plausible network.
    """
    nodes, edges = _reduced(graph)
    named = [_named(item) for item in nodes]
    order = _ordered([colour for _, colour in named], edges)
    place = [0] * len(order)
    for position, number in enumerate(order):
        place[number] = position
    relabelled = sorted([(place[source], place[target], slot) for source, target, slot in edges])
    text = "\n".join([named[number][0] for number in order])
    return hashlib.blake2b(f"{text}\n{relabelled}".encode(), digest_size=16).hexdigest()


def _reduced(graph: Graph) -> tuple[list[Node], list[_Edge]]:
    nodes = graph.nodes
    count = len(nodes)
    entering: list[list[tuple[int, int]]] = [[] for _ in nodes]
    for source, target, slot in graph.edges:
        entering[target].append((source, slot))
    stands_for = list(range(count))
    vanishes = [False] * count
    for number in range(1, count):
        item, op = nodes[number], nodes[number].op
        arriving = [(stands_for[source], slot) for source, slot in entering[number]]
        live = [pair for pair in arriving if not vanishes[pair[0]]]
        vanishes[number] = op in ZEROS or (not live and not (op in SOURCES and not arriving))
        if (
            live
            and len(live) < len(arriving)
            and op not in _SYMMETRIC_BUT_NO_SUM
            and not any([slot for _, slot in arriving])
        ):
            arriving = live
        if len(arriving) == 1 and op in IDENTITIES and not item.attributes:
            stands_for[number] = arriving[0][0]
        entering[number] = arriving
    if vanishes[-1]:
        return [nodes[0], OUTPUT], []
    needed = [False] * count
    needed[0] = needed[-1] = True
    for number in range(count - 1, 0, -1):
        if needed[number]:
            for source, _ in entering[number]:
                needed[source] = True
    _flatten_sums(nodes, entering, needed)
    kept = [number for number in range(count) if needed[number]]
    position = {number: place for place, number in enumerate(kept)}
    edges = [
        (position[source], place, slot)
        for place, number in enumerate(kept)
        for source, slot in entering[number]
    ]
    return [nodes[number] for number in kept], edges


def _flatten_sums(
    nodes: tuple[Node, ...], entering: list[list[tuple[int, int]]], needed: list[bool]
) -> None:
    sums = [
        number
        for number, item in enumerate(nodes)
        if item.op == "add" and needed[number] and not item.attributes
    ]
    if len(sums) < 2:
        return
    uses = Counter(
        [source for number, pairs in enumerate(entering) if needed[number] for source, _ in pairs]
    )
    inner = {
        number
        for number in sums
        if uses[number] == 1 and not any([slot for _, slot in entering[number]])
    }
    for number in sums:
        pairs = entering[number]
        if any([source in inner for source, _ in pairs]) and not any([slot for _, slot in pairs]):
            entering[number] = [
                pair
                for source, slot in pairs
                for pair in (entering[source] if source in inner else [(source, slot)])
            ]
            for source, _ in pairs:
                needed[source] = needed[source] and source not in inner


@lru_cache(maxsize=65536)
def _named(item: Node) -> tuple[str, int]:
    text = json.dumps(
        [item.op, [[name, _plain(value)] for name, value in item.attributes]], separators=(",", ":")
    )
    return text, int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _plain(value: Value) -> Value:
    """Equal values written alike: the cache above takes nodes that compare equal for one."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _ordered(colours: list[int], edges: list[_Edge]) -> list[int]:
    """The nodes in canonical order: relabelled by it, isomorphic coloured graphs are equal. Every
    edge leads from a lower number to a higher.
    """
    colours = _refined(colours, edges)
    count = len(colours)
    if len(set(colours)) == count:
        return sorted(range(count), key=colours.__getitem__)
    parts = _parts(colours, edges)
    if len(parts) == 1:
        return _branched(colours, edges)
    inner: list[list[_Edge]] = [[] for _ in parts]
    home = {
        number: (part, place)
        for part, members in enumerate(parts)
        for place, number in enumerate(members)
    }
    for source, target, slot in edges:
        if home[source][0] == home[target][0]:
            inner[home[source][0]].append((home[source][1], home[target][1], slot))
    found = []
    for members, inside in zip(parts, inner, strict=True):
        within = [colours[number] for number in members]
        order = _ordered(within, inside) if len(members) > 1 else [0]
        found.append((_certificate(order, within, inside), [members[place] for place in order]))
    found.sort(key=lambda pair: pair[0])
    return [number for _, order in found for number in order]


def _refined(colours: list[int], edges: list[_Edge]) -> list[int]:
    """Colours split by what flows in (swept forward) and then by where it flows (swept back), until
    no more split.

    A collision of the 64-bit mixing only leaves a colour coarser: nothing below relies on the
        colours being as fine as they could be.
    """
    count, classes = len(colours), len(set(colours))
    entering: list[list[tuple[int, int]]] = [[] for _ in colours]
    leaving: list[list[tuple[int, int]]] = [[] for _ in colours]
    for source, target, slot in edges:
        entering[target].append((source, slot))
        leaving[source].append((target, slot))
    while classes < count:
        swept = list(colours)
        for number in range(count):
            swept[number] = _mixed(
                swept[number]
                + sum([_mixed(swept[source] + slot) for source, slot in entering[number]])
            )
        for number in range(count - 1, -1, -1):
            swept[number] = _mixed(
                swept[number]
                + sum([_mixed(swept[target] - slot) for target, slot in leaving[number]])
            )
        split = len(set(swept))
        if split <= classes:
            return colours
        colours, classes = swept, split
    return colours


def _mixed(value: int) -> int:
    value = ((value ^ (value >> 31)) * 0x9E3779B97F4A7C15) & _MASK
    return ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK


def _parts(colours: list[int], edges: list[_Edge]) -> list[list[int]]:
    """The nodes in groups such that how two nodes of different groups are joined depends on their
    colours alone.

    Between two colours the most frequent way of being joined (often: not at all) is taken as the
    rule; the pairs that break it belong together.
    """
    slots: dict[tuple[int, int], tuple[int, ...]] = {}
    for source, target, slot in sorted(edges):
        slots[source, target] = (*slots.get((source, target), ()), slot)
    ways: dict[tuple[int, int], Counter[tuple[int, ...]]] = {}
    for (source, target), way in slots.items():
        ways.setdefault((colours[source], colours[target]), Counter())[way] += 1
    cells: dict[int, list[int]] = {}
    for number, colour in enumerate(colours):
        cells.setdefault(colour, []).append(number)
    groups = _Groups(len(colours))
    rules: dict[tuple[int, int], tuple[int, ...]] = {}
    for (first, second), counts in ways.items():
        counts[()] = len(cells[first]) * len(cells[second]) - counts.total()
        rule = rules[first, second] = (
            () if first == second else max(counts, key=lambda way: (counts[way], way))
        )
        if rule and counts[()]:
            for source in cells[first]:
                for target in cells[second]:
                    if (source, target) not in slots:
                        groups.join(source, target)
    for (source, target), way in slots.items():
        if way != rules[colours[source], colours[target]]:
            groups.join(source, target)
    return groups.members()


def _branched(colours: list[int], edges: list[_Edge]) -> list[int]:
    """The order of least certificate over the ways to single out one node of the smallest colour;
    one node an orbit of the symmetries found is enough.
    """
    cells: dict[int, list[int]] = {}
    for number, colour in enumerate(colours):
        cells.setdefault(colour, []).append(number)
    cell = min(
        (members for members in cells.values() if len(members) > 1),
        key=lambda members: (len(members), colours[members[0]]),
    )
    leaves: dict[tuple, list[int]] = {}
    orbits, tried = _Groups(len(colours)), []
    for number in cell:
        if any(orbits.root(number) == orbits.root(earlier) for earlier in tried):
            continue
        tried.append(number)
        order = _ordered(
            [
                _mixed(colour + 1) if other == number else colour
                for other, colour in enumerate(colours)
            ],
            edges,
        )
        certificate = _certificate(order, colours, edges)
        for left, right in zip(leaves.setdefault(certificate, order), order, strict=True):
            orbits.join(left, right)
    return leaves[min(leaves)]


def _certificate(order: list[int], colours: list[int], edges: list[_Edge]) -> tuple:
    place = {number: position for position, number in enumerate(order)}
    relabelled = sorted((place[source], place[target], slot) for source, target, slot in edges)
    return tuple(colours[number] for number in order), tuple(relabelled)


class _Groups:
    """A partition of the numbers below `count` that only grows coarser (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def join(self, first: int, second: int) -> None:
        self._parent[self.root(first)] = self.root(second)

    def members(self) -> list[list[int]]:
        found: dict[int, list[int]] = {}
        for number in range(len(self._parent)):
            found.setdefault(self.root(number), []).append(number)
        return list(found.values())
