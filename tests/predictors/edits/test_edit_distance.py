"""Edit distances: compared with networkx and with all maps, and their properties."""

from __future__ import annotations

from random import Random

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictors.edits import distance as edit_distance
from predictors.edits.costs import EditCosts, graded_costs, suggest_costs, transformer_costs
from predictors.edits.distance import distance_matrix, edit_distances, lower_bounds
from spaces import Graph, GraphBuilder, nasbench201
from spaces.flexibert import Layer, describe
from spaces.graph import Edge, Node
from spaces.operators import sample_graph
from tests.contracts.predictor_contract import random_graphs, reordered

HEADS = ("sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5", "c_9")


def transformers(count: int, layers: tuple[int, ...], seed: int) -> list[Graph]:
    """Random architectures of the space in FlexiBERT's paper."""
    draw = Random(seed)

    def layer() -> Layer:
        heads = (draw.choice(HEADS),) * draw.choice((2, 4))
        return (
            draw.choice((128, 256)),
            heads,
            tuple(draw.choice((512, 1024)) for _ in range(draw.choice((1, 3)))),
        )

    return [
        describe(tuple(layer() for _ in range(draw.choice(layers))), mixed=True)
        for _ in range(count)
    ]


@st.composite
def small_graphs(draw: st.DrawFn, most: int = 3) -> Graph:
    """Graphs with at most `most` inner nodes and any edges, none of them twice."""
    between = draw(st.lists(st.sampled_from(("conv", "pool", "dense")), max_size=most))
    nodes = (Node("input"), *map(Node, between), Node("output"))
    possible = [Edge(source, target) for target in range(len(nodes)) for source in range(target)]
    return Graph(nodes, tuple(edge for edge in possible if draw(st.booleans())))


def in_networkx(graph: Graph, costs: EditCosts) -> networkx.DiGraph:
    result = networkx.DiGraph([(edge.source, edge.target) for edge in graph.edges])
    for number, label in enumerate(costs.rows(graph.nodes).tolist()):
        result.add_node(number, label=label)
    return result


def prices(costs: EditCosts) -> dict:
    def node(of):
        return costs.node[of["label"]]

    def edge(_):
        return costs.edge

    def change(first, second):
        return costs.change[first["label"]][second["label"]]

    return {
        "node_subst_cost": change,
        "node_del_cost": node,
        "node_ins_cost": node,
        "edge_del_cost": edge,
        "edge_ins_cost": edge,
    }


ANY_COSTS = graded_costs(
    [Graph((Node("input"), Node("conv"), Node("pool"), Node("dense"), Node("output")), ())]
)


@settings(max_examples=40)
@given(small_graphs(), small_graphs())
def test_small_graphs_have_the_distance_of_networkx(first: Graph, second: Graph) -> None:
    expected = networkx.graph_edit_distance(
        in_networkx(first, ANY_COSTS), in_networkx(second, ANY_COSTS), **prices(ANY_COSTS)
    )
    assert edit_distances([first, second], np.array([[0, 1]]), ANY_COSTS)[0] == pytest.approx(
        expected, abs=1e-4
    )


@settings(max_examples=50)
@given(small_graphs(4), small_graphs(4), small_graphs(4))
def test_the_distance_of_small_graphs_is_a_metric(
    first: Graph, second: Graph, third: Graph
) -> None:
    distance = distance_matrix([first, second, third], ANY_COSTS)
    assert distance[0, 2] <= distance[0, 1] + distance[1, 2] + 1e-4
    assert edit_distances([second, first], np.array([[0, 1]]), ANY_COSTS)[0] == distance[0, 1]
    assert edit_distances([first], np.array([[0, 0]]), ANY_COSTS)[0] == 0


def test_the_search_is_never_below_the_exact_distance_and_mostly_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = [graph for graph in random_graphs(60, seed=3) if len(graph.nodes) == 7]
    pair_p2 = np.stack(np.triu_indices(len(graphs), 1), axis=1)
    costs = graded_costs(graphs)
    exact = edit_distances(graphs, pair_p2, costs)
    monkeypatch.setattr(edit_distance, "SMALLEST", 0)
    searched = edit_distances(graphs, pair_p2, costs)
    assert (searched >= exact - 1e-3).all()
    assert (lower_bounds(graphs, pair_p2, costs) <= exact + 1e-3).all()
    assert (searched <= exact + 1e-3).mean() > 0.9


def test_distances_of_transformers_are_between_their_bounds_and_below_networkx() -> None:
    graphs = transformers(40, (2, 4), seed=1)
    costs = transformer_costs(graphs)
    pair_p2 = np.arange(40).reshape(-1, 2)
    found, lower = edit_distances(graphs, pair_p2, costs), lower_bounds(graphs, pair_p2, costs)
    networks = [in_networkx(graph, costs) for graph in graphs]
    theirs = np.array(
        [
            next(networkx.optimize_graph_edit_distance(networks[i], networks[j], **prices(costs)))
            for i, j in pair_p2.tolist()
        ]
    )
    assert (lower <= found + 1e-3).all()
    assert found.sum() <= 1.05 * lower.sum()
    assert (found <= theirs + 1e-3).all()


@pytest.mark.parametrize(
    "graphs",
    [transformers(12, (2, 4), seed=2), random_graphs(12, seed=4)],
    ids=["transformers", "cells"],
)
def test_isomorphic_graphs_have_distance_0(graphs: list[Graph]) -> None:
    costs = suggest_costs(graphs)
    isomorphic = [reordered(graph, seed=number) for number, graph in enumerate(graphs)]
    distance = distance_matrix([*graphs, *isomorphic], costs)
    assert np.diag(distance[:12, 12:]) == pytest.approx(0)
    np.testing.assert_allclose(distance[:12, :12], distance[12:, 12:], atol=1e-3)
    np.testing.assert_array_equal(distance, distance.T)


def test_the_distance_of_a_pair_does_not_depend_on_other_pairs() -> None:
    graphs = transformers(20, (2, 4), seed=3)
    costs = transformer_costs(graphs)
    together = distance_matrix(graphs, costs)
    for first, second in ((0, 1), (4, 17), (9, 3)):
        assert edit_distances(graphs, np.array([[second, first]]), costs)[0] == pytest.approx(
            together[first, second], abs=1e-3
        )


def test_the_costs_of_single_edits() -> None:
    def graph(hidden=128, heads=("sa_sdp", "sa_sdp"), feed_forward=(512,)):
        return describe(
            ((hidden, heads, feed_forward), (128, ("c_5", "c_9"), (512, 1024))), mixed=True
        )

    others = [
        graph(heads=("sa_sdp", "sa_wma")),
        graph(256),
        graph(heads=("sa_sdp",) * 4),
        graph(feed_forward=(1024,)),
        graph(feed_forward=(512, 1024)),
    ]
    graphs = [graph(), *others]
    costs = transformer_costs(graphs)
    places = {str(label): cost for label, cost in zip(costs.labels, costs.node, strict=True)}
    assert list(places.values()) == [0, 1, 2, 4, 5, 8, 9, 10, 12, 13]
    assert list(places)[5:] == [
        "self_attention(hidden=128, similarity=sdp)",
        "self_attention(hidden=128, similarity=wma)",
        "self_attention(hidden=256, similarity=sdp)",
        "span_convolution(hidden=128, kernel_size=5)",
        "span_convolution(hidden=128, kernel_size=9)",
    ]
    # The edits: another similarity; two heads changed by two positions; two more heads with two
    # edges each; a change by one position; one more node in a chain, which removes one edge and
    # inserts two.
    assert distance_matrix(graphs, costs)[0, 1:] == pytest.approx(
        [1, 4, 2 * (8 + 0.2), 1, 5 + 0.3], abs=1e-3
    )


def test_parallel_edges_and_the_order_of_arguments_count() -> None:
    def graph(*inputs: int, ordered: bool = False) -> Graph:
        builder = GraphBuilder()
        values = [builder.input()]
        values += [builder.node("conv", values[0]), builder.node("pool", values[0])]
        return builder.output(
            builder.node("merge", *(values[number] for number in inputs), ordered=ordered)
        )

    graphs = [graph(1, 2), graph(1, 2, 2), graph(1, 2, ordered=True), graph(2, 1, ordered=True)]
    distance = distance_matrix(graphs, graded_costs(graphs, edge=0.125))
    assert distance[0, 1] == pytest.approx(0.125)
    assert distance[0, 2] == pytest.approx(0.25)
    assert distance[2, 3] == pytest.approx(0.5)


def test_cells_of_a_benchmark_get_graded_costs() -> None:
    graphs = [sample_graph(nasbench201.space, Random(seed))[1] for seed in range(20)]
    costs = suggest_costs(graphs)
    assert set(costs.node) == {1.0}
    distance, lower = (
        distance_matrix(graphs, costs),
        lower_bounds(graphs, np.array([[0, 1]]), costs)[0],
    )
    assert 0 < lower <= distance[0, 1] + 1e-3


def test_graded_changes_of_attributes_cost_at_most_a_half() -> None:
    def graph(kernel: int, bias: bool) -> Graph:
        builder = GraphBuilder()
        return builder.output(builder.node("conv", builder.input(), kernel_size=kernel, bias=bias))

    distance = distance_matrix(
        [graph(1, False), graph(3, False), graph(5, False), graph(5, True)],
        graded_costs([graph(k, b) for k in (1, 3, 5) for b in (False, True)]),
    )
    assert distance[0, 1:] == pytest.approx([0.125, 0.25, 0.5])


def test_unknown_labels_and_wrong_costs_are_refused() -> None:
    graphs = transformers(4, (2,), seed=0)
    with pytest.raises(ValueError, match="make the costs from graphs that contain it"):
        edit_distances(graphs, np.array([[0, 1]]), ANY_COSTS)
    with pytest.raises(ValueError, match="the graphs 0 to 3"):
        edit_distances(graphs, np.array([[0, 4]]), transformer_costs(graphs))
    with pytest.raises(ValueError, match="use graded_costs"):
        transformer_costs(random_graphs(1, seed=0))
    with pytest.raises(ValueError, match="never be part of a cheapest edit"):
        EditCosts((Node("a"), Node("b")), (1.0, 1.0), ((0.0, 3.0), (3.0, 0.0)), 0.1)
    with pytest.raises(ValueError, match="the same both ways"):
        EditCosts((Node("a"), Node("b")), (1.0, 1.0), ((0.0, 1.0), (0.5, 0.0)), 0.1)
    assert edit_distances([], np.zeros((0, 2)), ANY_COSTS).shape == (0,)
