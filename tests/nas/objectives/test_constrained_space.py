"""Search spaces restricted by constraints, and the numbers of a graph."""

from __future__ import annotations

from itertools import islice, pairwise
from random import Random

from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.constrained_space import within
from nas.objectives.constraints import parse
from nas.objectives.descriptors import describe
from nas.objectives.graph_numbers import completed, number_of
from nas.strategies import NSGA2, Evolution
from spaces import Architecture, SearchSpace, Shapes
from spaces.cardinality import size
from spaces.load import load_space
from spaces.operators import crossover, enumerate_all, mutate, neighbours, sample
from tests.contracts.strategy_contract import play

CELLS = load_space("nasbench201")


def test_every_operator_keeps_constraints_on_the_graph():
    bounds = [parse("parameters <= 3.5e5"), parse("count:nor_conv_3x3 >= 1"), parse("nodes <= 5")]
    space, random = within(CELLS, bounds), Random(0)

    def kept(architecture: Architecture) -> bool:
        graph = CELLS.graph(architecture)
        return all(bound.missed(describe(CELLS, graph, bound.name)) == 0 for bound in bounds)

    drawn = [sample(space, random) for _ in range(20)]
    assert all(map(kept, drawn))
    assert all(kept(mutate(space, each, random)) for each in drawn)
    assert all(kept(crossover(space, one, other, random)) for one, other in pairwise(drawn))
    near = neighbours(space, drawn[0], random)
    assert near
    assert all(map(kept, near))
    some = list(islice(enumerate_all(space), 30))
    assert len(some) == 30
    assert some == list(islice((each for each in enumerate_all(CELLS) if kept(each)), 30))
    outside = next(each for each in enumerate_all(CELLS) if not kept(each))
    assert space.graph(outside) == CELLS.graph(outside)


def test_the_size_of_a_space_counts_what_keeps_its_limit():
    space = within(CELLS, [parse("written:none >= 5")])
    assert size(space) == len(list(enumerate_all(space))) == 6 * 4 + 1


def test_constraints_restrict_a_space_of_torch_modules_too():
    from examples.torch_space import space as own

    bounded = within(own.for_shapes(Shapes((1, 8, 8), (10,))), [parse("parameters <= 3e4")])
    for seed in range(5):
        parameters = number_of(bounded, sample(bounded, Random(seed)), "parameters")
        assert isinstance(parameters, float)
        assert parameters <= 3e4


def test_numbers_of_the_graph_stand_beside_those_of_the_evaluation():
    architecture = sample(CELLS, Random(0))
    measured = Observation(0.5, metrics=(("parameters", 7.0),))
    depth = number_of(CELLS, architecture, "depth")
    assert isinstance(depth, float)
    assert completed(
        CELLS, architecture, measured, ["score", "parameters", "depth"]
    ) == Observation(0.5, metrics=(("parameters", 7.0), ("depth", depth)))
    lacking = completed(CELLS, architecture, Observation(0.5), ["latency"])
    assert isinstance(lacking, Failed)
    assert lacking.kind == "missing"
    assert "gave no 'latency'" in lacking.reason
    failed = Failed("killed", "no")
    assert completed(CELLS, architecture, failed, ["latency"]) is failed


def test_evolution_continues_at_random_if_no_child_is_allowed():
    """An architecture is five bits of even parity, so a mutation of one bit is never allowed."""
    from spaces import Graph, GraphBuilder
    from spaces.choices import Rejected

    def define(choose) -> Graph:
        builder = GraphBuilder()
        value = builder.input()
        for number in range(5):
            op = choose.one_of(f"op{number}", ["relu", "tanh"])
            value = builder.node(op, value, place=number)
        return builder.output(value)

    def even(space: SearchSpace, architecture: Architecture) -> Rejected | None:
        answers = [answer for _, answer in architecture.decisions]
        return Rejected("odd") if answers.count("tanh") % 2 else None

    space = SearchSpace("even", define, limit=even)
    for strategy in (Evolution(population=4, tournament=2), NSGA2(population=4)):
        history = play(strategy, space, rounds=4, count=4, score=lambda architecture: 1.0)
        assert len(history.trials) == 16, "the space has no more architectures"
