"""The canonical key agrees with networkx on isomorphism, and simplification keeps the function."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from random import Random

import networkx
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.canonical import canonical_key, is_disconnected, simplify
from spaces.choices import Chooser
from spaces.graph import INPUT, OUTPUT, Edge, Graph, GraphBuilder, Node, node
from spaces.nasbench101 import space as nasbench101
from spaces.nasbench201 import space as nasbench201

OPS = ("relu", "conv2d", "add")


@st.composite
def graphs(draw, maximum: int = 6) -> Graph:
    count = draw(st.integers(2, maximum))
    inner = [Node(draw(st.sampled_from(OPS))) for _ in range(count - 2)]
    places = st.tuples(
        st.integers(0, count - 2), st.integers(1, count - 1), st.sampled_from((0, 0, 0, 1))
    )
    edges = [
        Edge(*place) for place in draw(st.lists(places, max_size=3 * count)) if place[0] < place[1]
    ]
    return Graph((INPUT, *inner, OUTPUT), tuple(edges))


def shuffled(graph: Graph, random: Random) -> Graph:
    """The same graph with its nodes in another topological order and its edges in another order."""
    last = len(graph.nodes) - 1
    waiting, order = set(range(1, last)), [0]
    while waiting:
        free = [
            number
            for number in sorted(waiting)
            if not any(edge.source in waiting for edge in graph.edges if edge.target == number)
        ]
        order.append(random.choice(free))
        waiting.remove(order[-1])
    place = {number: position for position, number in enumerate([*order, last])}
    edges = [Edge(place[edge.source], place[edge.target], edge.slot) for edge in graph.edges]
    random.shuffle(edges)
    return Graph(tuple(graph.nodes[number] for number in [*order, last]), tuple(edges))


def rewired(graph: Graph, random: Random) -> Graph:
    """The graph with the targets of two random edges exchanged, if the result is still acyclic."""
    edges = list(graph.edges)
    if len(edges) < 2:
        return graph
    first, second = random.sample(range(len(edges)), 2)
    one, other = edges[first], edges[second]
    if one.source < other.target and other.source < one.target:
        edges[first], edges[second] = (
            Edge(one.source, other.target, other.slot),
            Edge(other.source, one.target, one.slot),
        )
    return Graph(graph.nodes, tuple(edges))


def isomorphic(first: Graph, second: Graph) -> bool:
    return networkx.is_isomorphic(
        first.to_networkx(),
        second.to_networkx(),
        node_match=lambda one, other: one == other,
        edge_match=lambda one, other: (
            sorted(edge["slot"] for edge in one.values())
            == sorted(edge["slot"] for edge in other.values())
        ),
    )


@given(graphs(), st.randoms(use_true_random=False))
def test_key_ignores_order_and_agrees_with_networkx_after_rewiring(graph, random):
    assert canonical_key(shuffled(graph, random)) == canonical_key(graph)
    changed = shuffled(rewired(graph, random), random)
    assert (canonical_key(changed) == canonical_key(graph)) == isomorphic(
        simplify(changed), simplify(graph)
    )


@given(graphs(5), graphs(5))
def test_key_of_two_graphs_agrees_with_networkx(first, second):
    assert (canonical_key(first) == canonical_key(second)) == isomorphic(
        simplify(first), simplify(second)
    )


@given(graphs(8), st.randoms(use_true_random=False))
def test_simplify_is_idempotent_and_keeps_the_key(graph, random):
    small = simplify(graph)
    assert isomorphic(simplify(small), small)
    assert canonical_key(small) == canonical_key(graph)
    assert is_disconnected(graph) == (not small.edges)
    assert isomorphic(simplify(shuffled(graph, random)), small)


def layered(layers: list[int], joined) -> Graph:
    """Layers of equal operations.

    `joined(layer, first, second)` says whether two nodes of neighbouring layers are joined.
    """
    builder = GraphBuilder()
    value = builder.input()
    before = [builder.node("relu", value) for _ in range(layers[0])]
    for layer, width in enumerate(layers[1:]):
        above, before = before, []
        for second in range(width):
            inputs = [value for first, value in enumerate(above) if joined(layer, first, second)]
            before.append(builder.node("add", *inputs))
    return builder.output(builder.node("cat", *before))


@pytest.mark.parametrize("name", ["cube", "rings", "crown", "butterfly", "random"])
def test_symmetric_layers_agree_with_networkx(name):
    """Colour refinement cannot split these regular graphs; the search for symmetries has to."""
    random = Random(0)
    rules = {
        "cube": ([8, 8, 8], lambda layer, first, second: bin(first ^ second).count("1") == 1),
        "rings": ([6, 6], lambda layer, first, second: second in (first, (first + 1) % 6)),
        "crown": ([6, 6], lambda layer, first, second: first != second),
        "butterfly": ([8, 8, 8, 8], lambda layer, first, second: first ^ second in (0, 1 << layer)),
        "random": (
            [6, 6, 6],
            lambda layer, first, second: (first * 5 + second * 3 + layer) % 3 != 0,
        ),
    }
    graph = layered(*rules[name])
    assert all(canonical_key(shuffled(graph, random)) == canonical_key(graph) for _ in range(3))
    for _ in range(3):
        changed = rewired(graph, random)
        assert (canonical_key(changed) == canonical_key(graph)) == isomorphic(changed, graph)


def test_one_ring_of_six_is_not_two_rings_of_three():
    """The textbook pair of graphs that colour refinement cannot tell apart."""
    one = layered([6, 6], lambda layer, first, second: second in (first, (first + 1) % 6))
    two = layered(
        [6, 6], lambda layer, first, second: second in (first, first // 3 * 3 + (first + 1) % 3)
    )
    assert canonical_key(one) != canonical_key(two)


def test_many_equal_branches_need_no_search():
    def branches(count: int) -> Graph:
        builder = GraphBuilder()
        value = builder.input()
        ends = []
        for _ in range(count):
            convolved = builder.node("conv2d", value, kernel_size=3)
            ends.append(builder.node("relu", builder.node("batch_norm2d", convolved)))
        return builder.output(builder.node("add", *ends))

    keys = [canonical_key(shuffled(branches(count), Random(count))) for count in (31, 32, 32, 33)]
    assert len(set(keys)) == 3
    assert keys[1] == keys[2]


def test_parallel_edges_slots_and_attributes_count():
    def joined(*inputs: int, kernel: Node, ordered: bool = False) -> Graph:
        builder = GraphBuilder()
        builder.add(kernel, builder.input())
        builder.node("relu", 0)
        return builder.output(builder.node("sub", *inputs, ordered=ordered))

    three, five = node("conv2d", kernel_size=3), node("conv2d", kernel_size=5)
    different = [
        joined(1, 2, kernel=three),
        joined(1, 1, 2, kernel=three),
        joined(1, 2, kernel=five),
        joined(1, 2, kernel=three, ordered=True),
        joined(2, 1, kernel=three, ordered=True),
    ]
    assert len({canonical_key(graph) for graph in different}) == len(different)
    key = canonical_key(different[0])
    assert canonical_key(joined(2, 1, kernel=three)) == key
    assert canonical_key(joined(1, 2, kernel=node("conv2d", kernel_size=3.0))) == key


def test_zeros_and_identities_disappear_from_sums():
    builder = GraphBuilder()
    value = builder.input()
    lost = builder.node("conv2d", builder.node("none", value))
    kept = builder.node("conv2d", builder.node("skip_connect", value))
    builder.node("conv2d", kept)
    again, sum_of_one = builder.node("identity", kept), builder.node("add", value)
    total = builder.node("add", lost, kept, again, sum_of_one)
    small = simplify(builder.output(total))
    assert [item.op for item in small.nodes] == ["input", "conv2d", "add", "output"]
    assert Counter(small.edges) == Counter(
        [Edge(0, 1), Edge(1, 2), Edge(1, 2), Edge(0, 2), Edge(2, 3)]
    )


def test_a_sum_that_is_only_a_term_of_another_sum_is_one_sum():
    builder = GraphBuilder()
    value = builder.input()
    inner = builder.node("add", value, builder.node("relu", value))
    once = simplify(builder.output(builder.node("add", inner, builder.node("tanh", value))))
    assert [item.op for item in once.nodes] == ["input", "relu", "tanh", "add", "output"]


@pytest.mark.parametrize(("op", "ordered"), [("cat", True), ("mul", False)])
def test_a_zero_that_has_a_meaning_stays(op, ordered):
    builder = GraphBuilder()
    value = builder.input()
    zero = builder.node("none", builder.node("relu", value))
    graph = builder.output(builder.node(op, value, zero, ordered=ordered))
    assert simplify(graph) == graph
    builder = GraphBuilder()
    zero = builder.node("zero", builder.input())
    assert is_disconnected(builder.output(builder.node(op, zero, zero, ordered=ordered)))


def test_disconnected_graphs_share_one_key():
    builder = GraphBuilder()
    zero = builder.node("none", builder.input())
    graph = builder.output(builder.node("conv2d", zero))
    assert simplify(graph) == Graph((INPUT, OUTPUT), ())
    other = Graph((INPUT, Node("relu"), OUTPUT), (Edge(0, 1),))
    assert canonical_key(graph) == canonical_key(other)


def test_nasbench201_has_5425_classes(shared_data):
    columns = numpy.load(shared_data("nasbench201.npz"), allow_pickle=False)
    architectures = nasbench201.rows({"arch": columns["arch"]})
    keys = {canonical_key(nasbench201.graph(architecture)) for architecture in architectures}
    assert len(keys) == 5425


def test_nasbench101_rows_are_distinct(shared_data):
    columns = numpy.load(shared_data("nasbench101.npz"), allow_pickle=False)
    chosen = numpy.random.default_rng(0).choice(len(columns["row"]), 5000, replace=False)
    architectures = nasbench101.rows(
        {name: columns[name][chosen] for name in ("adj_bits", "ops", "n_vertices")}
    )
    keys = {canonical_key(nasbench101.graph(architecture)) for architecture in architectures}
    assert len(keys) == 5000


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_nasbench201_cells_agree_with_networkx(seed):
    random = Random(seed)
    cells = [simplify(nasbench201.define(Chooser(None, random))) for _ in range(12)]
    # The copies make sure that some pairs are isomorphic.
    cells += [shuffled(cell, random) for cell in cells[:4]]
    keyed = [(cell, canonical_key(cell)) for cell in cells]
    for (first, first_key), (second, second_key) in combinations(keyed, 2):
        assert (first_key == second_key) == isomorphic(first, second)
