"""The attribute `detail`: a digest of what a graph does not show of the user's module.

It tells modules apart that one graph describes, and says nothing else. So keys have it, and
predictors do not read it.
"""

from __future__ import annotations

from dataclasses import replace

from spaces.graph import Graph, Node

DETAIL = "detail"


def with_detail(graph: Graph, digest: str) -> Graph:
    """The graph with the digest in its input node."""
    first = _without(graph.nodes[0])
    marked = replace(first, attributes=tuple(sorted((*first.attributes, (DETAIL, digest)))))
    return replace(graph, nodes=(marked, *graph.nodes[1:]))


def without_details(graph: Graph) -> Graph:
    """The graph without digests."""
    if not any(name == DETAIL for node in graph.nodes for name, _ in node.attributes):
        return graph
    return replace(graph, nodes=tuple(map(_without, graph.nodes)))


def _without(node: Node) -> Node:
    kept = tuple(item for item in node.attributes if item[0] != DETAIL)
    return node if len(kept) == len(node.attributes) else replace(node, attributes=kept)
