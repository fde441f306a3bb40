"""The space is the published one: its layers, its parameter and multiply-add counts, its rows."""

from __future__ import annotations

from random import Random

import numpy
import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key
from spaces.choices import Architecture
from spaces.nasbench_macro import OPERATIONS, PATHS, rows, space
from spaces.operators import enumerate_all, sample
from spaces.ops import costs
from spaces.space import Shapes


def architecture(digits: str) -> Architecture:
    return Architecture(
        space.name,
        tuple((path, OPERATIONS[int(digit)]) for path, digit in zip(PATHS, digits, strict=True)),
    )


def key(item: Architecture) -> str:
    return canonical_key(space.graph(item))


def test_identities_inside_a_stage_do_not_change_the_network():
    """A stage has three different first layers.

    Behind it are 1 + 2 different chains of at most one bottleneck, or 1 + 2 + 4 of at most two.
    """
    items = list(enumerate_all(space))
    assert len(items) == 6561
    assert len({key(item) for item in items}) == (3 * 3) * (3 * 7) * (3 * 7) == 3969
    assert key(architecture("01201012")) == key(architecture("01210012"))
    assert key(architecture("01201012")) != key(architecture("10201012"))


def test_rows_are_distinct_architectures(shared_data):
    columns = numpy.load(shared_data("nasbench_macro.npz"), allow_pickle=False)
    items = rows({"arch": columns["arch"]})
    assert len(set(items)) == 3280
    assert len({key(item) for item in items}) == 2532


def test_counts_are_the_published_ones(shared_data):
    columns = numpy.load(shared_data("nasbench_macro.npz"), allow_pickle=False)
    chosen = Random(0).sample(range(len(columns["params"])), 200)
    counted = [
        costs(space.network_graph(space.graph(item)))
        for item in rows({"arch": columns["arch"][chosen]})
    ]
    assert [item.parameters for item in counted] == columns["params"][chosen].tolist()
    assert [item.multiply_adds for item in counted] == columns["flops"][chosen].tolist()


def test_the_table_is_looked_up(shared_data):
    path = shared_data("nasbench_macro.npz")
    table = table_evaluator(space, path, score="mean_acc")
    means = numpy.load(path, allow_pickle=False)["mean_acc"]
    for row in Random(1).sample(range(len(means)), 50):
        found = table.evaluate(table.architectures[row], seed=0)
        assert isinstance(found, Observation)
        assert found.score == means[row]
    known = {key(item) for item in table.architectures}
    random = Random(2)
    for item in [sample(space, random) for _ in range(50)]:
        assert isinstance(
            table.evaluate(item, seed=0), Observation if key(item) in known else Failed
        )


def test_shapes_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="takes images"):
        space.for_shapes(Shapes((128,), (10,))).network_graph(space.graph(architecture("00000000")))
