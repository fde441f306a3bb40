"""The vocabulary: the primitive operations that a graph's nodes name, with their attributes,
shapes, costs and PyTorch text.

Attributes are torch's own constructor or function arguments with torch's defaults. What the input's
shape tells (`in_channels`, `num_features`, ...) is never an attribute. Where a number of channels
or groups is wanted, "in_channels" stands for as many as come in, so a depthwise convolution is
`conv2d(groups="in_channels", ...)`. `dim` counts the batch, as in torch; in `shape` the word
"batch" stands for the batch size. Every operation that makes a module takes the attribute `share`:
nodes of one operation and one `share` share their weights.

    OPS["conv2d"]                        an operation
    find("nn.Hardshrink")                any other torch.nn module, or "function:torch.roll", any function that torch lets one override
    infer_shapes(graph), costs(graph)    what can be told of a network without building it
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from spaces.graph import Graph, Node, Value
from spaces.ops import shape_rules, text_rules
from spaces.ops.operation import REQUIRED, Op, Shapes, literal
from spaces.ops.shape_rules import BATCH, Shape, elements, shown
from spaces.ops.vocabulary import OPS

__all__ = [
    "OPS",
    "REQUIRED",
    "Costs",
    "Op",
    "costs",
    "find",
    "infer",
    "infer_shapes",
    "literal",
    "needed",
    "node_costs",
    "settings",
    "whole_shapes",
]

_OUTPUT = Op("output", shape_rules.broadcast, most=None, call=text_rules.joined("+"))


def find(name: str) -> Op:
    """The operation of that name: of the table, "nn.X" for another torch.nn module, or
    "function:torch.f" for another torch function.

    Raises:
        ValueError: there is none; the message names the nearest ones.
    """
    if name in OPS:
        return OPS[name]
    if name == "output":
        return _OUTPUT
    if name.startswith(("nn.", "function:")):
        from spaces.ops.generic import generic

        return generic(name)
    near = difflib.get_close_matches(name, OPS, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(OPS)}"
    )
    raise ValueError(f"there is no operation {name!r}; {hint}")


@lru_cache(maxsize=65536)
def settings(node: Node) -> Mapping[str, Any]:
    """All attributes of a node, defaults included.

    Raises:
        ValueError: the operation or an attribute is unknown, or a required one is missing.
    """
    op = find(node.op)
    given = dict(node.attributes)
    share = given.pop("share", None)
    if share is not None and not op.constructed:
        raise ValueError(f"{node.op!r} has no weights, so it takes no attribute 'share'")
    unknown = [name for name in given if name not in op.defaults]
    missing = [
        name for name, default in op.defaults.items() if default is REQUIRED and name not in given
    ]
    if unknown or missing:
        takes = ", ".join(op.defaults) or "none"
        wrong = (
            f"has no attribute {unknown[0]!r}" if unknown else f"needs the attribute {missing[0]!r}"
        )
        raise ValueError(f"{node.op!r} {wrong}; its attributes: {takes}")
    return {**op.defaults, **given}


@lru_cache(maxsize=65536)
def infer(node: Node, inputs: Shapes) -> Shape:
    """The whole shape (see `shape_rules`) of what a node gives for inputs of these whole shapes.

    Raises:
        ValueError: the node is not of the vocabulary, or cannot take these inputs.
    """
    op, attributes = find(node.op), settings(node)
    if len(inputs) < op.fewest or (op.most is not None and len(inputs) > op.most):
        wanted = (
            str(op.fewest)
            if op.fewest == op.most
            else f"{op.fewest} or more"
            if op.most is None
            else f"{op.fewest} to {op.most}"
        )
        raise ValueError(f"{node.op!r} takes {wanted} inputs, got {len(inputs)}")
    try:
        shape = op.infer(attributes, inputs)
    except (
        TypeError,
        LookupError,
        ArithmeticError,
        AttributeError,
        AssertionError,
        RuntimeError,
    ) as error:
        raise ValueError(f"its attributes are not of the expected kinds ({error})") from error
    if any(not isinstance(size, int) or (size < 1 and size != BATCH) for size in shape):
        raise ValueError(f"the result would have the shape {shown(shape)}")
    return shape


def whole_shapes(graph: Graph, input_shape: Shape | None = None) -> Shapes:
    """The shape of every node's value with the batch written -1; see `infer_shapes`."""
    given = input_shape if input_shape is not None else graph.nodes[0].get("shape")
    if not isinstance(given, tuple | list) or not given:
        raise ValueError(
            "the shape of the graph's input is needed: pass input_shape, or give it to "
            "GraphBuilder.input(shape)"
        )
    if any(not isinstance(size, int) or isinstance(size, bool) or size < 1 for size in given):
        raise ValueError(
            "the shape of the graph's input must be whole numbers above 0, without the batch; "
            f"got {tuple(given)!r}"
        )
    shapes: list[Shape] = [(BATCH, *given)]
    for number, (node, sources) in enumerate(
        zip(graph.nodes[1:], graph.incoming[1:], strict=True), start=1
    ):
        inputs = tuple([shapes[source] for source in sources])
        try:
            shapes.append(infer(node, inputs))
        except ValueError as error:
            received = ", ".join(map(shown, inputs)) or "nothing"
            place = f", {node.label!r}" if node.label else ""
            raise ValueError(
                f"node {number}, {node}{place}, cannot take {received}: {error}"
            ) from error
    return tuple(shapes)


def infer_shapes(graph: Graph, input_shape: Shape | None = None) -> Shapes:
    """The shape of every node's value, without the batch dimension; of a parameter, its own.

    Args:
        graph: of operations of this vocabulary.
        input_shape: (C, H, W), (F,), (T, D), ...; by default the attribute `shape` of the graph's
            input.

    Raises:
        ValueError: an operation is unknown or cannot take its inputs; names the node, its operation
            and the shapes.
    """
    return tuple(
        tuple(size for size in shape if size != BATCH) for shape in whole_shapes(graph, input_shape)
    )


@dataclass(frozen=True)
class Costs:
    """What a network costs for one sample.

    Attributes:
        parameters: trained numbers; weights used twice count once.
        multiply_adds: of convolutions and matrix products; FLOPs are twice this.
        largest_activation: elements of the largest value, the input included.
        activations: elements of all values that operations give.
    """

    parameters: int
    multiply_adds: int
    largest_activation: int
    activations: int


def costs(graph: Graph, input_shape: Shape | None = None) -> Costs:
    """The counts of the network that `build` makes; nodes that the output does not need count
    nothing.

    Raises:
        ValueError: as `infer_shapes`.
    """
    each = node_costs(graph, input_shape)
    live = [number for number in needed(graph)[:-1] if number]
    values = [
        elements(each[number].shape)
        for number in live
        if graph.nodes[number].op not in ("parameter", "buffer", "identity")
    ]
    return Costs(
        parameters=sum(each[number].parameters for number in live),
        multiply_adds=sum(each[number].multiply_adds for number in live),
        largest_activation=max([elements(each[0].shape), *values]),
        activations=sum(values),
    )


@dataclass(frozen=True)
class NodeCosts:
    """What one node costs for one sample: its value's shape with the batch written -1, and the same
    counts as in `Costs`.

    Of nodes that share their weights the first one that the output needs counts them.
    """

    shape: Shape
    parameters: int
    multiply_adds: int


def node_costs(graph: Graph, input_shape: Shape | None = None) -> tuple[NodeCosts, ...]:
    """The counts of every node, in the order of the nodes; the input and the output cost nothing.

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
        costs = _alone(
            node, tuple([shapes[source] for source in graph.incoming[number]]), shapes[number]
        )
        share = node.get("share")
        result[number] = replace(costs, parameters=0) if (node.op, share) in shared else costs
        if share is not None:
            shared.add((node.op, share))
    return tuple(result)


@lru_cache(maxsize=65536)
def _alone(node: Node, inputs: Shapes, shape: Shape) -> NodeCosts:
    """The counts of one node by itself: networks repeat theirs."""
    op, attributes = find(node.op), settings(node)
    return NodeCosts(
        shape, op.parameters(attributes, inputs), op.multiply_adds(attributes, inputs, shape)
    )


def needed(graph: Graph) -> tuple[int, ...]:
    """The nodes that the output depends on, itself last."""
    live = {len(graph.nodes) - 1}
    for number in range(len(graph.nodes) - 1, -1, -1):
        if number in live:
            live.update(graph.incoming[number])
    return tuple(sorted(live))
