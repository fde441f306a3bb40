"""Which node of a network takes the weights of which node of another: their common beginning.

FlexiBERT copies layer by layer and stops at the first layer of another operation (Tuli et al., JAIR
2023), since a layer's weights are worth something only on the input that they were trained on. Here
the networks are graphs of primitive operations, so the rule is said of nodes: a node of the child
has a counterpart where the donor has one of the same operation whose inputs are the counterparts of
the node's inputs. Of a chain that is the longest common beginning; where paths run side by side
each is followed to its own first difference, whatever the order in which the program has made them.
Attributes play no part: they change the sizes of weights, which are another matter (`copying`), or
nothing of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from spaces.graph import Graph
from spaces.ops import find, needed

# They have no weights, and a trained network computes the same without them.
_TRANSPARENT = frozenset(
    {"identity", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
)


@dataclass(frozen=True)
class _View:
    """The nodes that the output needs, without those that compute nothing.

    Attributes:
        inputs: of each node, by number.
        users: of each node, in topological order.
        moving: the nodes whose value depends on the network's input, in topological order.
    """

    graph: Graph
    inputs: tuple[tuple[int, ...], ...]
    users: tuple[tuple[int, ...], ...]
    moving: tuple[int, ...]
    depends: frozenset[int]

    def op(self, number: int) -> str:
        return self.graph.nodes[number].op

    def role(self, number: int) -> str:
        """The last word of the node's label, by which a query is told from a key."""
        return self.graph.nodes[number].label.replace("/", ".").rpartition(".")[2]


def counterparts(donor: Graph, child: Graph) -> dict[int, int]:
    """For each node of the child that has one the donor's node that it takes its weights from; no
    node of the donor is taken twice.

    Nodes are looked at in topological order. Where several would do, as a query, a key and a value
    that read one input, the one whose label ends in the same word is taken, else the first. A value
    that does not depend on the network's input, as a parameter, goes with the first node that uses
    it.
    """
    given, own = _view(donor, labels(donor)), _view(child, labels(child))
    found, taken = {0: 0}, {0}
    for number in own.moving:
        first = next(source for source in own.inputs[number] if source in own.depends)
        if first not in found:
            continue
        candidates = {
            other for other in given.users[found[first]] if given.op(other) == own.op(number)
        }
        for candidate in sorted(
            candidates, key=lambda other: (given.role(other) != own.role(number), other)
        ):
            pairs = _paired(given, candidate, own, number, found, taken)
            if pairs is not None:
                found |= pairs
                taken |= set(pairs.values())
                break
    return found


def _paired(
    given: _View, other: int, own: _View, number: int, found: Mapping[int, int], taken: set[int]
) -> dict[int, int] | None:
    """The two nodes and, of what they read, all that does not depend on the input and has no
    counterpart yet; None: they are no counterparts.
    """
    if number in found or other in taken:
        return {} if found.get(number) == other else None
    mine, theirs = own.inputs[number], given.inputs[other]
    if own.op(number) != given.op(other) or len(mine) != len(theirs):
        return None
    if any(source in own.depends and source not in found for source in mine):
        return None
    if not find(own.op(number)).ordered:
        # What does not depend on the input keeps its order, behind all that does.
        mine = tuple(
            sorted(mine, key=lambda source: (0, found[source]) if source in own.depends else (1, 0))
        )
        theirs = tuple(
            sorted(theirs, key=lambda source: (0, source) if source in given.depends else (1, 0))
        )
    pairs = {number: other}
    for source, origin in zip(mine, theirs, strict=True):
        if source in own.depends or origin in given.depends:
            if found.get(source) != origin:
                return None
            continue
        inner = _paired(given, origin, own, source, {**found, **pairs}, taken | set(pairs.values()))
        if inner is None:
            return None
        pairs |= inner
    return pairs


def labels(graph: Graph) -> tuple[str, ...]:
    """The nodes' labels. Graphs that differ in them alone compare equal, so what depends on labels
    is remembered by graph and labels.
    """
    return tuple(item.label for item in graph.nodes)


@lru_cache(maxsize=4096)
def _view(graph: Graph, of: tuple[str, ...]) -> _View:
    live = needed(graph)
    stands_for = list(range(len(graph.nodes)))
    inputs: list[tuple[int, ...]] = [()] * len(graph.nodes)
    users: list[list[int]] = [[] for _ in graph.nodes]
    depends, moving = {0}, list[int]()
    for number in live:
        sources = tuple(stands_for[source] for source in graph.incoming[number])
        if graph.nodes[number].op in _TRANSPARENT:
            stands_for[number] = sources[0]
            continue
        inputs[number] = sources
        for source in sources:
            users[source].append(number)
        if any(source in depends for source in sources):
            depends.add(number)
            moving.append(number)
    return _View(graph, tuple(inputs), tuple(map(tuple, users)), tuple(moving), frozenset(depends))
