"""The graph of an architecture: frozen, directed, acyclic, with one input and one output.

    builder = GraphBuilder()
    x = builder.input()
    y = builder.node("conv2d", x, out_channels=16, kernel_size=3, padding=1)
    z = builder.node("add", x, y)
    graph = builder.output(z)

Parallel edges are allowed: a sum may take the same value twice. If an operation's arguments have an
order (a concatenation, a difference, a matrix product), the `slot` of each edge is the number of
its argument. If they have none (a sum), every slot is 0.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from spaces.structure import is_shape

if TYPE_CHECKING:
    import networkx

Value = str | int | float | bool | None | tuple[Any, ...]


class Edge(NamedTuple):
    """The value of the node number `source` is the argument `slot` of the node number `target`."""

    source: int
    target: int
    slot: int = 0


@dataclass(frozen=True)
class Node:
    """An operation and its attributes, sorted by name.

    `label` names the place in the user's code; comparison ignores it.
    """

    op: str
    attributes: tuple[tuple[str, Value], ...] = ()
    label: str = field(default="", compare=False)

    def __getitem__(self, name: str) -> Value:
        for attribute, value in self.attributes:
            if attribute == name:
                return value
        raise KeyError(f"the node {self.op!r} has no attribute {name!r}")

    def get(self, name: str, default: Value = None) -> Value:
        """The attribute's value, or `default` if there is no such attribute."""
        for attribute, value in self.attributes:
            if attribute == name:
                return value
        return default

    def __str__(self) -> str:
        if not self.attributes:
            return self.op
        return f"{self.op}({', '.join(f'{name}={value}' for name, value in self.attributes)})"


INPUT = Node("input")
OUTPUT = Node("output")


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, the input first and the output last, and the edges between them.

    Raises:
        ValueError: the nodes or edges are not those of such a graph; the message names the first
            one that is wrong.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        nodes = self.nodes
        if len(nodes) < 2 or nodes[0].op != "input" or nodes[-1].op != "output":
            raise ValueError(
                "a graph starts with the node 'input' and ends with the node 'output'; got "
                f"{[node.op for node in nodes]}"
            )
        for node in nodes[1:-1]:
            if node.op == "input" or node.op == "output":
                raise ValueError(
                    f"a graph has one input and one output; got {[node.op for node in nodes]}"
                )
        _check_edges(len(nodes), self.edges)

    @cached_property
    def incoming(self) -> tuple[tuple[int, ...], ...]:
        """For each node the sources of its edges, sorted by slot, then in the order given."""
        sources: list[list[int]] = [[] for _ in self.nodes]
        for source, target, _ in sorted(self.edges, key=itemgetter(2)):
            sources[target].append(source)
        return tuple(map(tuple, sources))

    @cached_property
    def outgoing(self) -> tuple[tuple[int, ...], ...]:
        """For each node the nodes that use its value, once for each edge."""
        targets: list[list[int]] = [[] for _ in self.nodes]
        for edge in self.edges:
            targets[edge[0]].append(edge[1])
        return tuple(map(tuple, targets))

    @cached_property
    def depth(self) -> int:
        """The number of edges on the longest path from the input to the output; 0 if no path."""
        longest = [0] + [-1] * (len(self.nodes) - 1)
        for target in range(1, len(self.nodes)):
            longest[target] = max(
                (longest[source] + 1 for source in self.incoming[target] if longest[source] >= 0),
                default=-1,
            )
        return max(longest[-1], 0)

    def to_json(self) -> str:
        """A compact JSON object with the nodes and edges."""
        nodes = [
            [item.op, dict(item.attributes), *([item.label] if item.label else [])]
            for item in self.nodes
        ]
        return json.dumps(
            {"nodes": nodes, "edges": self.edges}, separators=(",", ":"), allow_nan=False
        )

    @staticmethod
    def from_json(text: str) -> Graph:
        """The graph that `to_json` wrote.

        Raises:
            ValueError: the text is not such an object, or not a valid graph.
        """
        try:
            loaded = json.loads(text)
            nodes = tuple(_read_node(*item) for item in loaded["nodes"])
            return Graph(nodes, tuple(Edge(*map(int, edge)) for edge in loaded["edges"]))
        except (json.JSONDecodeError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(
                'a graph is a JSON object {"nodes": [[op, attributes, label]], "edges": '
                f"[[source, target, slot]]}}; got {text[:80]!r} ({error})"
            ) from error

    def to_networkx(self) -> networkx.MultiDiGraph:
        """The same graph in networkx: nodes have `op` and `attributes`, edges have `slot`."""
        import networkx

        result = networkx.MultiDiGraph()
        for number, item in enumerate(self.nodes):
            result.add_node(number, op=item.op, attributes=item.attributes)
        for source, target, slot in self.edges:
            result.add_edge(source, target, slot=slot)
        return result


def node(op: str, **attributes: Any) -> Node:
    """A node with these attributes; lists among their values become tuples.

    Raises:
        ValueError: an attribute is not a JSON value.
    """
    is_exact = _EXACT.issuperset(map(type, attributes.values()))
    return (_kept if is_exact else _made)(op, **attributes)


def _made(op: str, **attributes: Any) -> Node:
    names = sorted(attributes)
    return Node(op, tuple([(name, _frozen(op, name, attributes[name])) for name in names]))


# Networks repeat their nodes. A cache tells True from 1, but neither in tuples, nor 0.0 from -0.0.
_EXACT = frozenset((str, int, bool, type(None)))
_kept = lru_cache(maxsize=65536, typed=True)(_made)
_edge = lru_cache(maxsize=65536, typed=True)(Edge)


class GraphBuilder:
    """Collects nodes and edges until `output` returns the finished graph.

    A value is represented by the number of the node that computes it.

    >>> builder = GraphBuilder()
    >>> graph = builder.output(builder.node("relu", builder.input()))
    >>> graph.edges
    (Edge(source=0, target=1, slot=0), Edge(source=1, target=2, slot=0))
    """

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._edges: list[Edge] = []

    def input(self, shape: tuple[int, ...] | None = None) -> int:
        """The graph's one input; call it first.

        Args:
            shape: the input's shape without the batch, if it is known.

        Raises:
            ValueError: it was called before, or there are shapes of several inputs.
        """
        if self._nodes:
            raise ValueError("call input() once, before any node()")
        if shape is not None and not is_shape(shape):
            raise ValueError(
                f"the data have the inputs {shape}, and a graph has one: let the space's program "
                "return an nn.Module that takes them all"
            )
        self._nodes.append(INPUT if shape is None else node("input", shape=shape))
        return 0

    def node(self, op: str, *inputs: int, ordered: bool = False, **attributes: Any) -> int:
        """The value of an operation on earlier values.

        Args:
            op: the operation's name.
            inputs: the earlier values.
            ordered: whether the order of the inputs matters; then each edge's slot is its place.
            attributes: the operation's attributes.

        Raises:
            ValueError: an input is no earlier value, or an attribute is not a JSON value.
        """
        return self.add(node(op, **attributes), *inputs, ordered=ordered)

    def add(self, item: Node, *inputs: int, ordered: bool = False) -> int:
        """The value of a node that was made before, on earlier values; otherwise as `node`."""
        target = len(self._nodes)
        for value in inputs:
            if not 0 <= value < target:
                earlier = f"an earlier node (0 to {target - 1})"
                raise ValueError(f"the input {value!r} of {item} is not {earlier}")
        self._nodes.append(item)
        for place, value in enumerate(inputs):
            self._edges.append(_edge(value, target, place if ordered else 0))
        return target

    def include(self, graph: Graph, value: int) -> int:
        """The value that another graph computes from `value`; its inner nodes are copied here.

        If several edges lead to the other graph's output, their values are added up.
        """
        numbers = {0: value}
        for number, item in enumerate(graph.nodes[1:-1], start=1):
            edges = [edge for edge in graph.edges if edge.target == number]
            target = len(self._nodes)
            self._nodes.append(item)
            self._edges.extend(Edge(numbers[edge.source], target, edge.slot) for edge in edges)
            numbers[number] = target
        last = [numbers[source] for source in graph.incoming[-1]]
        return last[0] if len(last) == 1 else self.node("add", *last)

    def output(self, value: int) -> Graph:
        """The finished graph, with `value` as its output."""
        self.add(OUTPUT, value)
        return Graph(tuple(self._nodes), tuple(self._edges))


def _read_node(op: Any, attributes: Any, label: Any = "") -> Node:
    if not isinstance(op, str) or not isinstance(label, str):
        raise TypeError(f"an operation and its label are texts, not {op!r} and {label!r}")
    return replace(node(op, **attributes), label=label)


@lru_cache(maxsize=4096)
def _check_edges(count: int, edges: tuple[Edge, ...]) -> None:
    for edge in edges:
        if len(edge) != 3:
            raise ValueError(f"an edge is (source, target, slot); got {edge!r}")
        source, target, slot = edge
        if not 0 <= source < target < count:
            wanted = f"an edge leads from an earlier node to a later one among {count}"
            raise ValueError(f"{wanted}; got {source} -> {target}")
        if slot < 0:
            raise ValueError(f"an edge's slot is not negative; got {slot} on {source} -> {target}")


def _frozen(op: str, name: str, value: Any) -> Value:
    if value.__class__ in _EXACT:
        return value
    if isinstance(value, list | tuple):
        return tuple([_frozen(op, name, item) for item in value])
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"the attribute {name!r} of the node {op!r} is {value!r}, which JSON does not have: "
            f"write it as the text {str(value)!r}"
        )
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ValueError(
        f"the attribute {name!r} of the node {op!r} must be a JSON value, got {value!r}"
    )
