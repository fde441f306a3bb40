"""Whether a network's inputs are tokens, and how many different ones there are."""

from __future__ import annotations

from spaces.graph import Graph
from spaces.ops.finding import find


def vocabulary(graph: Graph) -> int | None:
    """The size of the network's vocabulary; None if its inputs are not tokens.

    Inputs are tokens if the graph's input says so (`vocabulary`), or if they reach an embedding
    through operations without weights.

    Args:
        graph: of the whole network.
    """
    given = graph.nodes[0].get("vocabulary")
    if isinstance(given, int):
        return given
    tokens, sizes = {0}, list[int]()
    for number, (node, sources) in enumerate(zip(graph.nodes, graph.incoming, strict=True)):
        if tokens.isdisjoint(sources):
            continue
        size = node.get("num_embeddings")
        if isinstance(size, int):
            sizes.append(size)
        elif node.op != "output" and not find(node.op).constructed:
            tokens.add(number)
    return min(sizes, default=None)
