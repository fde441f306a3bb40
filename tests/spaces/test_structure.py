"""Structures of values, and the shapes of several inputs and outputs."""

from __future__ import annotations

import dataclasses
import pickle
from collections import OrderedDict, namedtuple
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spaces import Architecture, Chooser, SearchSpace, Shapes
from spaces.canonical import canonical_key
from spaces.check import check, report_text
from spaces.load import load_space
from spaces.operators import sample
from spaces.ops import costs, infer_shapes
from spaces.structure import Named, by_name, leaves, mapped, mismatch, plain
from spaces.trace import describe

Pair = namedtuple("Pair", ["first", "second"])
BOTH = {"image": (3, 8, 8), "table": (6,)}


@dataclasses.dataclass(frozen=True)
class Heads:
    main: Any
    others: Any = None


def test_a_function_is_applied_inside_of_every_kind_of_structure() -> None:
    structure = {"a": Pair(1, [2, (3,)]), "b": Heads(4, OrderedDict(c=5))}
    doubled = mapped(lambda value: 2 * value, structure)
    assert doubled == {"a": Pair(2, [4, (6,)]), "b": Heads(8, OrderedDict(c=10))}
    assert type(doubled["a"]) is Pair
    assert leaves(structure) == [1, 2, 3, 4, 5]
    assert plain(structure) == {"a": (1, [2, (3,)]), "b": {"main": 4, "others": {"c": 5}}}
    names = by_name(structure, "outputs")
    assert list(names) == ["a_0", "a_1_0", "a_1_1_0", "b_main", "b_others_c"]


def test_other_structures_are_taken_along_and_must_be_alike() -> None:
    assert mapped(pow, (2, 3), (3, 2)) == (8, 9)
    with pytest.raises(ValueError, match="has not the structure of"):
        mapped(pow, {"a": 2}, {"b": 2})


def test_named_values_are_one_value_whatever_the_order() -> None:
    one, other = Named({"b": 1, "a": 2}), Named({"a": 2, "b": 1})
    assert one == other == {"a": 2, "b": 1}
    assert hash(one) == hash(other)
    assert repr(one) == "{'a': 2, 'b': 1}"
    assert pickle.loads(pickle.dumps(one)) == one


def test_shapes_of_several_inputs_are_frozen_and_of_one_as_before() -> None:
    assert repr(Shapes((3, 4), (2,))) == "Shapes(input=(3, 4), output=(2,), vocabulary=None)"
    shapes = Shapes(BOTH, (2,), {"table": None, "image": 5})
    assert hash(shapes) == hash(Shapes(dict(reversed(BOTH.items())), (2,), shapes.vocabulary))
    assert repr(shapes.input) == "{'image': (3, 8, 8), 'table': (6,)}"
    assert hash(Shapes([3, 4], [2])) == hash(Shapes((3, 4), (2,)))
    assert shapes.several
    assert not Shapes((), (2,)).several
    assert Shapes(((4,), ()), (2,)).vocabularies == (None, None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Shapes(("3", 4), (2,)), "is a shape such as"),  # type: ignore[arg-type]
        (lambda: Shapes({"a": {"b": (3,)}}, (2,)), "is a shape such as"),
        (lambda: Shapes({"not a name": (3,)}, (2,)), "arguments of the network's `forward`"),
        (lambda: Shapes({1: (3,)}, (2,)), "arguments of the network's `forward`"),
        (lambda: Shapes(BOTH, (2,), 7), "for each of them"),
        (lambda: Shapes(BOTH, (2,), {"image": 7}), "for each of them"),
    ],
)
def test_wrong_shapes_are_refused(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_outputs_are_compared_with_the_shapes_that_say_which() -> None:
    tensor = torch.zeros(4, 10)
    assert mismatch(tensor, (10,)) == ""
    assert mismatch(tensor, (9,)) == "outputs of shape (10,)"
    assert mismatch({"main": tensor}, (9,)) == "", "one shape does not say which of several it is"
    assert mismatch((tensor, tensor), ((10,), (9,))) == "outputs_1 of shape (10,)"
    assert mismatch({"main": tensor}, {"main": (10,), "other": (2,)}) == "the outputs main"


class Two(nn.Module):
    def __init__(self, width: int = 4, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(3, width, 3), nn.Linear(6, width)
        self.head, self.auxiliary = nn.Linear(2 * width, 5), nn.Linear(width, 5)
        self.has_auxiliary = auxiliary

    def forward(self, image: Tensor, table: Tensor) -> Any:
        seen, read = self.conv(image).relu().mean((2, 3)), self.dense(table)
        outputs = self.head(torch.cat([seen, read], 1))
        if self.has_auxiliary and self.training:
            return Heads(outputs, {"table": self.auxiliary(read)})
        return outputs


def space_of(shapes: Shapes, *, auxiliary: bool = False) -> SearchSpace:
    def define(choose: Chooser) -> nn.Module:
        return Two(choose.one_of("width", [4, 8]), auxiliary=auxiliary)

    return SearchSpace("two", define, shapes)


@pytest.mark.parametrize("inputs", [BOTH, tuple(BOTH.values())])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_network_of_two_inputs_is_described_with_exact_costs(inputs, auxiliary: bool) -> None:
    graph = describe(Two(auxiliary=auxiliary), inputs)
    counted = costs(graph, inputs)
    used = auxiliary * 4 * 5
    assert counted.parameters == sum(item.numel() for item in Two().parameters())
    assert counted.multiply_adds == 6 * 6 * 4 * 3 * 9 + 6 * 4 + 8 * 5 + used
    assert graph.nodes[0].get("shape") == (3 * 8 * 8 + 6,)
    assert [node.op for node in graph.nodes].count("observed:input") == 2
    assert infer_shapes(graph, inputs)[-1] == ((10,) if auxiliary else (5,))


def test_which_input_goes_where_tells_networks_apart() -> None:
    class Product(nn.Module):
        def __init__(self, *, swapped: bool) -> None:
            super().__init__()
            self.layer, self.swapped = nn.Linear(4, 4), swapped

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.layer(b) * a if self.swapped else self.layer(a) * b

    shapes = {"a": (4,), "b": (4,)}
    keys = {
        canonical_key(describe(Product(swapped=swapped), shapes))
        for swapped in (False, True, False)
    }
    assert len(keys) == 2


def test_tokens_are_the_input_that_has_a_vocabulary() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.numbers = nn.Embedding(9, 4), nn.Linear(3, 4)

        def forward(self, text: Tensor, numbers: Tensor) -> Tensor:
            return self.words(text).mean(1) + self.numbers(numbers)

    shapes = Shapes({"text": (7,), "numbers": (3,)}, (4,), {"text": 9, "numbers": None})
    space = SearchSpace("reader", lambda choose: Reader(), shapes)
    report = check(space, 1)
    assert report.problems == ()
    assert "text 7 of 9 tokens" in report_text(report)
    assert report.to_dict()["shapes"]["vocabulary"] == {"numbers": None, "text": 9}


@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_space_of_two_inputs_is_checked(auxiliary: bool) -> None:
    assert check(space_of(Shapes(BOTH, (5,)), auxiliary=auxiliary), 3).problems == ()
    (problem,) = check(space_of(Shapes(BOTH, (4,)), auxiliary=auxiliary), 2).problems
    assert "(5,)" in problem
    (problem,) = check(space_of(Shapes(BOTH, {"a": (5,), "b": (5,)})), 2).problems
    assert "in evaluation the module gives the outputs outputs" in problem


@pytest.mark.parametrize("name", ["nasbench201", "convnet", "nasbench101", "nasbench_macro"])
@pytest.mark.parametrize("inputs", [BOTH, ((3, 8, 8),) * 3])
def test_a_space_of_graphs_refuses_several_inputs(name: str, inputs) -> None:
    known = load_space(name)
    item = sample(known, Random(0))
    with pytest.raises(ValueError, match=r"and a graph has one|convnet takes images"):
        known.for_shapes(Shapes(inputs, (10,))).build(item)


def test_a_program_that_ignores_the_shapes_is_refused_all_the_same() -> None:
    from spaces import GraphBuilder

    def define(choose: Chooser):
        builder = GraphBuilder()
        return builder.output(builder.node("relu", builder.input()))

    space = SearchSpace("ignoring", define, Shapes(BOTH, (5,)))
    with pytest.raises(ValueError, match="let the program of the space 'ignoring' return"):
        space.graph(Architecture("ignoring", ()))
