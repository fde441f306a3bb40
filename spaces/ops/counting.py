"""What a network costs: its parameters, multiply-adds and activations, without building it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from spaces.graph import Graph, Node, Value
from spaces.ops.finding import find, settings
from spaces.ops.inference import whole_shapes
from spaces.ops.operation import Shapes
from spaces.ops.shapes import Shape, elements


@dataclass(frozen=True)
class Costs:
    """What a network costs for one sample.

    Attributes:
        parameters: the number of trained numbers; shared weights count once.
        multiply_adds: of convolutions and matrix products; FLOPs are twice this.
        largest_activation: elements of the largest value, the input included.
        activations: elements of all values that operations give.
    """

    parameters: int
    multiply_adds: int
    largest_activation: int
    activations: int


# Values that are given or passed on. "observed:input" is one of several inputs.
_NOT_COMPUTED = ("parameter", "buffer", "identity", "observed:input", "observed:outputs")


def costs(graph: Graph, input_shape: Shape | None = None) -> Costs:
    """The costs of the network that `build` makes; nodes that the output does not need are free.

    >>> from spaces import GraphBuilder
    >>> builder = GraphBuilder()
    >>> graph = builder.output(builder.node("linear", builder.input((4,)), out_features=3))
    >>> costs(graph)
    Costs(parameters=15, multiply_adds=12, largest_activation=4, activations=3)

    Args:
        graph: of operations of this vocabulary.
        input_shape: as in `infer_shapes`.

    Raises:
        ValueError: as `infer_shapes`.
    """
    each = node_costs(graph, input_shape)
    live = [number for number in needed(graph)[:-1] if number]
    values = [
        elements(each[number].shape)
        for number in live
        if graph.nodes[number].op not in _NOT_COMPUTED
    ]
    return Costs(
        parameters=sum(each[number].parameters for number in live),
        multiply_adds=sum(each[number].multiply_adds for number in live),
        largest_activation=max([elements(each[0].shape), *values]),
        activations=sum(values),
    )


@dataclass(frozen=True)
class NodeCosts:
    """What one node costs for one sample.

    If nodes share their weights, the first one that the output needs counts them.

    Attributes:
        shape: of the node's value, with the batch written -1.
        parameters, multiply_adds: as in `Costs`.
    """

    shape: Shape
    parameters: int
    multiply_adds: int


def node_costs(graph: Graph, input_shape: Shape | None = None) -> tuple[NodeCosts, ...]:
    """The costs of every node, in the order of the nodes; the input and the output are free.

    Raises:
        ValueError: as `infer_shapes`.
    """
    shapes = whole_shapes(graph, input_shape)
    result = [NodeCosts(shape, 0, 0) for shape in shapes]
    shared: set[tuple[str, Value]] = set()
    live = needed(graph)
    for number in (*live, *sorted(set(range(len(graph.nodes))) - set(live))):
        node = graph.nodes[number]
        if node.op in ("input", "output"):
            continue
        inputs = tuple([shapes[source] for source in graph.incoming[number]])
        costs = _alone(node, inputs, shapes[number])
        share = node.get("share")
        result[number] = replace(costs, parameters=0) if (node.op, share) in shared else costs
        if share is not None:
            shared.add((node.op, share))
    return tuple(result)


@lru_cache(maxsize=65536)
def _alone(node: Node, inputs: Shapes, shape: Shape) -> NodeCosts:
    """The costs of one node by itself, cached because networks repeat their nodes."""
    op, attributes = find(node.op), settings(node)
    return NodeCosts(
        shape, op.parameters(attributes, inputs), op.multiply_adds(attributes, inputs, shape)
    )


def needed(graph: Graph) -> tuple[int, ...]:
    """The numbers of the nodes that the output depends on, in order, the output last."""
    live = {len(graph.nodes) - 1}
    for number in range(len(graph.nodes) - 1, -1, -1):
        if number in live:
            live.update(graph.incoming[number])
    return tuple(sorted(live))
