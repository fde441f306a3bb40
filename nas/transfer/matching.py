"""The matching of the nodes of two networks: which node takes the weights of which other node.

FlexiBERT copies layer by layer and stops at the first layer with another operation (Tuli et al.,
JAIR 2023), because the weights of a layer are useful only on the input that they were trained on.
Here the networks are graphs of primitive operations, and the rule is for nodes: the counterpart of
a node of the child is a node of the donor with the same operation whose inputs are the counterparts
of the node's inputs. For chains this is the longest common prefix. Parallel paths are followed
independently, each to its first difference, in whatever order the program has created them.
Attributes are not compared. They change the sizes of weights, which `copying` handles, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from spaces.graph import Graph
from spaces.ops import find, needed

# Operations without weights that do nothing in evaluation mode.
_TRANSPARENT = frozenset(
    {"identity", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"}
)


@dataclass(frozen=True)
class _View:
    """The nodes that the output depends on, without transparent ones.

    Attributes:
        inputs: the input nodes of each node.
        users: the nodes that use each node, in topological order.
        moving: the nodes whose value depends on the network's input, in topological order.
        depends: the same nodes and the input itself, as a set.
    """

    graph: Graph
    inputs: tuple[tuple[int, ...], ...]
    users: tuple[tuple[int, ...], ...]
    moving: tuple[int, ...]
    depends: frozenset[int]

    def op(self, number: int) -> str:
        return self.graph.nodes[number].op

    def role(self, number: int) -> str:
        """The last word of the node's label, such as `query` or `key`."""
        return self.graph.nodes[number].label.replace("/", ".").rpartition(".")[2]


def counterparts(donor: Graph, child: Graph) -> dict[int, int]:
    """The counterpart in the donor for each node of the child that has one.

    Each node of the donor is the counterpart of at most one node of the child. The nodes of the
    child are matched in topological order. If there are several candidates, such as a query, a key
    and a value with the same input, it is the first one whose label ends in the same word, or else
    the first one. A node that does not depend on the network's input, such as a parameter, is
    matched together with the first node that uses it.

    Args:
        donor, child: graphs of primitive operations (`SearchSpace.network_graph`).

    Returns:
        The indices of the donor's nodes by those of the child's nodes.
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
    """The match of two nodes, with the matches of their inputs that it implies; None if impossible.

    The latter are inputs that do not depend on the network's input and have no counterpart yet.
    """
    if number in found or other in taken:
        return {} if found.get(number) == other else None
    mine, theirs = own.inputs[number], given.inputs[other]
    if own.op(number) != given.op(other) or len(mine) != len(theirs):
        return None
    if any(source in own.depends and source not in found for source in mine):
        return None
    if not find(own.op(number)).ordered:
        # Inputs that do not depend on the network's input keep their order, after all others.
        mine = _sorted(mine, lambda source: (0, found[source]) if source in own.depends else (1, 0))
        theirs = _sorted(theirs, lambda source: (0, source) if source in given.depends else (1, 0))
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


def _sorted(sources: tuple[int, ...], key: Callable[[int], tuple[int, int]]) -> tuple[int, ...]:
    return tuple(sorted(sources, key=key))


def labels(graph: Graph) -> tuple[str, ...]:
    """The labels of the nodes.

    Graphs that differ only in labels compare equal. A cached function whose result depends on the
    labels therefore takes both as arguments.
    """
    return tuple(item.label for item in graph.nodes)


@lru_cache(maxsize=4096)
def _view(graph: Graph, of: tuple[str, ...]) -> _View:
    """The view of a graph with these labels, which are an argument for the cache only."""
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
