"""A graph as the predictors read it: simplified, its operations measured, and small sums replaced
by their terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import isfinite, prod

from predictors.reading.batch import MEASURED, WHOLE
from spaces.canonical import simplify
from spaces.graph import Edge, Graph, Node
from spaces.ops import costs, node_costs

# A sum of `a` terms that `b` operations use becomes a * b edges; beyond this many it stays a node,
# or residual chains would grow as the square of depth.
MOST_EDGES = 8


# What `simplify` may take away keeps its bare form.
BARE = frozenset({"add", "identity", "none", "output", "skip_connect", "zero"})


@lru_cache(maxsize=65536)
def measured(graph: Graph) -> Graph:
    """The graph whose operations carry what the vocabulary tells of them: channels, positions,
    parameters, multiply-adds; and its input, of the whole.

    A graph that does not say its input's shape, or has operations outside the vocabulary (a cell),
    stays as it is.
    """
    if graph.nodes[0].get("shape") is None:
        return graph
    try:
        whole, each = costs(graph), node_costs(graph)
    except ValueError:
        return graph
    nodes = [
        node
        if node.op in BARE
        else _with(
            node,
            channels=of.shape[1],
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
    """The graph whose input carries numbers of the whole network: its size, or zero-cost scores.
    They stand beside those that it carries already.

    Raises:
        ValueError: a number is not finite.
    """
    wrong = [name for name, number in numbers.items() if not isfinite(number)]
    if wrong:
        raise ValueError(
            f"a graph carries finite numbers only; {wrong[0]} is {numbers[wrong[0]]}: leave it "
            "out, and it counts as an average one"
        )
    known = dict(graph.nodes[0].attributes)
    whole = {f"{WHOLE}{name}": number for name, number in numbers.items()}
    first = replace(graph.nodes[0], attributes=tuple(sorted({**known, **whole}.items())))
    return Graph((first, *graph.nodes[1:]), graph.edges)


def _with(node: Node, **numbers: int) -> Node:
    return replace(
        node,
        attributes=tuple(
            sorted(
                (
                    *node.attributes,
                    *((f"{MEASURED}{name}", value) for name, value in numbers.items()),
                )
            )
        ),
    )


def without_whole(graph: Graph) -> Graph:
    """The graph without the numbers of `with_whole`: two networks of one architecture may differ in
    a measured score.
    """
    first = graph.nodes[0]
    kept = tuple((name, value) for name, value in first.attributes if not name.startswith(WHOLE))
    return (
        graph
        if len(kept) == len(first.attributes)
        else Graph((replace(first, attributes=kept), *graph.nodes[1:]), graph.edges)
    )


def readable(graph: Graph, *, simplified: bool = True) -> Graph:
    """The graph without dead parts, its operations measured, and each small sum's terms fed
    straight to whatever used the sum.

    Not simplified it keeps its dead parts and its identities: where a device carries them out, its
        latency depends on them.

    A network whose messages add up reads a sum's terms better than the sum: operations that feed
    each other become neighbours. Whether a sum stays depends on its ancestors and uses alone, so
    isomorphic graphs stay isomorphic.
    """
    graph = simplify(measured(graph)) if simplified else measured(graph)
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
            arriving = [
                (term, slot)
                for source, slot in arriving
                for term in (
                    [first for first, _ in terms[source]] if source in terms else (source,)
                )
            ]
            entering[number] = arriving
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
