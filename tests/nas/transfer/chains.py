"""Small graphs of primitive operations for the tests of weight transfer."""

from __future__ import annotations

from dataclasses import replace

from spaces import Graph, GraphBuilder
from spaces.graph import Node, node


def chain(*nodes: Node, shape: tuple[int, ...] = (4,)) -> Graph:
    builder = GraphBuilder()
    value = builder.input(shape)
    for item in nodes:
        value = builder.add(item, value)
    return builder.output(value)


def linear(width: int, label: str = "") -> Node:
    return replace(node("linear", out_features=width), label=label)


RELU, TANH = node("relu"), node("tanh")
