"""Drawings show every node and edge, and the SVG is well formed for all names and titles."""

from __future__ import annotations

from random import Random
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from spaces.choices import Chooser
from spaces.describe import describe
from spaces.draw import draw_svg, draw_text
from spaces.flexibert.description import Layer
from spaces.flexibert.description import describe as describe_layers
from spaces.graph import Edge, Graph, GraphBuilder, node
from spaces.layout import arrange, layers
from spaces.nasbench201 import define, network
from spaces.picture import bundled
from spaces.space import Shapes

SVG = "{http://www.w3.org/2000/svg}"


def random_graph(seed: int, count: int) -> Graph:
    random = Random(seed)
    builder = GraphBuilder()
    builder.input((3, 8, 8))
    for number in range(1, count):
        sources = [random.randrange(max(0, number - 6), number) for _ in range(random.randrange(4))]
        builder.node(
            random.choice(["conv2d", "relu", "cat", "zero"]),
            *sources,
            ordered=random.random() < 0.3,
            kernel_size=3,
        )
    return builder.output(count - 1)


def test_text_of_a_residual_block():
    builder = GraphBuilder()
    value = builder.input((3, 32, 32))
    inner = builder.node(
        "relu", builder.node("conv2d", value, out_channels=3, kernel_size=3, padding=1)
    )
    builder.node("tanh", inner)
    graph = builder.output(builder.node("add", inner, inner, value))
    assert draw_text(graph).splitlines() == [
        "●      0  input (3 × 32 × 32)",
        "├─●    1  conv2d (3 channels, 3×3)  ← 0",
        "│ ●    2  relu                      ← 1",
        "│ ├─○  3  tanh                      ← 2",
        "●─┘    4  add                       ← 2 (2×), 0",
        "●      5  output                    ← 4",
    ]


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_drawings_hold_every_node_and_edge(seed, count):
    whole = random_graph(seed, count)
    assert len(draw_text(whole).splitlines()) == len(whole.nodes)
    graph, counts = bundled(whole)
    assert sum(counts) == len(whole.nodes)
    tree = ElementTree.fromstring(draw_svg(graph, "a title"))
    paths = [path for group in tree.findall(f"{SVG}g") for path in group.findall(f"{SVG}path")]
    assert len(paths) == len({(edge.source, edge.target) for edge in graph.edges})
    assert [
        title.text for group in tree.findall(f"{SVG}g") for title in group.findall(f"{SVG}title")
    ] == list(map(str, graph.nodes))


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_boxes_do_not_overlap_and_edges_lead_down(seed, count):
    graph = random_graph(seed, count)
    widths = [40.0 + 7 * (number % 5) for number in range(len(graph.nodes))]
    layout = arrange(graph, widths, gap=10)
    assert layout.layer == layers(graph)
    assert all(layout.layer[edge.source] < layout.layer[edge.target] for edge in graph.edges)
    for first in range(len(widths)):
        half = widths[first] / 2 - 1e-6
        assert half <= layout.x[first] <= layout.width - half
        for second in range(first):
            if layout.layer[first] == layout.layer[second]:
                distance = abs(layout.x[first] - layout.x[second])
                assert distance >= (widths[first] + widths[second]) / 2 + 10 - 1e-6


def test_the_heads_of_a_layer_are_one_box():
    graph = describe_layers(
        (Layer(32, ("sa_sdp",) * 4, (64,)), Layer(32, ("c_5", "c_5", "c_9"), (64, 64)))
    )
    drawn, counts = bundled(graph)
    several = [
        (count, item.op) for count, item in zip(counts, drawn.nodes, strict=True) if count > 1
    ]
    assert several == [(4, "self_attention"), (2, "span_convolution")]
    svg = draw_svg(graph)
    for box in ("4 × self_attention", "2 × span_convolution", "span_convolution"):
        assert svg.count(f">{box}<") == 1


def test_equal_nodes_with_other_uses_are_no_duplicates():
    builder = GraphBuilder()
    value = builder.input()
    one, other, third = (builder.node("relu", value) for _ in range(3))
    joined = builder.node("sub", one, other, ordered=True)
    graph = builder.output(
        builder.node("add", joined, third, builder.node("parameter"), builder.node("parameter"))
    )
    assert bundled(graph) == (graph, (1,) * len(graph.nodes))


def test_svg_escapes_text_and_marks_parallel_edges_and_slots():
    builder = GraphBuilder()
    value = builder.node('<script>"&', builder.input())
    total = builder.node("add", value, value)
    svg = draw_svg(
        builder.output(builder.node("sub", total, value, ordered=True)), title="a < b & c"
    )
    ElementTree.fromstring(svg)
    assert "<script>" not in svg
    assert ">2×<" in svg
    assert ">0<" in svg
    assert ">1<" in svg


def test_a_chain_is_a_straight_line():
    builder = GraphBuilder()
    value = builder.input()
    for _ in range(150):
        value = builder.node("relu", value)
    layout = arrange(builder.output(value), [50.0] * 152, gap=10)
    assert set(layout.x) == {25.0}


def test_a_whole_network_is_drawn_and_a_drawing_repeats():
    graph = network(define(Chooser(None, Random(1))), Shapes((3, 32, 32), (10,)))
    assert draw_svg(graph) == draw_svg(graph)
    assert len(draw_text(graph).splitlines()) == len(graph.nodes)


def test_a_graph_without_a_path_is_drawn():
    graph = Graph((node("input"), node("output")), ())
    assert draw_text(graph).splitlines() == ["○  0  input", "●  1  output"]
    ElementTree.fromstring(draw_svg(graph))
    joined_twice = Graph(graph.nodes, (Edge(0, 1), Edge(0, 1)))
    assert draw_text(joined_twice).splitlines()[1] == "●  1  output  ← 0 (2×)"


def test_attributes_in_few_words():
    item = node("conv2d", kernel_size=3, stride=2, out_channels=16, bias=False, groups=4)
    assert describe(item) == "16 channels, groups 4, 3×3, stride 2"
    assert describe(node("span_convolution", kernel_size=9, hidden=64)) == "hidden 64, kernel 9"
    assert describe(node("getitem", index=((None, None, None), (0, 42, None)))) == "[:, 0:42]"
