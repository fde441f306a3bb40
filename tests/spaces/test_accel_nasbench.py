"""The space is the published one: its size, its parameter and multiply-add counts, its rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy
import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import table_evaluator
from spaces.accel_nasbench import rows, space
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.graph import Graph
from spaces.operators import sample
from spaces.ops import costs, infer_shapes
from spaces.space import Shapes


def columns(shared_data: Callable[[str], Path]) -> dict[str, numpy.ndarray]:
    """Five of the 3,000 rows were measured twice; the first is kept."""
    with numpy.load(shared_data("accel_nasbench.npz"), allow_pickle=False) as table:
        first = numpy.sort(numpy.unique(table["arch"], axis=0, return_index=True)[1])
        assert (len(table["arch"]), len(first)) == (3000, 2995)
        return {name: table[name][first] for name in ("arch", "val_top1", "params_m", "macs_m")}


def published_multiply_adds(network: Graph) -> int:
    """The multiply-adds by the authors' counter (THOP).

    It adds four for each output element of a batch norm, and one for each input and output element
    of a pooling to 1 x 1.
    """
    shapes = infer_shapes(network)
    extra = sum(
        4 * math.prod(shape)
        for node, shape in zip(network.nodes, shapes, strict=True)
        if node.op == "batch_norm2d"
    )
    for number, node in enumerate(network.nodes):
        if node.op == "adaptive_avg_pool2d":
            extra += math.prod(shapes[network.incoming[number][0]]) + math.prod(shapes[number])
    return costs(network).multiply_adds + extra


def test_the_size_is_the_published_one():
    assert size(space) == (3 * 2 * 3 * 2) ** 6 * (3 * 2 * 4 * 2)


def test_rows_are_distinct_architectures(shared_data):
    items = rows(columns(shared_data))
    assert len(set(items)) == 2995
    assert len({canonical_key(space.graph(item)) for item in items}) == 2995


def test_counts_are_the_published_ones(shared_data):
    table = columns(shared_data)
    chosen = Random(0).sample(range(2995), 100)
    networks = [
        space.network_graph(space.graph(item)) for item in rows({"arch": table["arch"][chosen]})
    ]
    counted = numpy.array([costs(network).parameters for network in networks])
    # The table holds millions as 32-bit numbers.
    assert (counted / 1e6).astype(numpy.float32).tolist() == table["params_m"][chosen].tolist()
    counted = numpy.array([published_multiply_adds(network) for network in networks])
    assert (counted / 1e6).astype(numpy.float32).tolist() == table["macs_m"][chosen].tolist()


def test_the_table_is_looked_up(shared_data, tmp_path):
    held = columns(shared_data)
    numpy.savez(tmp_path / "once.npz", **held)  # pyright: ignore[reportArgumentType]
    table = table_evaluator(space, tmp_path / "once.npz", score="val_top1")
    for row in Random(1).sample(range(2995), 50):
        found = table.evaluate(table.architectures[row], seed=0)
        assert isinstance(found, Observation)
        assert found.score == held["val_top1"][row]
    assert isinstance(table.evaluate(sample(space, Random(2)), seed=0), Failed)


def test_shapes_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="takes images"):
        space.for_shapes(Shapes((128,), (10,))).network_graph(space.graph(sample(space, Random(0))))
