"""Every operator on spaces that nest choices, reject some, and mix all kinds of choice."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace, Shapes
from spaces.cardinality import size
from spaces.operators import (
    crossover,
    domains,
    enumerate_all,
    fix,
    mutate,
    neighbours,
    sample,
    sample_graph,
)


def chain(*ops: str) -> Graph:
    builder = GraphBuilder()
    value = builder.input()
    for op in ops:
        value = builder.node(op, value)
    return builder.output(value)


def nested(choose: Chooser) -> Graph:
    ops = []
    for number in range(choose.integer("depth", 1, 3)):
        with choose.scope(f"layer{number}"):
            op = choose.one_of("op", ["conv", "pool"])
            if op == "conv":
                op += str(choose.one_of("kernel", [3, 5]))
        ops.append(op)
    return chain(*ops)


def mixed(choose: Chooser) -> Graph:
    order = choose.permutation("order", ["a", "b", "c"])
    kept = choose.subset("kept", ["x", "y", "z"], minimum=1, maximum=2)
    rate = choose.real("rate", 1e-4, 1e-1, log=True)
    width = choose.integer("width", 1, 64)
    if width > 32 and "z" in kept:
        choose.reject("too wide for z")
    builder = GraphBuilder()
    value = builder.input()
    for op in (*order, *kept):
        value = builder.node(op, value, rate=rate, width=width)
    return builder.output(value)


def coupled(choose: Chooser) -> Graph:
    ops = [choose.one_of(f"op{number}", ["a", "b", "c"]) for number in range(3)]
    if len(set(ops)) == 1:
        choose.reject("all alike")
    return chain(*ops)


NESTED, MIXED, COUPLED = (
    SearchSpace(define.__name__, define) for define in (nested, mixed, coupled)
)
SPACES = [NESTED, MIXED, COUPLED]
spaces_and_seeds = given(st.sampled_from(SPACES), st.integers(0, 10**6))


@spaces_and_seeds
def test_a_sample_replays_to_the_same_graph_and_survives_json(
    space: SearchSpace, seed: int
) -> None:
    architecture, graph = sample_graph(space, Random(seed))
    assert space.graph(architecture) == graph
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert again.key == architecture.key
    assert Graph.from_json(graph.to_json()) == graph
    assert sample(space, Random(seed)) == architecture


@spaces_and_seeds
def test_a_mutation_changes_one_decision_and_keeps_the_others_that_are_asked(
    space: SearchSpace, seed: int
) -> None:
    parent = sample(space, Random(seed))
    child = mutate(space, parent, Random(seed + 1))
    assert child != parent
    space.graph(child)
    changed = [
        path
        for path, answer in child.decisions
        if path in parent.answers and parent.answers[path] != answer
    ]
    assert len(changed) == 1


@spaces_and_seeds
def test_a_mutation_is_the_same_whether_or_not_its_step_is_cached(
    space: SearchSpace, seed: int
) -> None:
    parent = sample(space, Random(seed))
    cached = [mutate(space, parent, Random(draw)) for draw in (*range(10), *range(10))][10:]
    uncached = SearchSpace(space.name, space.define, shapes=Shapes((seed,), (1,)))
    assert cached == [mutate(uncached, parent, Random(draw)) for draw in range(10)]


def test_a_step_that_is_tried_again_asks_the_program_once() -> None:
    runs = 0

    def define(choose: Chooser) -> Graph:
        nonlocal runs
        runs += 1
        return coupled(choose)

    space = SearchSpace("counted", define)
    parent = Architecture("counted", (("op0", "a"), ("op1", "b"), ("op2", "b")))
    assert len({mutate(space, parent, Random(draw)) for draw in range(200)}) == 5
    assert runs == 7  # The parent's domains, and its six steps, of which one is rejected.


@spaces_and_seeds
def test_a_crossover_takes_each_shared_decision_from_a_parent(
    space: SearchSpace, seed: int
) -> None:
    mother, father = sample(space, Random(seed)), sample(space, Random(seed + 1))
    child = crossover(space, mother, father, Random(seed))
    space.graph(child)
    inherited = [
        (path, answer)
        for path, answer in child.decisions
        if path in mother.answers or path in father.answers
    ]
    assert inherited
    for path, answer in inherited:
        assert answer in (mother.answers.get(path), father.answers.get(path))


def kernels(choose: Chooser) -> Graph:
    op = choose.one_of("op", ["conv", "pool"])
    return chain(f"{op}{choose.one_of('kernel', [1, 3] if op == 'conv' else [5, 7])}")


def test_a_crossover_takes_the_other_parents_answer_if_ones_is_impossible() -> None:
    space = SearchSpace("kernels", kernels)
    mother = Architecture("kernels", (("op", "conv"), ("kernel", 1)))
    father = Architecture("kernels", (("op", "pool"), ("kernel", 5)))
    children = {crossover(space, mother, father, Random(seed)) for seed in range(100)}
    assert children == {mother, father}


def test_equal_answers_make_equal_keys() -> None:
    def define(choose: Chooser) -> Graph:
        skip, rate = choose.one_of("skip", [False, True]), choose.real("rate", 0.0, 1.0)
        return chain(f"{skip}{rate}{choose.permutation('order', ['x', 'y'])}")

    space = SearchSpace("skips", define)
    held = sample(fix(space, {"skip": 1, "rate": 0, "order": ["y", "x"]}), Random(0))  # type: ignore[dict-item]
    architecture = Architecture("skips", (("skip", True), ("rate", 0.0), ("order", ("y", "x"))))
    assert held == architecture
    assert held.key == architecture.key


@spaces_and_seeds
def test_neighbours_are_valid_distinct_and_differ_in_one_decision(
    space: SearchSpace, seed: int
) -> None:
    center = sample(space, Random(seed))
    found = neighbours(space, center, Random(seed))
    assert found
    assert len(set(found)) == len(found)
    for neighbour in found:
        space.graph(neighbour)
        shared = [item for item in neighbour.decisions if item[0] in center.answers]
        assert sum(center.answers[path] != answer for path, answer in shared) == 1


def test_enumeration_gives_every_architecture_once_and_size_counts_them() -> None:
    # One to three layers of conv3, conv5 or pool: 3 + 9 + 27. And 27 triples without 3 equal ones.
    for space, count in ((NESTED, 39), (COUPLED, 24)):
        found = list(enumerate_all(space))
        assert len(found) == len(set(found)) == count == size(space)
        assert {sample(space, Random(seed)) for seed in range(600)} == set(found)


def test_a_real_choice_cannot_be_enumerated_unless_it_is_held() -> None:
    with pytest.raises(ValueError, match="'rate' is a real number"):
        list(enumerate_all(MIXED))
    held = fix(MIXED, {"rate": 0.01, "order": ("b", "a", "c")})
    found = list(enumerate_all(held))
    # Six subsets, three of them with z: 64 widths without z, 32 with it.
    assert len(found) == 3 * 64 + 3 * 32 == size(held)
    assert {architecture.answers["order"] for architecture in found} == {("b", "a", "c")}
    MIXED.graph(found[0])


def test_held_decisions_stay_through_every_operator() -> None:
    held = fix(NESTED, {"depth": 3, "layer1/op": "conv"})
    first, second = sample(held, Random(1)), sample(held, Random(2))
    for architecture in (
        first,
        mutate(held, first, Random(3)),
        crossover(held, first, second, Random(4)),
        *neighbours(held, first, Random(5)),
    ):
        assert architecture.answers["depth"] == 3
        assert architecture.answers["layer1/op"] == "conv"
        NESTED.graph(architecture)
    assert domains(held, first)["depth"].size == 1
    with pytest.raises(ValueError, match="held at 9"):
        sample(fix(NESTED, {"depth": 9}), Random(0))


def test_a_space_that_rejects_everything_says_why() -> None:
    def hopeless(choose: Chooser) -> Graph:
        choose.one_of("op", ["a", "b"])
        choose.reject("never good enough")
        return chain()

    space = SearchSpace("hopeless", hopeless)
    with pytest.raises(
        ValueError, match=r"rejected 1000 architectures in a row: never good enough \(1000 times\)"
    ):
        sample(space, Random(0))
    assert list(enumerate_all(space)) == []


def test_a_space_with_nothing_to_choose_has_one_architecture() -> None:
    space = SearchSpace("constant", lambda choose: chain("a"))
    assert [architecture.decisions for architecture in enumerate_all(space)] == [()]
    assert size(space) == 1
    with pytest.raises(ValueError, match="no decision of the space 'constant' can be changed"):
        mutate(space, sample(space, Random(0)), Random(0))


def test_an_architecture_of_another_space_or_version_is_refused() -> None:
    architecture = sample(NESTED, Random(0))
    with pytest.raises(ValueError, match="belongs to the space 'nested', this space is 'mixed'"):
        MIXED.graph(architecture)
    with pytest.raises(ValueError, match="no answer in this architecture"):
        NESTED.graph(Architecture("nested", ()))
    with pytest.raises(ValueError, match="cannot be answered by 7"):
        NESTED.graph(Architecture("nested", (("depth", 7),)))
    with pytest.raises(ValueError, match="did not ask for extra"):
        NESTED.graph(Architecture("nested", (*architecture.decisions, ("extra", 1))))
