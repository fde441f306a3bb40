"""Properties of weight transfer between random architectures of built-in spaces."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.transfer import RULES, counterparts
from nas.transfer.copying import correspondence, inherited, overlap
from spaces import Architecture, Graph, SearchSpace, Shapes
from spaces.build import build
from spaces.load import load_space
from spaces.operators import mutate, sample

TEXTS, IMAGES = Shapes((6,), (2,), vocabulary=11), Shapes((1, 8, 8), (3,))
ANY = {
    "flexibert_tiny": TEXTS,
    "convnet": IMAGES,
    "nasbench201": Shapes((3, 8, 8), (3,)),
    "flexibert_full": TEXTS,
}


def drawn(name: str, seed: int) -> tuple[SearchSpace, Architecture, Architecture]:
    space, random = load_space(name).for_shapes(ANY[name]), Random(seed)
    donor = sample(space, random)
    return space, donor, mutate(space, donor, random)


def graph_of(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.network_graph(space.graph(architecture))


@given(st.sampled_from(sorted(ANY)), st.integers(0, 1000))
@settings(max_examples=15)
def test_overlaps_are_shares_and_that_with_itself_is_1(name: str, seed: int) -> None:
    space, donor, child = drawn(name, seed)
    graphs, shape = (graph_of(space, donor), graph_of(space, child)), space.shapes.input
    found = counterparts(*graphs)
    assert all(
        graphs[0].nodes[other].op == graphs[1].nodes[number].op for number, other in found.items()
    )
    assert len(set(found.values())) == len(found)
    for rule in RULES:
        assert overlap(graphs[0], graphs[0], rule, shape) == 1.0
        assert 0 <= overlap(*graphs, "exact", shape) <= overlap(*graphs, rule, shape) <= 1


@given(st.sampled_from(["flexibert_tiny", "convnet"]), st.integers(0, 1000), st.sampled_from(RULES))
@settings(max_examples=8)
def test_the_overlap_is_the_copied_share_and_the_donor_is_unchanged(
    name: str, seed: int, rule
) -> None:
    space, donor, child = drawn(name, seed)
    graphs, shape = (graph_of(space, donor), graph_of(space, child)), space.shapes.input
    module = build(graphs[1], shape)
    state = {
        key: torch.full_like(tensor, 7.0)
        for key, tensor in build(graphs[0], shape).state_dict().items()
    }
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    after = inherited(module.state_dict(), state, correspondence(*graphs, shape), rule, seed=seed)
    assert all((tensor == 7).all() for tensor in state.values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    shares = [
        float((after[key] != before[key]).float().mean()) for key, _ in module.named_parameters()
    ]
    assert sum(shares) / len(shares) == pytest.approx(overlap(*graphs, rule, shape), abs=1e-6)
    module.load_state_dict(after)


@given(st.sampled_from(["flexibert_tiny", "convnet"]), st.integers(0, 1000), st.sampled_from(RULES))
@settings(max_examples=6)
@torch.no_grad()
def test_a_copy_of_the_same_architecture_computes_the_same(name: str, seed: int, rule) -> None:
    space, architecture, _ = drawn(name, seed)
    graph, shape = graph_of(space, architecture), space.shapes.input
    torch.manual_seed(seed)
    first, second = build(graph, shape).eval(), build(graph, shape).eval()
    texts = name == "flexibert_tiny"
    inputs = torch.randint(0, 11, (3, *shape)) if texts else torch.rand(3, *shape)
    tensors = correspondence(graph, graph, shape)
    state = inherited(second.state_dict(), first.state_dict(), tensors, rule, seed=0)
    second.load_state_dict(state)
    assert torch.equal(first(inputs), second(inputs))
