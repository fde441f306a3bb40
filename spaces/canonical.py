"""Graphs up to isomorphism: a graph reduced to what computes its output, and its canonical key.

Isomorphic graphs have the same key, and others do not.

The key is exact. Colour refinement alone cannot tell some different graphs apart. So it only guides
the search for one canonical order of the nodes (see `spaces.canonical_order`), and the key is the
digest of the whole graph in that order.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import lru_cache

from spaces.canonical_order import EdgeNumbers, ordered
from spaces.graph import OUTPUT, Edge, Graph, Node, Value

ZEROS = frozenset({"none", "zero"})
IDENTITIES = frozenset({"identity", "skip_connect", "add"})
SOURCES = frozenset({"parameter", "buffer"})
# Operations whose inputs have no order, but for which a zero input matters.
_SYMMETRIC_BUT_NO_SUM = frozenset({"mul", "maximum", "minimum"})


def simplify(graph: Graph) -> Graph:
    """A graph that computes the same function, after these four simplifications.

    1. Disconnected nodes are removed: those on no path from the input to the output. The operations
       `none` and `zero` interrupt a path.
    2. Zeros among the terms of a sum are removed. An operation whose arguments have an order, or
       that is symmetric without being a sum (a product), keeps a zero argument and all nodes that
       compute it, because there the zero has a meaning.
    3. `identity`, `skip_connect` and an `add` of one value are replaced by their input, if they
       have no attributes. Therefore a sum may take a value twice.
    4. A sum that is only used as a term of another sum becomes part of that sum.

    If no path leads from the input to the output, the result is these two nodes and no edge.

    >>> from spaces import GraphBuilder
    >>> builder = GraphBuilder()
    >>> graph = builder.output(builder.node("identity", builder.node("relu", builder.input())))
    >>> [item.op for item in simplify(graph).nodes]
    ['input', 'relu', 'output']
    """
    kept, edges = _reduced(graph)
    if len(kept) == len(graph.nodes) and len(edges) == len(graph.edges):
        return graph
    return Graph(tuple(kept), tuple(Edge(*edge) for edge in edges))


def is_disconnected(graph: Graph) -> bool:
    """Whether the graph is disconnected: no path leads from the input to the output."""
    return not _reduced(graph)[1]


def canonical_key(graph: Graph) -> str:
    """32 hexadecimal digits, equal exactly for graphs that are isomorphic once simplified.

    An isomorphism keeps operations, attributes (1, 1.0 and True are one value, as they are for
    `Node`), edges, their slots and their multiplicity. Labels and the numbers of the nodes have no
    influence. The key depends on neither process nor platform. Graphs built to be hard for colour
    refinement (Cai, Fuerer and Immerman, 1992) take exponential time; none is a plausible network.
    """
    nodes, edges = _reduced(graph)
    named = [_named(item) for item in nodes]
    order = ordered([colour for _, colour in named], edges)
    place = [0] * len(order)
    for position, number in enumerate(order):
        place[number] = position
    relabelled = sorted([(place[source], place[target], slot) for source, target, slot in edges])
    text = "\n".join([named[number][0] for number in order])
    return hashlib.blake2b(f"{text}\n{relabelled}".encode(), digest_size=16).hexdigest()


def _reduced(graph: Graph) -> tuple[list[Node], list[EdgeNumbers]]:
    """The nodes and edges of the simplified graph."""
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
    """Replaces a term of a sum that is itself a sum, used nowhere else, by its own terms.

    `entering` holds the (source, slot) of each edge into each node; it and `needed` are changed.
    """
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
    """The node's operation and attributes as JSON text, and a 64-bit colour derived from it."""
    text = json.dumps(
        [item.op, [[name, _plain(value)] for name, value in item.attributes]], separators=(",", ":")
    )
    return text, int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _plain(value: Value) -> Value:
    """The value in a form that is written alike for equal values.

    This is needed because the cache of `_named` treats nodes that compare equal as one.
    """
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value
