"""The spaces have the published sizes, and their graphs the published nodes and edges."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.check import check
from spaces.flexibert import Design, Layer, describe, flexibert, layers_of
from spaces.flexibert.design import OPERATIONS
from spaces.flexibert.named import FULL, PAPER, SMALL, TINY
from spaces.graph import Edge, Graph
from spaces.load import load_space
from spaces.operators import enumerate_all, fix, sample, sample_graph
from spaces.space import Shapes

NAMES = (
    *("flexibert", "flexibert2", "flexibert_coarse", "flexibert_full"),
    *("flexibert_homogeneous", "flexibert_qnli", "flexibert_small", "flexibert_tiny"),
)
TEXTS = Shapes((12,), (2,), vocabulary=50)


def per_layer(design: Design) -> int:
    widths = len(design.feed_forward)
    stacks = sum(widths if design.homogeneous else widths**count for count in design.stacks)
    return len(design.hidden) * len(design.heads) * len(design.operations) * stacks


def permuted(graph: Graph, random: Random) -> Graph:
    """The same graph with its nodes in another topological order."""
    waiting = [len(set(sources)) for sources in graph.incoming]
    ready, order = [0], list[int]()
    while ready:
        number = ready.pop(random.randrange(len(ready)))
        order.append(number)
        for target in set(graph.outgoing[number]):
            waiting[target] -= 1
            ready += [target] * (waiting[target] == 0)
    place = {number: position for position, number in enumerate(order)}
    edges = [Edge(place[source], place[target], slot) for source, target, slot in graph.edges]
    return Graph(
        tuple(graph.nodes[number] for number in order), tuple(random.sample(edges, len(edges)))
    )


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("flexibert_coarse", 9_312),
        ("flexibert_homogeneous", 84_943_872),
        ("flexibert", 3_317_817_600),
    ],
)
def test_the_sizes_are_the_published_ones(name, count):
    assert size(load_space(name)) == count


@pytest.mark.parametrize(
    ("name", "design"),
    [("flexibert_small", SMALL), ("flexibert_full", FULL), ("flexibert_tiny", TINY)],
)
def test_a_size_is_a_power_of_each_depth(name, design):
    assert size(load_space(name)) == sum(per_layer(design) ** count for count in design.layers)


def test_every_coarse_architecture_has_a_graph_of_its_own():
    space = load_space("flexibert_coarse")
    items = [
        *islice(enumerate_all(space), 96),
        *(sample(space, Random(number)) for number in range(600)),
    ]
    assert len({canonical_key(space.graph(item)) for item in items}) == len(set(items)) > 350


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10**6))
def test_the_number_of_nodes_is_the_papers(name, seed):
    space = load_space(name)
    graph = space.graph(sample(space, Random(seed)))
    layers = layers_of(graph)
    assert len(graph.nodes) == 2 + sum(
        len(layer.operations) + len(layer.feed_forward) + 2 for layer in layers
    )
    inner = range(1, len(graph.nodes) - 1)
    assert all(graph.outgoing[number] and graph.incoming[number] for number in inner)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10**6))
def test_the_order_of_nodes_changes_neither_key_nor_network(name, seed):
    space, random = load_space(name).for_shapes(TEXTS), Random(seed)
    graph = space.graph(sample(space, random))
    other = permuted(graph, random)
    assert canonical_key(other) == canonical_key(graph)
    assert layers_of(other) == layers_of(graph)
    assert space.network_graph(other) == space.network_graph(graph)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_layers_are_read_back(seed, mixed):
    random = Random(seed)
    layers = tuple(
        Layer(
            random.choice((32, 64)),
            tuple(sorted(random.choices(OPERATIONS, k=random.choice((2, 4))))),
            tuple(random.choices((64, 128), k=random.randint(1, 3))),
        )
        for _ in range(random.randint(1, 4))
    )
    assert layers_of(describe(layers, mixed=mixed)) == layers


def test_two_layers_share_their_choices_in_the_coarse_space():
    space = load_space("flexibert_coarse")
    items = [sample(space, Random(number)) for number in range(20)]
    item = next(item for item in items if item.answers["layers"] == 4)
    assert {path.split("/")[0] for path, _ in item.decisions} == {"layers", "layer_0", "layer_2"}
    first, second, third, fourth = layers_of(space.graph(item))
    assert first == second
    assert third == fourth
    assert all(len(set(layer.feed_forward)) == 1 for layer in (first, third))


def test_the_choices_of_a_coarse_architecture_give_the_same_graph_in_the_fine_space():
    coarse, fine = load_space("flexibert_coarse"), load_space("flexibert_homogeneous")
    item = sample(coarse, Random(1))
    answers = {"layers": item.answers["layers"]}
    for path, answer in item.decisions[1:]:
        layer, _, question = path.partition("/")
        first = int(layer.removeprefix("layer_"))
        answers |= {f"layer_{number}/{question}": answer for number in (first, first + 1)}
    assert fine.graph(sample(fix(fine, answers), Random(0))) == coarse.graph(item)


def test_a_design_of_ones_own_is_a_space():
    design = Design(
        layers=(1, 3),
        hidden=(16,),
        heads=(2,),
        stacks=(1,),
        feed_forward=(24,),
        operations=("c_7", "sa_sdp"),
        mixed=True,
    )
    space = flexibert("mine", design)
    assert size(space) == 4 + 4**3
    report = check(space.for_shapes(TEXTS), count=5)
    assert (report.problems, report.size) == ((), 68)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"layers": ()}, "layers are a tuple of different whole numbers above 0"),
        ({"hidden": (64, 64)}, "hidden are a tuple of different"),
        ({"heads": [2]}, "heads are a tuple"),
        ({"operations": ("sa_sdp", "sa_mlp")}, "operations are different ones of sa_sdp"),
        ({"operations": ("c_4",)}, "an odd kernel size"),
        ({"operations": ()}, "operations are different"),
        ({"layers": (3,), "stack": 2}, "2 if all numbers of layers are even"),
        ({"stack": 3}, "stack is 1, or 2"),
        ({"heads": (256,)}, "256 heads do not fit into a width of 128"),
    ],
)
def test_an_invalid_design_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(PAPER, **changed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shapes", [TEXTS, Shapes((12,), (12, 50), vocabulary=50)], ids=["classes", "tokens"]
)
def test_the_check_finds_no_problems_in_the_named_spaces(name, shapes):
    space = load_space(name).for_shapes(shapes)
    if name in ("flexibert2", "flexibert_full"):
        # Deep and wide networks take seconds each, and consist of the same layers.
        space = fix(space, {"layers": 2, "layer_0/hidden": 128, "layer_1/hidden": 128})
    report = check(space, count=3, size_seconds=0.1)
    assert report.problems == ()
    assert report.parameters is not None


def test_the_default_shapes_are_roberta_s():
    space = load_space("flexibert_tiny")
    assert space.shapes == Shapes((512,), (2,), vocabulary=50_265)
    assert space.network_graph(sample_graph(space, Random(0))[1])


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        (
            Shapes((3, 8, 8), (2,), vocabulary=9),
            r"take tokens \(length,\), got the shape \(3, 8, 8\)",
        ),
        (
            Shapes((8,), (2,)),
            r"the size of the vocabulary is missing: give Shapes\(..., vocabulary=...\)",
        ),
        (
            Shapes((8,), (7, 9), vocabulary=9),
            r"for every token \(8, vocabulary\); got the shape \(7, 9\)",
        ),
    ],
)
def test_data_that_are_no_texts_are_refused(shapes, sentence):
    space = load_space("flexibert_tiny").for_shapes(shapes)
    with pytest.raises(ValueError, match=sentence):
        space.build(sample(space, Random(0)))
