"""Spaces between architectures, or of given ones, compared with a direct statement of the rule."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace
from spaces.cardinality import size
from spaces.enumeration import every_one
from spaces.load import load_space
from spaces.operators import (
    between,
    between_any,
    crossover,
    domains,
    enumerate_all,
    fix,
    mutate,
    neighbours,
    only,
    sample,
)


def chain(*ops: str) -> Graph:
    builder = GraphBuilder()
    value = builder.input()
    for op in ops:
        value = builder.node(op, value)
    return builder.output(value)


def nested(choose: Chooser) -> Graph:
    """A question that only some operations are asked, with options that depend on the operation."""
    ops = []
    for number in range(choose.integer("depth", 1, 3)):
        with choose.scope(f"layer{number}"):
            op = choose.one_of("op", ["conv", "pool", "none"])
            if op != "none":
                op += str(choose.one_of("kernel", [1, 3, 5] if op == "conv" else [5, 7]))
            ops.append(op)
    return chain(*ops)


def mixed(choose: Chooser) -> Graph:
    order = choose.permutation("order", ["a", "b", "c"])
    kept = choose.subset("kept", ["x", "y", "z"], minimum=1)
    rate = choose.real("rate", 1e-4, 1e-1, log=True)
    width = choose.integer("width", 1, 64)
    skip = choose.one_of("skip", [False, True])
    if width > 32 and "z" in kept:
        choose.reject("too wide for z")
    return chain(*order, *kept, f"{rate} {width} {skip}")


NESTED, MIXED = SearchSpace("nested", nested), SearchSpace("mixed", mixed)
SEEDS = st.integers(0, 10**6)


def lies(space: SearchSpace, item: Architecture, parents: tuple[Architecture, ...]) -> bool:
    """Whether the item lies between the parents: the rule, stated by each question's domain."""
    for path, domain in domains(space, item).items():
        known = [
            parent.answers[path]
            for parent in parents
            if path in parent.answers and domain.accepts(parent.answers[path])
        ]
        if known and item.answers[path] not in known:
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_interpolants_are_those_that_the_rule_names(seed: int) -> None:
    first, second, third = (sample(NESTED, Random(seed + number)) for number in range(3))
    everything = list(enumerate_all(NESTED))
    one = between(NESTED, first, second)
    found = list(enumerate_all(one))
    assert found == [item for item in everything if lies(NESTED, item, (first, second))]
    assert {first, second} <= set(found)
    assert size(one) == len(found)
    pairs = [(first, second), (third, second)]
    several = between_any(NESTED, pairs)
    found = list(enumerate_all(several))
    assert found == [item for item in everything if any(lies(NESTED, item, pair) for pair in pairs)]
    assert size(several) == len(found)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.booleans())
def test_every_operator_stays_between(seed: int, is_mixed: bool) -> None:
    whole, random = (MIXED if is_mixed else NESTED), Random(seed)
    first, second, third = (sample(whole, random) for _ in range(3))
    pairs = [(first, second), (first, third)]
    space = between_any(whole, pairs)
    mother, father = sample(space, random), sample(space, random)
    found = [
        mother,
        father,
        crossover(space, mother, father, random),
        *neighbours(space, mother, random),
    ]
    if any(domain.size != 1 for domain in domains(space, mother).values()) and size(space) != 1:
        found.append(mutate(space, mother, random))
    for item in found:
        assert any(lies(whole, item, pair) for pair in pairs)
        assert space.graph(item) == whole.graph(item)


def test_numbers_sets_and_orders_are_those_of_the_parents() -> None:
    first, second = (sample(fix(MIXED, {"width": width}), Random(width)) for width in (7, 20))
    space = between(MIXED, first, second)
    choices = [
        dict.fromkeys((first.answers[path], second.answers[path])) for path, _ in first.decisions
    ]
    expected = {tuple(zip(first.answers, answers, strict=True)) for answers in product(*choices)}
    assert {item.decisions for item in enumerate_all(space)} == expected
    assert size(space) == len(expected) >= 16


def test_a_longer_parents_rest_follows_unchanged() -> None:
    """FlexiBERTs of two and four layers: a child of four layers ends as the longer parent does."""
    space = load_space("flexibert_homogeneous")
    short, long = (sample(fix(space, {"layers": layers}), Random(layers)) for layers in (2, 4))
    whole = between(space, short, long)
    rest = {
        path: answer for path, answer in long.decisions if path.startswith(("layer_2/", "layer_3/"))
    }
    count = 1
    for path in short.answers:
        if path != "layers":
            count *= len({short.answers[path], long.answers[path]})
    found = list(enumerate_all(whole))
    assert len(found) == size(whole) == 2 * count > 2
    assert all(
        rest.items() <= item.answers.items() for item in found if item.answers["layers"] == 4
    )
    assert size(fix(whole, {"layers": 4})) == count


def test_a_question_that_neither_parent_was_asked_is_open() -> None:
    def define(choose: Chooser) -> Graph:
        left, right = choose.one_of("left", [False, True]), choose.one_of("right", [False, True])
        return chain(choose.one_of("both", ["a", "b", "c"]) if left and right else "no")

    space = SearchSpace("corners", define)
    corners = [
        Architecture("corners", (("left", left), ("right", not left))) for left in (False, True)
    ]
    assert size(between(space, *corners)) == 3 + 3


def test_a_space_of_few_listed_architectures_is_found_to_be_small() -> None:
    """The product of the sizes of the questions is large, although the space is small.

    Every question may offer several answers.
    """

    def define(choose: Chooser) -> Graph:
        return chain(*(choose.one_of(f"{number}", ["0", "1"]) for number in range(12)))

    whole = SearchSpace("bits", define)
    listed = [
        architecture
        for architecture in enumerate_all(whole)
        if sum(answer == "1" for _, answer in architecture.decisions) < 2
    ]
    assert len(listed) == 13
    assert set(every_one(only(whole, listed), 13) or ()) == set(listed)
    assert every_one(only(whole, listed), 12) is None
    assert every_one(whole, 100) is None


@given(st.sets(SEEDS, min_size=1, max_size=9))
def test_only_listed_architectures_are_drawn(seeds: set[int]) -> None:
    listed = {sample(NESTED, Random(seed)) for seed in seeds}
    space = only(NESTED, listed)
    assert set(enumerate_all(space)) == listed
    assert {sample(space, Random(seed)) for seed in range(200)} <= listed
    assert size(space) == len(listed)
    outside = next((item for item in enumerate_all(NESTED) if item not in listed), None)
    assert outside is not None
    with pytest.raises(ValueError, match="cannot be answered by"):
        space.graph(outside)
    assert set(enumerate_all(only(space, [next(iter(listed))]))) == {next(iter(listed))}


def test_each_listed_architecture_is_drawn_equally_often() -> None:
    """One of the ten has a depth of its own.

    If each question were drawn uniformly, half of the draws would be this one.
    """
    deep = [
        sample(fix(NESTED, {"depth": 3, "layer0/op": "conv"}), Random(seed)) for seed in range(40)
    ]
    listed = list(dict.fromkeys([sample(fix(NESTED, {"depth": 1}), Random(0)), *deep]))[:10]
    space = only(NESTED, listed)
    random = Random(1)
    counts = Counter(sample(space, random) for _ in range(5000))
    assert set(counts) == set(listed)
    # 500 are expected of each, with a standard deviation of 21.
    assert max(abs(count - 500) for count in counts.values()) < 90


def test_unions_that_exclude_each_other_leave_nothing() -> None:
    items = list(enumerate_all(fix(NESTED, {"depth": 1})))
    message = (
        r"rejected 1000 architectures in a row: the regions .* have no answer to "
        "'layer0/op' in common"
    )
    with pytest.raises(ValueError, match=message):
        sample(only(only(NESTED, items[:1]), items[-1:]), Random(0))


def test_each_of_hundreds_of_listed_architectures_is_found() -> None:
    whole = load_space("flexibert2")
    listed = [sample(whole, Random(number)) for number in range(300)]
    space = only(whole, listed)
    assert set(enumerate_all(space)) == set(listed)
    parent = listed[0]
    assert mutate(space, parent, Random(0)) in set(listed) - {parent}


def test_mistakes_are_sentences() -> None:
    item = sample(NESTED, Random(0))
    with pytest.raises(ValueError, match="belongs to the space 'nested', this space is 'mixed'"):
        between(MIXED, item, item)
    with pytest.raises(ValueError, match="without any region has no architecture"):
        between_any(NESTED, [])
    first, second = (sample(fix(NESTED, {"depth": 1}), Random(number)) for number in range(2))
    deeper = fix(between(NESTED, first, second), {"depth": 2})
    with pytest.raises(ValueError, match="held at 2, which is not among its answers"):
        sample(deeper, Random(0))
