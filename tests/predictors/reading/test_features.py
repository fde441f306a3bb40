"""Counts and paths of graphs compared with slow, direct counting."""

import itertools
import json
import math
from dataclasses import asdict

import networkx
import numpy as np
import pytest

from predictors.reading.batch import flatten
from predictors.reading.features import encoding_from_json, learn_encoding
from predictors.reading.paths import reached, runs_of_three, sweep
from spaces import GraphBuilder
from tests.contracts.predictor_contract import random_graphs, reordered

GRAPHS = random_graphs(40, seed=3)


def paths(graph):
    """All paths from the input to each node; parallel edges give separate paths."""
    found = {0: [[0]]}
    for number in range(1, len(graph.nodes)):
        found[number] = [
            [*path, number] for source in graph.incoming[number] for path in found[source]
        ]
    return found


def test_sweeps_count_paths_as_enumeration_does():
    flat = flatten(GRAPHS)
    ops = sorted({kind.op for kind in flat.kinds})
    op_n = np.array([ops.index(kind.op) for kind in flat.kinds])[flat.kind_N]
    sweeps = sweep(flat, op_n, len(ops))
    for graph, first in zip(GRAPHS, flat.first_M.tolist(), strict=True):
        for number, ways in paths(graph).items():
            place = first + number
            assert round(math.exp(sweeps.log_in_N[place])) == len(ways)
            assert sweeps.depth_N[place] == max((len(way) - 1 for way in ways), default=-1)
            assert sweeps.least_N[place] == min((len(way) - 1 for way in ways), default=math.inf)
            for column, op in enumerate(ops):
                most = max(
                    (sum(graph.nodes[step].op == op for step in way) for way in ways), default=-1
                )
                assert sweeps.most_NO[place, column] == most


def test_height_is_the_longest_path_to_the_output():
    flat = flatten(GRAPHS)
    sweeps = sweep(flat, np.zeros(flat.num_nodes, dtype=np.int64), 1)
    for graph, first in zip(GRAPHS, flat.first_M.tolist(), strict=True):
        simple = networkx.DiGraph(graph.to_networkx())
        for number in range(len(graph.nodes)):
            last = len(graph.nodes) - 1
            longest = -1
            if networkx.has_path(simple, number, last):
                ways = networkx.all_simple_paths(simple, number, last)
                longest = max((len(way) - 1 for way in ways), default=0)
            assert sweeps.height_N[first + number] == longest


def test_counts_are_the_same_for_isomorphic_graphs():
    encoding = learn_encoding(GRAPHS)
    again = [reordered(graph, seed=number) for number, graph in enumerate(GRAPHS)]
    np.testing.assert_allclose(
        encoding.encode(GRAPHS).counts_MC, encoding.encode(again).counts_MC, atol=1e-5
    )


def test_a_doubled_edge_and_its_partner_differ():
    def squared(*inputs):
        builder = GraphBuilder()
        values = [builder.input()]
        values += [builder.node("conv", values[0]), builder.node("pool", values[0])]
        return builder.output(builder.node("mul", *(values[number] for number in inputs)))

    graphs = [squared(1, 2), squared(1, 1, 2), squared(1, 2, 2)]
    counts = learn_encoding(graphs).encode(graphs).counts_MC
    assert all(
        np.abs(first - second).max() > 0.1 for first, second in itertools.combinations(counts, 2)
    )


def test_taken_and_chunked_graphs_equal_graphs_encoded_alone():
    encoding = learn_encoding(GRAPHS)
    encoded = encoding.encode(GRAPHS)
    rows = np.array([5, 3, 3, 39])
    taken = [(encoded.take(rows), [GRAPHS[row] for row in rows])]
    chunked = [
        (chunk, GRAPHS[7 * place : 7 * place + 7]) for place, chunk in enumerate(encoded.chunks(7))
    ]
    for part, expected in taken + chunked:
        alone = encoding.encode(expected)
        assert len(part) == len(expected)
        for name in ("graph_N", "first_M", "last_M", "source_E", "target_E", "slot_E"):
            np.testing.assert_array_equal(
                getattr(part.flat, name), getattr(alone.flat, name), err_msg=name
            )
        np.testing.assert_array_equal(part.node_NA, alone.node_NA)
        np.testing.assert_array_equal(part.counts_MC, alone.counts_MC)


def test_attributes_become_columns():
    builder = GraphBuilder()
    value = builder.input((3, 8, 8))
    value = builder.node("conv", value, channels=15, mode="same", flag=True)
    first = builder.output(builder.node("conv", value, channels=63, mode="valid", flag=None))
    columns = learn_encoding([first]).nodes
    assert columns.ops == ("<unknown>", "conv", "input", "output")
    assert columns.numbers == ("channels", "shape.0") or columns.numbers == ("channels",)
    assert set(columns.categories) == {
        ("mode", '"same"'),
        ("mode", '"valid"'),
        ("flag", "true"),
        ("flag", "null"),
    }
    rows = columns.attributes(first.nodes[1:3])
    np.testing.assert_allclose(rows[:, 0], [-1, 1], atol=1e-5)
    np.testing.assert_array_equal(np.sort(rows[:, 1:], axis=1), [[0, 0, 1, 1]] * 2)
    assert columns.op_numbers(first.nodes).tolist() == [2, 1, 1, 3]


def test_an_encoding_survives_json():
    encoding = learn_encoding(GRAPHS)
    assert encoding_from_json(json.loads(json.dumps(asdict(encoding)))) == encoding


def test_a_damaged_encoding_is_refused():
    loaded = json.loads(json.dumps(asdict(learn_encoding(GRAPHS))))
    with pytest.raises(ValueError, match="different lengths"):
        encoding_from_json({**loaded, "mean": loaded["mean"][1:]})
    with pytest.raises(ValueError, match="does not have"):
        encoding_from_json({**loaded, "pairs": [[0, 99]]})


def test_reached_pairs_are_the_transitive_closure():
    graphs = random_graphs(25, seed=6)
    flat = flatten(graphs)
    source, target = reached(flat)
    found = {(int(a), int(b)) for a, b in zip(source, target, strict=True)}
    whole = networkx.DiGraph()
    whole.add_edges_from(zip(flat.source_E.tolist(), flat.target_E.tolist(), strict=True))
    assert found == set(networkx.transitive_closure(whole).edges)
    # A graph with more nodes than a word has bits.
    builder = GraphBuilder()
    value = builder.input()
    for _ in range(150):
        value = builder.node("relu", value)
    source, target = reached(flatten([builder.output(value)]))
    assert sorted(zip(source.tolist(), target.tolist(), strict=True)) == [
        (a, b) for a in range(152) for b in range(a + 1, 152)
    ]


def test_runs_of_three_are_the_walks_of_two_edges():
    graphs = random_graphs(25, seed=7)
    flat = flatten(graphs)
    op_N = np.arange(flat.num_nodes) % 5
    run, graph = runs_of_three(flat, op_N, 5)
    edges = list(zip(flat.source_E.tolist(), flat.target_E.tolist(), strict=True))
    walks = [
        ((op_N[a] * 5 + op_N[b]) * 5 + op_N[d], flat.graph_N[a])
        for a, b in edges
        for c, d in edges
        if b == c
    ]
    assert sorted(zip(run.tolist(), graph.tolist(), strict=True)) == sorted(walks)
