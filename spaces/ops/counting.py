"""What a network costs: its parameters, multiply-adds and activations, without building it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from spaces.graph import Graph, Node, Value
from spaces.ops.finding import find, settings
from spaces.ops.inference import infer, refusal, whole_input_shape
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
    result = [NodeCosts(whole_input_shape(graph, input_shape), 0, 0)]
    sharing: dict[int, tuple[str, Value]] = {}
    pairs = zip(graph.nodes[1:], graph.incoming[1:], strict=True)
    for number, (node, sources) in enumerate(pairs, start=1):
        inputs = tuple([result[source].shape for source in sources])
        try:
            costs, share = _alone(node, inputs)
        except ValueError as error:
            raise refusal(number, node, inputs, error) from error
        result.append(costs)
        if share is not None:
            sharing[number] = node.op, share
    if sharing:
        live = set(needed(graph))
        counted: set[tuple[str, Value]] = set()
        for number in sorted(sharing, key=lambda number: number not in live):
            if sharing[number] in counted:
                result[number] = replace(result[number], parameters=0)
            counted.add(sharing[number])
    return tuple(result)


@lru_cache(maxsize=65536)
def _alone(node: Node, inputs: Shapes) -> tuple[NodeCosts, Value]:
    """The costs of one node by itself, and the name under which it shares its weights.

    They are cached because networks repeat their nodes.
    """
    shape = infer(node, inputs)
    if node.op == "output":
        return NodeCosts(shape, 0, 0), None
    op, attributes = find(node.op), settings(node)
    costs = NodeCosts(
        shape, op.parameters(attributes, inputs), op.multiply_adds(attributes, inputs, shape)
    )
    return costs, node.get("share")


def needed(graph: Graph) -> tuple[int, ...]:
    """The numbers of the nodes that the output depends on, in order, the output last."""
    is_live = [False] * len(graph.nodes)
    is_live[-1] = True
    for number in range(len(is_live) - 1, -1, -1):
        if is_live[number]:
            for source in graph.incoming[number]:
                is_live[source] = True
    return tuple([number for number, live in enumerate(is_live) if live])
