"""The space is the published one: its size, its parameter and multiply-add counts, its rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy
import pytest
import torch

from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import table_evaluator
from spaces.canonical import canonical_key
from spaces.cardinality import size
from spaces.choices import Architecture
from spaces.graph import Graph
from spaces.nasbench_mr import OPTIONS, PATHS, rows, space
from spaces.operators import sample
from spaces.ops import costs, infer_shapes
from spaces.space import Shapes

SMALLEST = [options[0] for options in OPTIONS]
LARGEST = [options[-1] for options in OPTIONS]


def architecture(row: list[int]) -> Architecture:
    (result,) = rows({"embedding": numpy.array([row])})
    return result


def columns(shared_data: Callable[[str], Path]) -> dict[str, numpy.ndarray]:
    with numpy.load(shared_data("nasbench_mr.npz"), allow_pickle=False) as table:
        return {name: table[name] for name in ("embedding", "seg_4x", "params_m", "flops_g")}


def parameters(row: list[int], classes: int) -> int:
    """The parameters by hand: those of all convolutions with their norms, and of the classifier."""
    total = 0

    def convolution(before: int, after: int, kernel_size: int = 3) -> None:
        nonlocal total
        total += kernel_size**2 * before * after + 2 * after

    numbers = iter(row)
    first, second = next(numbers), next(numbers)
    convolution(3, first)
    convolution(first, second)
    channels = [second]
    for stage in range(1, 5):
        modules = next(numbers)
        blocks = [next(numbers) for _ in range(stage)]
        widths = [next(numbers) for _ in range(stage)]
        for _ in range(modules):
            for source, before in enumerate(channels):
                for target, after in enumerate(widths[: len(channels)]):
                    if abs(source - target) <= 1:
                        convolution(before, after, 1 if source > target else 3)
            for branch in range(len(channels), stage):
                convolution(widths[branch - 1], widths[branch])
            for count, width in zip(blocks, widths, strict=True):
                for _ in range(2 * count):
                    convolution(width, width)
            channels = widths
    head = next(numbers)
    convolution(sum(channels), head, 1)
    return total + (head + 1) * classes


def published_multiply_adds(network: Graph) -> int:
    """The multiply-adds by the authors' counter (THOP).

    It adds two for each output element of a batch norm, and one for each bias of the classifier.
    """
    return costs(network).multiply_adds + sum(
        2 * math.prod(shape) if item.op == "batch_norm2d" else math.prod(shape)
        for item, shape in zip(network.nodes, infer_shapes(network), strict=True)
        if item.op in ("batch_norm2d", "linear")
    )


def test_the_size_follows_from_the_questions():
    assert len(PATHS) == 27
    assert size(space) == 4 ** (4 + 10) * 16 ** (2 + 10 + 1)


def test_a_branch_reads_its_own_resolution_and_its_neighbours():
    row = list(SMALLEST)
    row[PATHS.index("stage_2/modules")] = 2
    graph = space.graph(architecture(row))
    stem, stage_1, stage_2 = ((0,), (1,)), ((2,),), ((3,), (3,), (4, 5), (4, 5))
    stage_3, stage_4 = ((6, 7), (6, 7), (7,)), ((8, 9), (8, 9, 10), (9, 10), (10,))
    assert graph.incoming == (
        (),
        *stem,
        *stage_1,
        *stage_2,
        *stage_3,
        *stage_4,
        (11, 12, 13, 14),
        (15,),
    )
    reductions = [item.get("reduction") for item in graph.nodes[1:-2]]
    assert reductions == [2, 4, 4, 4, 8, 4, 8, 4, 8, 16, 4, 8, 16, 32]


@pytest.mark.parametrize("seed", range(10))
def test_parameters_are_those_counted_by_hand(seed):
    row = [Random(seed).choice(options) for options in OPTIONS]
    network = space.network_graph(space.graph(architecture(row)))
    assert costs(network).parameters == parameters(row, classes=50)


@pytest.mark.parametrize("image", [(3, 64, 64), (1, 50, 39)])
@pytest.mark.parametrize("output", [(7,), (7, 64, 64)])
def test_networks_give_vectors_and_maps_of_scores(image, output):
    row = list(SMALLEST)
    row[PATHS.index("stage_3/modules")] = 2
    module = space.for_shapes(Shapes(image, output)).build(architecture(row)).eval()
    assert module(torch.zeros(2, *image)).shape == (2, *output)


def test_every_row_is_another_network(shared_data):
    items = rows(columns(shared_data))
    assert len(set(items)) == len({canonical_key(space.graph(item)) for item in items}) == 2507


def test_counts_are_the_published_ones(shared_data):
    table = columns(shared_data)
    chosen = Random(0).sample(range(2507), 60)
    networks = [
        space.network_graph(space.graph(item))
        for item in rows({"embedding": table["embedding"][chosen]})
    ]
    # The table holds millions and billions as 32-bit numbers.
    counted = numpy.array([costs(network).parameters for network in networks])
    assert (counted / 1e6).astype(numpy.float32).tolist() == table["params_m"][chosen].tolist()
    counted = numpy.array([published_multiply_adds(network) for network in networks])
    assert (counted / 1e9).astype(numpy.float32).tolist() == table["flops_g"][chosen].tolist()


def test_the_table_is_looked_up(shared_data):
    held = columns(shared_data)
    table = table_evaluator(space, shared_data("nasbench_mr.npz"), score="seg_4x")
    for row in Random(1).sample(range(2507), 20):
        found = table.evaluate(table.architectures[row], seed=0)
        assert isinstance(found, Observation)
        assert found.score == held["seg_4x"][row]
    assert isinstance(table.evaluate(sample(space, Random(2)), seed=0), Failed)


def test_rows_with_other_numbers_are_refused():
    with pytest.raises(ValueError, match="should hold 27 numbers; it holds 26"):
        architecture(SMALLEST[:-1])
    with pytest.raises(ValueError, match=r"answers stage_1/modules by 5, .* one of 1, 2, 3, 4"):
        architecture([*LARGEST[:2], 5, *LARGEST[3:]])


@pytest.mark.parametrize("shapes", [Shapes((128,), (10,)), Shapes((3, 64, 64), (10, 64))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="takes images"):
        space.for_shapes(shapes).network_graph(space.graph(architecture(SMALLEST)))
