"""The shape of every value in a graph, inferred without building the network."""

from __future__ import annotations

from functools import lru_cache

from spaces.graph import Graph, Node
from spaces.ops.finding import find, settings
from spaces.ops.operation import Op, Shapes
from spaces.ops.shapes import BATCH, Shape, shown
from spaces.structure import shape_in_graph


@lru_cache(maxsize=65536)
def infer(node: Node, inputs: Shapes) -> Shape:
    """The whole shape (see `spaces.ops.shapes`) that a node gives for inputs of these whole shapes.

    Raises:
        ValueError: the node is not of the vocabulary, or cannot take these inputs.
    """
    op, attributes = find(node.op), settings(node)
    if len(inputs) < op.fewest or (op.most is not None and len(inputs) > op.most):
        raise ValueError(f"{node.op!r} takes {_arity(op)} inputs, got {len(inputs)}")
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


def _arity(op: Op) -> str:
    if op.fewest == op.most:
        return str(op.fewest)
    return f"{op.fewest} or more" if op.most is None else f"{op.fewest} to {op.most}"


def whole_shapes(graph: Graph, input_shape: Shape | None = None) -> Shapes:
    """The shape of every node's value, with the batch written -1.

    Arguments and errors are those of `infer_shapes`.
    """
    shapes: list[Shape] = [whole_input_shape(graph, input_shape)]
    pairs = zip(graph.nodes[1:], graph.incoming[1:], strict=True)
    for number, (node, sources) in enumerate(pairs, start=1):
        inputs = tuple([shapes[source] for source in sources])
        try:
            shapes.append(infer(node, inputs))
        except ValueError as error:
            raise refusal(number, node, inputs, error) from error
    return tuple(shapes)


def whole_input_shape(graph: Graph, input_shape: Shape | None = None) -> Shape:
    """The shape of the graph's input, with the batch written -1.

    Arguments and errors are those of `infer_shapes`.
    """
    if input_shape is None:
        given = graph.nodes[0].get("shape")
    else:
        given = shape_in_graph(input_shape)
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
    return (BATCH, *given)


def refusal(number: int, node: Node, inputs: Shapes, error: ValueError) -> ValueError:
    """The error of a node in a graph, which says where the node is and what came to it."""
    received = ", ".join(map(shown, inputs)) or "nothing"
    place = f", {node.label!r}" if node.label else ""
    return ValueError(f"node {number}, {node}{place}, cannot take {received}: {error}")


def infer_shapes(graph: Graph, input_shape: Shape | None = None) -> Shapes:
    """The shape of every node's value for one sample, in the order of the nodes.

    >>> from spaces import GraphBuilder
    >>> builder = GraphBuilder()
    >>> value = builder.node("conv2d", builder.input((3, 8, 8)), out_channels=16, kernel_size=3)
    >>> infer_shapes(builder.output(value))
    ((3, 8, 8), (16, 6, 6), (16, 6, 6))

    Args:
        graph: of operations of this vocabulary.
        input_shape: (C, H, W), (F,), (T, D), ... without the batch; by default the attribute
            `shape` of the graph's input.

    Raises:
        ValueError: an operation is unknown or cannot take its inputs. The message names the node,
            its operation and the shapes.
    """
    return tuple(
        tuple(size for size in shape if size != BATCH) for shape in whole_shapes(graph, input_shape)
    )
