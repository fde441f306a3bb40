"""Graphs as predictors read them: simplified, with computed sizes and without small sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import isfinite, prod

from predictors.reading.batch import EXECUTED, MEASURED, NETWORK, WHOLE
from spaces.canonical import simplify
from spaces.details import without_details
from spaces.graph import Edge, Graph, Node
from spaces.ops import costs, node_costs

# Replacing a sum of `a` terms that `b` operations use makes a * b edges. A sum that would make more
# than this stays a node; otherwise the number of edges of a residual chain would grow with the
# square of its depth.
MOST_EDGES = 8
# Nodes of these operations get no computed attributes: `simplify` may remove them.
BARE = frozenset({"add", "identity", "none", "output", "skip_connect", "zero"})


@lru_cache(maxsize=65536)
def measured(graph: Graph) -> Graph:
    """The graph with computed sizes as attributes of its nodes.

    Operations get their channels, positions, parameters and multiply-adds; the input gets the sizes
    of the whole network. A graph stays as it is if its input has no shape, or if it has operations
    without known costs, as a cell does.
    """
    if graph.nodes[0].get("shape") is None:
        return graph
    graph = without_details(graph)
    try:
        whole, each = costs(graph), node_costs(graph)
    except ValueError:
        return graph
    nodes = [
        node
        if node.op in BARE
        else _with(
            node,
            # A parameter, and what is computed of it alone, may have one dimension or none.
            channels=prod(of.shape[1:2]),
            positions=prod(of.shape[2:]),
            parameters=of.parameters,
            multiply_adds=of.multiply_adds,
        )
        for node, of in zip(graph.nodes, each, strict=True)
    ]
    sizes = {
        "parameters": whole.parameters,
        "multiply_adds": whole.multiply_adds,
        "activations": whole.activations,
    }
    return with_whole(Graph(tuple(nodes), graph.edges), sizes)


def with_whole(graph: Graph, numbers: Mapping[str, float]) -> Graph:
    """The graph with these numbers of the whole network as attributes of its input.

    They can be sizes or zero-cost scores. Attributes of other names are kept.

    Raises:
        ValueError: a number is not finite.
    """
    wrong = [name for name, number in numbers.items() if not isfinite(number)]
    if wrong:
        raise ValueError(
            f"a graph carries finite numbers only; {wrong[0]} is {numbers[wrong[0]]}: leave it "
            "out, and the mean is assumed"
        )
    known = dict(graph.nodes[0].attributes)
    whole = {f"{WHOLE}{name}": number for name, number in numbers.items()}
    first = replace(graph.nodes[0], attributes=tuple(sorted({**known, **whole}.items())))
    return Graph((first, *graph.nodes[1:]), graph.edges)


def _with(node: Node, **numbers: int) -> Node:
    """The node with these numbers as computed attributes."""
    computed = [(f"{MEASURED}{name}", value) for name, value in numbers.items()]
    return replace(node, attributes=tuple(sorted((*node.attributes, *computed))))


def without_whole(graph: Graph) -> Graph:
    """The graph without the numbers that `with_whole` adds.

    Isomorphic architectures may differ in these numbers, for example in a measured score.
    """
    first = graph.nodes[0]
    kept = tuple((name, value) for name, value in first.attributes if not name.startswith(WHOLE))
    if len(kept) == len(first.attributes):
        return graph
    return Graph((replace(first, attributes=kept), *graph.nodes[1:]), graph.edges)


def _as_executed(graph: Graph) -> Graph:
    """The graph with the numbers of the network that is executed as those of its network."""
    first = graph.nodes[0]
    known = dict(first.attributes)
    if EXECUTED not in known:
        return graph
    known[NETWORK] = known.pop(EXECUTED)
    attributes = tuple(sorted(known.items()))
    return Graph((replace(first, attributes=attributes), *graph.nodes[1:]), graph.edges)


def readable(graph: Graph, *, simplified: bool = True) -> Graph:
    """The graph with computed sizes, and with each small sum replaced by edges from its terms.

    The terms of such a sum feed the operations that used the sum, so operations that feed each
    other become neighbours. A graph network that adds up messages learns better from such graphs.
    Whether a sum is kept depends only on its ancestors and uses, so isomorphic graphs stay
    isomorphic.

    Args:
        graph: the graph of an architecture.
        simplified: whether parts that cannot affect the output, and identities, are removed first.
            A device may execute them, so a latency can depend on them.
    """
    graph = simplify(measured(graph)) if simplified else _as_executed(measured(graph))
    if not any([node.op == "add" for node in graph.nodes]):
        return graph
    entering: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    uses = [0] * len(graph.nodes)
    for source, target, slot in graph.edges:
        entering[target].append((source, slot))
        uses[source] += 1
    terms: dict[int, list[tuple[int, int]]] = {}
    for number, node in enumerate(graph.nodes):
        arriving = entering[number]
        if any([source in terms for source, _ in arriving]):
            replaced: list[tuple[int, int]] = []
            for source, slot in arriving:
                if source in terms:
                    replaced += [(term, slot) for term, _ in terms[source]]
                else:
                    replaced.append((source, slot))
            arriving = entering[number] = replaced
        if (
            node.op == "add"
            and len(arriving) * uses[number] <= MOST_EDGES
            and not any([slot for _, slot in arriving])
        ):
            terms[number] = arriving
    kept = [number for number in range(len(graph.nodes)) if number not in terms]
    place = {number: position for position, number in enumerate(kept)}
    edges = [
        Edge(place[source], place[number], slot)
        for number in kept
        for source, slot in entering[number]
    ]
    return Graph(tuple([graph.nodes[number] for number in kept]), tuple(edges))
