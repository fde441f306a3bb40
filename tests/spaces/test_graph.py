"""Nodes and edges: what is kept of their attributes, and the order of a node's sources."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Edge, Graph, GraphBuilder
from spaces.graph import INPUT, OUTPUT, Node, node

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from((0.0, -0.0, 1.0, 0.5)),
    st.sampled_from(("", "1", "relu")),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2), max_leaves=4)


@given(st.dictionaries(st.sampled_from(("a", "b", "c")), VALUES))
def test_a_node_keeps_exactly_the_values_that_it_was_given(attributes: dict[str, Any]) -> None:
    # As text, True, 1 and 1.0 differ, and so do 0.0 and -0.0; as nodes they are equal.
    made = node("op", **attributes)
    assert json.dumps(dict(made.attributes)) == json.dumps(dict(sorted(attributes.items())))
    assert [name for name, _ in made.attributes] == sorted(attributes)
    assert made == node("op", **dict(reversed(attributes.items())))


def test_lists_become_tuples() -> None:
    assert node("op", sizes=[1, [2, 3]])["sizes"] == (1, (2, 3))
    assert hash(node("op", sizes=[1, [2, 3]])) == hash(Node("op", (("sizes", (1, (2, 3))),)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"text", [float("nan")]])
def test_an_attribute_that_is_no_json_value_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        node("op", size=value)


def test_edges_of_a_builder_keep_the_types_of_their_numbers() -> None:
    builder = GraphBuilder()
    last = builder.node("add", builder.node("relu", builder.input()), False, True, ordered=True)
    edges = builder.output(last).edges
    assert edges[1:4] == (Edge(1, 2, 0), Edge(0, 2, 1), Edge(1, 2, 2))
    assert [type(edge.source) for edge in edges[:4]] == [int, int, bool, bool]
    builder = GraphBuilder()
    edges = builder.output(builder.node("relu", builder.input())).edges
    assert [type(edge.source) for edge in edges] == [int, int]


def test_sources_are_sorted_by_slot_then_in_the_order_given() -> None:
    nodes = (INPUT, Node("relu"), Node("tanh"), Node("cat"), Node("add"), OUTPUT)
    edges = (
        *(Edge(0, 1), Edge(0, 2)),
        *(Edge(2, 3, 1), Edge(2, 4), Edge(1, 3, 0), Edge(1, 4), Edge(0, 3, 1), Edge(2, 4)),
        *(Edge(3, 4), Edge(4, 5)),
    )
    graph = Graph(nodes, edges)
    assert graph.incoming == ((), (0,), (0,), (1, 2, 0), (2, 1, 2, 3), (4,))
    assert graph.outgoing == ((1, 2, 3), (3, 4), (3, 4, 4), (4,), (5,), ())
