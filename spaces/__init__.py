"""Search spaces: programs that make choices and return graphs, and operators on all of them."""

from spaces.choices import Architecture, Chooser, Rejected
from spaces.domains import Answer
from spaces.graph import Edge, Graph, GraphBuilder, Node, node
from spaces.space import SearchSpace, Shapes

__all__ = [
    "Answer",
    "Architecture",
    "Chooser",
    "Edge",
    "Graph",
    "GraphBuilder",
    "Node",
    "Rejected",
    "SearchSpace",
    "Shapes",
    "node",
]
