"""A setting is a decision and a node of the graph, but no part of the network that is built."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spaces import Architecture, Chooser, SearchSpace, Shapes
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.check import check
from spaces.load import load_space
from spaces.operators import between, enumerate_all, fix, mutate, only, sample
from spaces.setting import with_setting, without_setting

TEXTS = Shapes((12,), (2,), vocabulary=50)
TINY = load_space("flexibert_tiny").for_shapes(TEXTS)
ON_DEVICES = with_setting(TINY, "device", ("phone", "server"), name="tiny_on_devices")


def perceptron(choose: Chooser, shapes: Shapes) -> nn.Module:
    width = choose.integer("width", 2, 5)
    return nn.Sequential(
        nn.Linear(shapes.input[0], width), nn.ReLU(), nn.Linear(width, shapes.output[0])
    )


PERCEPTRONS = SearchSpace("perceptrons", perceptron, Shapes((4,), (3,)))


def alone(architecture: Architecture, space: SearchSpace) -> Architecture:
    return Architecture(space.name, architecture.decisions[1:])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_the_setting_comes_first_and_the_network_is_the_same(seed: int) -> None:
    item = sample(ON_DEVICES, Random(seed))
    device = item.decisions[0][1]
    graph, plain = ON_DEVICES.graph(item), TINY.graph(alone(item, TINY))
    assert item.decisions[0] == ("device", device)
    assert graph.nodes[1].op == f"device {device}"
    assert (graph.outgoing[0], graph.incoming[1]) == ((1,), (0,))
    assert without_setting(graph) == plain
    assert ON_DEVICES.network_graph(graph) == TINY.network_graph(plain)


@pytest.mark.parametrize("name", ["flexibert_tiny", "nasbench201", "convnet"])
def test_two_settings_have_two_keys_and_one_network(name: str) -> None:
    space = load_space(name)
    on_devices = with_setting(space, "device", ("phone", "server"), name="there")
    first = sample(fix(on_devices, {"device": "phone"}), Random(5))
    second = Architecture("there", (("device", "server"), *first.decisions[1:]))
    keys = {canonical_key(on_devices.graph(item)) for item in (first, second)}
    assert len(keys | {canonical_key(space.graph(alone(first, space)))}) == 3
    networks = {on_devices.network_graph(on_devices.graph(item)) for item in (first, second)}
    assert networks == {space.network_graph(space.graph(alone(first, space)))}


def test_numbers_are_an_attribute_and_modules_are_traced() -> None:
    space = with_setting(PERCEPTRONS, "bits", (4, 8), name="quantized").for_shapes(
        Shapes((6,), (2,))
    )
    item = sample(space, Random(1))
    graph = space.graph(item)
    assert str(graph.nodes[1]) == f"bits(answer={item.answers['bits']})"
    assert space.build(item)(torch.zeros(3, 6)).shape == (3, 2)
    assert size(space) == 2 * 4


def test_the_spaces_own_restrictions_hold_under_a_setting() -> None:
    held = with_setting(fix(PERCEPTRONS, {"width": 3}), "bits", (4, 8), name="quantized")
    assert [item.decisions for item in enumerate_all(held)] == [
        (("bits", bits), ("width", 3)) for bits in (4, 8)
    ]
    narrow = only(
        PERCEPTRONS, [sample(fix(PERCEPTRONS, {"width": width}), Random(0)) for width in (2, 5)]
    )
    free = with_setting(narrow, "bits", (4, 8), name="quantized")
    assert size(free) == 4
    corner = [
        Architecture("quantized", (("bits", bits), ("width", width)))
        for bits, width in ((4, 2), (8, 2))
    ]
    assert set(enumerate_all(between(free, *corner))) == set(corner)
    assert mutate(fix(free, {"bits": 4}), corner[0], Random(0)).answers == {"bits": 4, "width": 5}


@pytest.mark.parametrize(
    "space",
    [
        ON_DEVICES,
        with_setting(load_space("nasbench_graph"), "device", ("phone", "server"), name="described"),
    ],
)
def test_a_space_with_a_setting_passes_the_check(space: SearchSpace) -> None:
    report = check(space, count=4, size_seconds=0.1)
    assert report.problems == ()
    assert report.builds == space.builds


@pytest.mark.parametrize("options", [(), ("a", "a"), (1, True)])
def test_options_have_to_differ(options: tuple) -> None:
    with pytest.raises(ValueError, match="the setting 'device' needs different options"):
        with_setting(TINY, "device", options, name="x")
