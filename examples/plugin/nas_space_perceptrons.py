"""Multilayer perceptrons for inputs of any shape, which are flattened."""

import math

from spaces import Chooser, Graph, GraphBuilder, SearchSpace, Shapes


def define(choose: Chooser, shapes: Shapes) -> Graph:
    """One to four layers of different widths, with optional shortcuts between equal widths."""
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    if len(shapes.input) > 1:
        value = builder.node("flatten", value)
    activation = choose.one_of("activation", ("relu", "gelu", "tanh"))
    width = None
    for layer in range(choose.integer("layers", 1, 4)):
        with choose.scope(f"layer{layer}"):
            before, width = width, choose.one_of("width", (32, 64, 128))
            start = value
            value = builder.node(
                "batch_norm1d", builder.node("linear", start, out_features=width, bias=False)
            )
            value = builder.node(activation, value)
            if before == width and choose.one_of("shortcut", (True, False)):
                value = builder.node("add", start, value)
    value = builder.node("linear", value, out_features=math.prod(shapes.output))
    if len(shapes.output) > 1:
        value = builder.node("unflatten", value, dim=1, unflattened_size=shapes.output)
    return builder.output(value)


space = SearchSpace("perceptrons", define)
