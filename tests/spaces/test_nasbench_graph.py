"""The space is the published one: its architectures are the authors' classes."""

from __future__ import annotations

from random import Random

import numpy
import pytest

from nas.evaluators.evaluator import Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key, is_disconnected
from spaces.choices import Architecture
from spaces.graph import Edge
from spaces.nasbench_graph import PATHS, rows, space
from spaces.operators import enumerate_all, sample


def architecture(wiring: str, *operations: str) -> Architecture:
    return Architecture(space.name, (("wiring", wiring), *zip(PATHS, operations, strict=True)))


def test_the_classes_are_the_authors(shared_data):
    columns = numpy.load(shared_data("nasbench_graph.npz"), allow_pickle=False)
    items = rows(columns)
    assert len(set(items)) == 26206
    graphs = [space.graph(item) for item in enumerate_all(space)]
    assert len(graphs) == 59040
    assert not any(map(is_disconnected, graphs))
    classes = {canonical_key(graph) for graph in graphs}
    assert len(classes) == 26206
    assert {canonical_key(space.graph(item)) for item in items} == classes


def test_results_that_no_operation_reads_are_concatenated_except_the_input():
    graph = space.graph(architecture("0011", "gcn", "skip_connect", "skip_connect", "gat"))
    operations = [node.op for node in graph.nodes[1:-1]]
    assert operations == ["gcn", "skip_connect", "skip_connect", "gat", "concat"]
    assert graph.incoming[5] == (3, 4)
    assert Edge(0, 2) in graph.edges


def test_parameters_grow_with_each_concatenated_result(shared_data):
    """In the authors' counts, each further result that is concatenated adds 128 by 3 weights.

    The counts are in millions, for PubMed with 128 units and three classes.
    """
    columns = numpy.load(shared_data("nasbench_graph.npz"), allow_pickle=False)
    counts = dict(zip(columns["valid_hash"].tolist(), columns["pubmed_para"].tolist(), strict=True))
    ends = {
        wiring: len(space.graph(architecture(wiring, *["gcn"] * 4)).incoming[5])
        for wiring in ("0111", "0112", "0122", "0123")
    }
    assert ends == {"0111": 3, "0112": 2, "0122": 2, "0123": 1}
    base = counts[81111]
    growth = [round(1e6 * (counts[key] - base)) for key in (51111, 61111, 71111)]
    assert growth == [2 * 128 * 3, 128 * 3, 128 * 3]


def test_any_architecture_is_looked_up(shared_data):
    table = table_evaluator(
        space, shared_data("nasbench_graph.npz"), score="cora_valid_perf", test="cora_perf"
    )
    random = Random(0)
    assert all(
        isinstance(table.evaluate(sample(space, random), seed=0), Observation) for _ in range(100)
    )
    first = architecture("0001", "gin", "gat", "skip_connect", "fc")
    isomorphic = architecture("0001", "gin", "skip_connect", "gat", "fc")
    assert table.evaluate(first, seed=0) == table.evaluate(isomorphic, seed=0)


def test_no_network_is_made():
    with pytest.raises(
        ValueError,
        match=(
            "'nasbench_graph' describes its architectures and makes no networks of them: what "
            "concat, gat, gcn"
        ),
    ):
        space.build(architecture("0123", "gat", "gcn", "gcn", "skip_connect"))


@pytest.mark.parametrize("key", [8888, 91111, 12349, -1, 123456])
def test_keys_of_no_architecture_are_refused(key):
    with pytest.raises(ValueError, match="row 1 of `valid_hash` should be five digits"):
        rows({"valid_hash": numpy.array([1111, key])})
