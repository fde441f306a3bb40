"""Descriptors computed by hand, and the cells that they give."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.objectives.descriptors import Descriptor, cell_of, check, describe, label
from nas.strategies import MapElites
from spaces import Chooser, Graph, GraphBuilder
from spaces.canonical import canonical_key
from spaces.domains import Answer
from spaces.nasbench201 import space as nasbench201
from spaces.nasbench_graph import space as nasbench_graph
from spaces.operators import sample
from spaces.ops import costs
from tests.contracts.strategy_contract import CELLS


def cell(*ops: str) -> Graph:
    """The cell of NAS-Bench-201 with these operations.

    They are on the edges 0->1, 0->2, 1->2, 0->3, 1->3 and 2->3.
    """
    edges = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    answers: dict[str, Answer] = dict(zip(edges, ops, strict=True))
    returned = nasbench201.run(Chooser(answers))
    assert isinstance(returned, Graph)
    return returned


C3, C1, SKIP, NONE, POOL = "nor_conv_3x3", "nor_conv_1x1", "skip_connect", "none", "avg_pool_3x3"
CHAIN = cell(C3, NONE, C1, NONE, NONE, POOL)
# The convolution on 0->1 leads nowhere.
HALF = cell(C3, SKIP, NONE, NONE, NONE, C1)
# The output does not depend on the input.
DISCONNECTED = cell(C3, NONE, NONE, NONE, NONE, C3)


@pytest.mark.parametrize(
    ("name", "chain", "half", "disconnected"),
    [
        ("depth", 4, 2, 0),
        ("nodes", 3, 1, 0),
        (f"count:{C3}", 1, 0, 0),
        (f"count:{C1}", 1, 1, 0),
        (f"written:{C3}", 1, 1, 2),
        (f"longest:{C3},{C1}", 2, 1, -1),
        (f"longest:{POOL}", 1, 0, -1),
    ],
)
def test_descriptors_by_hand(name: str, chain: int, half: int, disconnected: int) -> None:
    assert describe(nasbench201, CHAIN, name) == chain
    assert describe(nasbench201, HALF, name) == half
    assert describe(nasbench201, DISCONNECTED, name) == disconnected


def test_the_longest_path_is_the_one_with_the_most_of_the_operations() -> None:
    builder = GraphBuilder()
    value = builder.input()
    long = value
    for _ in range(5):
        long = builder.node("relu", long)
    short = builder.node("conv2d", builder.node("conv2d", value))
    graph = builder.output(builder.node("add", long, short))
    assert describe(CELLS, graph, "longest:conv2d") == 2
    assert describe(CELLS, graph, "longest:relu, conv2d") == 5
    assert describe(CELLS, graph, "depth") == 7


def test_parameters_and_multiply_adds_are_those_of_the_network() -> None:
    for graph in (CHAIN, HALF):
        counted = costs(nasbench201.network_graph(graph), nasbench201.shapes.input)
        assert describe(nasbench201, graph, "parameters") == counted.parameters
        assert describe(nasbench201, graph, "multiply_adds") == counted.multiply_adds


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_one_network_lies_in_one_cell(random: Random) -> None:
    descriptors = (
        Descriptor("depth"),
        Descriptor("nodes"),
        Descriptor(f"count:{C3}"),
        Descriptor(f"longest:{C3},{C1}"),
    )
    cells: dict[str, tuple[int, ...]] = {}
    for architecture in (sample(nasbench201, random) for _ in range(40)):
        own = cell_of(nasbench201, architecture, descriptors)
        assert cells.setdefault(canonical_key(nasbench201.graph(architecture)), own) == own


def test_edges_divide_values_into_ranges() -> None:
    descriptor = Descriptor("multiply_adds", (10.0, 20.0))
    assert [label(descriptor, place) for place in range(3)] == ["< 10", "10 to 20", "≥ 20"]
    millions = Descriptor("parameters", (2e5, 1.5e6))
    assert [label(millions, place) for place in range(3)] == ["< 200k", "200k to 1.5M", "≥ 1.5M"]
    assert label(Descriptor("longest:a"), -1) == "−1"
    architecture = sample(nasbench201, Random(0))
    own = describe(nasbench201, nasbench201.graph(architecture), "multiply_adds")
    for edge, place in ((own, 1), (own + 1, 0), (own - 1, 1)):
        divided = Descriptor("multiply_adds", (float(edge),))
        assert cell_of(nasbench201, architecture, (divided,)) == (place,)


@pytest.mark.parametrize(
    ("descriptors", "message"),
    [
        ((Descriptor("latency"),), "no descriptor 'latency'. Known are depth, nodes"),
        ((Descriptor("count:"),), "no descriptor 'count:'"),
        ((Descriptor("count:a,b"),), "no descriptor 'count:a,b'"),
        ((Descriptor("longest:a,"),), "no descriptor 'longest:a,'"),
        ((Descriptor("depth:a"),), "no descriptor 'depth:a'"),
        ((Descriptor("parameters"),), "needs edges"),
        ((Descriptor("depth", (3.0, 3.0)),), "must rise"),
        ((Descriptor("depth"), Descriptor("depth", (2.0,))), "each once; got depth, depth"),
        ((), "one descriptor or more, each once; got none"),
    ],
)
def test_descriptors_that_make_no_sense_are_refused(
    descriptors: tuple[Descriptor, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check(descriptors)
    with pytest.raises(ValueError, match=message):
        MapElites(descriptors=descriptors)


def test_a_space_that_makes_no_networks_has_no_parameters() -> None:
    architecture = sample(nasbench_graph, Random(0))
    with pytest.raises(ValueError, match="cannot be computed in the space 'nasbench_graph'"):
        cell_of(nasbench_graph, architecture, (Descriptor("parameters", (1e6,)),))
