"""Problems with a training set of few good architectures among many poor ones, far from them.

`cells` makes those of NAS-Bench-201, one for each imbalance and separation. The imbalance is the
share of good cells in the training set of 200. The separation is the least number of decisions in
which a good cell differs from any poor one. Poor cells have three or more edges without a
convolution or skip and score below 60. Good cells have at most one such edge and score from 64 to
68, so that neither are near the table's best. Half of the poor cells are at exactly the separation,
if there are enough.

`toy` is the same with two real numbers: 95 % of the training set are on a hill, and 5 % on the
slope of a higher hill far from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.published_table import Table
from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace

TRAINING = 200
POOR, FIT = (-math.inf, 60.0), (64.0, 68.0)
POOR_EDGES = ("none", "avg_pool_3x3")
# The toy's hills: coordinate of the top on both axes, width, height.
HILLS = ((-4.0, 1.0, 1.0), (4.0, 1.0, 2.5))


@dataclass(frozen=True, eq=False)
class Problem:
    """A search from a training set.

    Attributes:
        score: what the search sees, higher is better.
        test: what the architecture with the best score is judged by.
        best: the highest score and the highest test value of the space.
        training: the training set of a seed.
    """

    name: str
    space: SearchSpace
    score: Callable[[Architecture], float]
    test: Callable[[Architecture], float]
    best: tuple[float, float]
    training: Callable[[int], list[Architecture]]


def hill(architecture: Architecture) -> float:
    """The height of the toy's landscape."""
    x, y = (float(architecture.answers[axis]) for axis in "xy")  # type: ignore[arg-type]
    return sum(
        height * math.exp(-((x - top) ** 2 + (y - top) ** 2) / (2 * width**2))
        for top, width, height in HILLS
    )


def toy() -> Problem:
    """Two real numbers from -8 to 8."""

    def define(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        x, y = choose.real("x", -8, 8), choose.real("y", -8, 8)
        return builder.output(builder.node("point", builder.input(), x=x, y=y))

    space = SearchSpace("hills", define)

    def training(seed: int) -> list[Architecture]:
        random = np.random.default_rng([seed, 0])
        foot = []
        while len(foot) < TRAINING // 20:
            # At 1 to 1.35 widths from the top the height falls from 1.5 to 1.0, the height of the
            # other hill's top.
            angle, distance = random.uniform(0, 2 * math.pi), random.uniform(1.0, 1.35)
            foot.append(HILLS[1][0] + distance * np.array([math.cos(angle), math.sin(angle)]))
        crowd = list(np.clip(random.normal(HILLS[0][0], 1.2, (TRAINING - len(foot), 2)), -8, 8))
        points = [
            foot[place] if place < len(foot) else crowd[place - len(foot)]
            for place in random.permutation(TRAINING)
        ]
        return [Architecture(space.name, (("x", float(x)), ("y", float(y)))) for x, y in points]

    top = HILLS[1][2] + HILLS[0][2] * math.exp(-((HILLS[1][0] - HILLS[0][0]) ** 2))
    return Problem("toy", space, hill, hill, (top, top), training)


def cells(table: Table, imbalance: float, separation: int) -> Problem:
    """NAS-Bench-201 with a training set of this imbalance and separation."""
    by_decisions = (item for item in table.rows.items() if isinstance(item[0], tuple))
    architectures = sorted(by_decisions, key=lambda item: item[1])
    decisions = [dict(found) for found, _ in architectures]
    labels = sorted({label for each in decisions for label in each.values()})
    code_NG = np.array([[labels.index(label) for label in each.values()] for each in decisions])
    poor_edges_N = np.isin(code_NG, [labels.index(label) for label in POOR_EDGES]).sum(1)
    poor = np.flatnonzero((poor_edges_N >= 3) & (table.objective_N < POOR[1]))
    fit = np.flatnonzero(
        (poor_edges_N <= 1) & (table.objective_N >= FIT[0]) & (table.objective_N <= FIT[1])
    )

    def training(seed: int) -> list[Architecture]:
        random = np.random.default_rng([seed, 1])
        number = round(imbalance * TRAINING)
        chosen = _distinct(table, random.permutation(fit), number)
        distance_P = (code_NG[poor][:, None] != code_NG[chosen][None]).sum(-1).min(1)
        near, far = (
            random.permutation(poor[mask])
            for mask in (distance_P == separation, distance_P > separation)
        )
        half = (TRAINING - number) // 2
        crowd = _distinct(table, [*near[:half], *far, *near[half:]], TRAINING - number)
        rows = random.permutation([*chosen, *crowd])
        return [Architecture(table.space.name, architectures[row][0]) for row in rows]

    best = (float(np.nanmax(table.objective_N)), float(np.nanmax(table.test_N)))
    return Problem(
        f"{imbalance:.0%} fit, {separation} apart",
        table.space,
        lambda architecture: float(table.objective_N[table.row(architecture)]),
        lambda architecture: float(table.test_N[table.row(architecture)]),
        best,
        training,
    )


def _distinct(table: Table, rows: Sequence[int] | np.ndarray, number: int) -> list[int]:
    """The first `number` rows that are not isomorphic to each other."""
    found = {table.class_N[row]: int(row) for row in reversed([*rows])}
    kept = [int(row) for row in rows if found[table.class_N[row]] == row][:number]
    if len(kept) < number:
        raise SystemExit(
            f"there are {len(kept)} such cells, {number} are needed: choose a smaller separation"
        )
    return kept
