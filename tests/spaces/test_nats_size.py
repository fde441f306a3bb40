"""The space is the published one: its widths, its parameter counts, its rows."""

from __future__ import annotations

from random import Random

import numpy
import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.choices import Architecture
from spaces.nats_size import PATHS, WIDTHS, rows, space
from spaces.operators import enumerate_all, sample
from spaces.ops import costs
from spaces.space import Shapes


def architecture(*widths: int) -> Architecture:
    return Architecture(space.name, tuple(zip(PATHS, widths, strict=True)))


def test_every_width_makes_another_architecture():
    assert size(space) == 32768
    assert len({canonical_key(space.graph(item)) for item in enumerate_all(space)}) == 32768


@pytest.mark.parametrize(
    ("widths", "parameters"),
    [((8, 8, 8, 8, 8), 11_714), ((8, 8, 16, 40, 40), 107_826), ((64, 64, 64, 64, 64), 713_674)],
)
def test_parameters_are_the_published_ones(widths, parameters):
    assert costs(space.network_graph(space.graph(architecture(*widths)))).parameters == parameters


def test_a_table_is_read(tmp_path):
    random = Random(0)
    chosen = random.sample([item.decisions for item in enumerate_all(space)], 50)
    channels = numpy.array(
        [[width for _, width in decisions] for decisions in chosen], dtype=numpy.uint8
    )
    numpy.savez(tmp_path / "sizes.npz", channels=channels, accuracy=numpy.arange(50.0))
    table = table_evaluator(space, tmp_path / "sizes.npz", score="accuracy")
    for row, decisions in enumerate(chosen):
        found = table.evaluate(Architecture(space.name, decisions), seed=0)
        assert isinstance(found, Observation)
        assert found.score == row
    missing = next(
        item for item in (sample(space, random) for _ in range(100)) if item.decisions not in chosen
    )
    assert isinstance(table.evaluate(missing, seed=0), Failed)


@pytest.mark.parametrize("row", [[8, 16, 24, 32], [8, 16, 24, 32, 33]])
def test_rows_of_other_widths_are_refused(row):
    with pytest.raises(ValueError, match=f"should be 5 of {', '.join(map(str, WIDTHS))}"):
        rows({"channels": numpy.array([row])})


def test_shapes_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="takes images"):
        space.for_shapes(Shapes((128,), (10,))).network_graph(
            space.graph(architecture(8, 8, 8, 8, 8))
        )
