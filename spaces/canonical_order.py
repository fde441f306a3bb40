"""A canonical order of the nodes of a coloured directed acyclic graph.

The method is individualisation and refinement (McKay and Piperno, Practical graph isomorphism II,
2014). Two shortcuts make it fast. First, on a directed acyclic graph one sweep forward and one back
refine the colours as much as many rounds do on other graphs. Second, if the edges between two parts
of the graph depend on the colours of the nodes alone, the parts are ordered one by one. So 32 equal
branches cost 32 steps, not 32!.
"""

from __future__ import annotations

from collections import Counter

EdgeNumbers = tuple[int, int, int]
"""An edge as (source, target, slot)."""

_MASK = (1 << 64) - 1


def ordered(colours: list[int], edges: list[EdgeNumbers]) -> list[int]:
    """The nodes in canonical order: relabelled by it, isomorphic coloured graphs become equal.

    Every edge has to lead from a lower node number to a higher one.
    """
    colours = _refined(colours, edges)
    count = len(colours)
    if len(set(colours)) == count:
        return sorted(range(count), key=colours.__getitem__)
    parts = _parts(colours, edges)
    if len(parts) == 1:
        return _branched(colours, edges)
    inner: list[list[EdgeNumbers]] = [[] for _ in parts]
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
        order = ordered(within, inside) if len(members) > 1 else [0]
        found.append((_certificate(order, within, inside), [members[place] for place in order]))
    found.sort(key=lambda pair: pair[0])
    return [number for _, order in found for number in order]


def _refined(colours: list[int], edges: list[EdgeNumbers]) -> list[int]:
    """The colours, refined by the colours of sources and targets until no colour splits further.

    Each round first sweeps forward over the sources, then back over the targets. A collision of the
    64-bit mixing only leaves a colour coarser: nothing below relies on the finest colours.
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
    """A 64-bit hash of the number."""
    value = ((value ^ (value >> 31)) * 0x9E3779B97F4A7C15) & _MASK
    return ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK


def _parts(colours: list[int], edges: list[EdgeNumbers]) -> list[list[int]]:
    """A partition of the nodes: edges between different parts depend on the colours alone.

    For two colours, the rule is the most frequent way in which their nodes are joined (often, not
    at all). Two nodes that break the rule belong to the same part.
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
        frequent = max(counts, key=lambda way: (counts[way], way))
        rule = rules[first, second] = () if first == second else frequent
        if rule and counts[()]:
            for source in cells[first]:
                for target in cells[second]:
                    if (source, target) not in slots:
                        groups.join(source, target)
    for (source, target), way in slots.items():
        if way != rules[colours[source], colours[target]]:
            groups.join(source, target)
    return groups.members()


def _branched(colours: list[int], edges: list[EdgeNumbers]) -> list[int]:
    """The order with the least certificate over all ways to single out a node of one colour.

    The colour is the smallest one with several nodes. One node is enough for each orbit of the
    symmetries found so far.
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
        singled = list(colours)
        singled[number] = _mixed(colours[number] + 1)
        order = ordered(singled, edges)
        certificate = _certificate(order, colours, edges)
        for left, right in zip(leaves.setdefault(certificate, order), order, strict=True):
            orbits.join(left, right)
    return leaves[min(leaves)]


def _certificate(order: list[int], colours: list[int], edges: list[EdgeNumbers]) -> tuple:
    """The coloured graph relabelled by the order; equal certificates mean equal graphs."""
    place = {number: position for position, number in enumerate(order)}
    relabelled = sorted((place[source], place[target], slot) for source, target, slot in edges)
    return tuple(colours[number] for number in order), tuple(relabelled)


class _Groups:
    """A partition of the numbers below `count` whose groups can only be joined (union-find)."""

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
