"""A published table as a search looks it up: the space of its rows, and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nas.objectives.objective import Objective
from nas.objectives.pareto import front
from nas.prediction.labels import read_labels
from nas.tasks.arrays import read_npz
from spaces import Architecture, Chooser, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.domains import Answer
from spaces.operators import domains, only

COST = Objective("cost", "minimise")


@dataclass(frozen=True, eq=False)
class Table:
    """N rows of a table of one space.

    Attributes:
        space: the table's; it rejects other architectures if the rows are only a part of it.
        rows: the row of each architecture, by its decisions and by its canonical key.
        class_N: a number that isomorphic rows share.
        objective_N, test_N: higher is better; NaN where the table has no value.
        cost_N: lower is better; NaN where the table has no value.
    """

    space: SearchSpace
    rows: dict[Any, int]
    class_N: np.ndarray
    objective_N: np.ndarray
    test_N: np.ndarray
    cost_N: np.ndarray | None

    def row(self, architecture: Architecture) -> int:
        """The row of the architecture, or of one isomorphic to it."""
        row = self.rows.get(architecture.decisions)
        return self.rows[canonical_key(self.space.graph(architecture))] if row is None else row

    def metrics(self, row: int) -> tuple[tuple[str, float], ...]:
        """The metrics of an observation besides its score."""
        return () if self.cost_N is None else ((COST.name, float(self.cost_N[row])),)

    @cached_property
    def points(self) -> np.ndarray:
        """(N, 2) objective and negated cost, higher is better; NaN where one is missing."""
        assert self.cost_N is not None
        return np.stack([self.objective_N, -self.cost_N], axis=1)

    @cached_property
    def exact_front(self) -> np.ndarray:
        """(M, 2) the points of the exact front."""
        known_N2 = self.points[np.isfinite(self.points).all(1)]
        return known_N2[front(known_N2)]

    @cached_property
    def reference_2(self) -> np.ndarray:
        """The reference point of the hypervolume."""
        return self.exact_front.min(0) - 0.1 * np.ptp(self.exact_front, axis=0)


@lru_cache(maxsize=1)
def read_table(
    space: str, path: str, objective: str, test: str, cost: str, listed: bool = False
) -> Table:
    """The table, which is read once in each process.

    Args:
        space: a space's name, or my_file.py:space.
        path: the table's.
        objective, test, cost: columns; `cost` is empty or as in `--cost`.
        listed: whether the space draws among the rows that have an objective.
    """
    labels = read_labels(path, space=space, column=objective)
    test_N = read_labels(path, space=space, column=test).values_N
    keys = [
        canonical_key(labels.space.graph(architecture)) for architecture in labels.architectures
    ]
    rows: dict[Any, int] = {}
    for row in np.argsort(~np.isfinite(labels.values_N), kind="stable").tolist():
        rows.setdefault(keys[row], row)
    rows |= {architecture.decisions: row for row, architecture in enumerate(labels.architectures)}
    class_N = np.unique(keys, return_inverse=True)[1]
    held = labels.space
    if listed:
        known = np.flatnonzero(np.isfinite(labels.values_N)).tolist()
        held = only(labels.space, [labels.architectures[row] for row in known])
    elif not is_whole(labels.space, labels.architectures):
        held = within(labels.space, frozenset(keys))
    if not cost:
        return Table(held, rows, class_N, labels.values_N, test_N, None)
    objective_N = _of_class(labels.values_N, class_N)
    cost_N = _of_class(_cost(path, cost, len(keys)), class_N)
    return Table(held, rows, class_N, objective_N, test_N, cost_N)


def _of_class(value_N: np.ndarray, class_N: np.ndarray) -> np.ndarray:
    """(N,) the mean of each row's class over the rows that have a value; NaN for the others."""
    known_N = np.isfinite(value_N)
    sum_C, count_C = (
        np.bincount(class_N, weights=each_N, minlength=class_N.max() + 1)
        for each_N in (np.where(known_N, value_N, 0.0), known_N)
    )
    return np.where(known_N, (sum_C / np.maximum(count_C, 1))[class_N], np.nan)


def _cost(path: str, named: str, rows: int) -> np.ndarray:
    file, colon, column = named.rpartition(":")
    cost_N = read_npz(Path(file if colon else path))[column].astype(float)
    if cost_N.shape != (rows,):
        raise SystemExit(
            f"the cost {named} should be {rows} numbers, one a row; its shape is {cost_N.shape}"
        )
    return cost_N


def is_whole(space: SearchSpace, architectures: Sequence[Architecture]) -> bool:
    """Whether there are as many rows as combinations of the first architecture's domains."""
    size = 1
    for domain in domains(space, architectures[0]).values():
        size *= domain.size or 0
    return size == len(architectures)


def within(space: SearchSpace, keys: frozenset[str]) -> SearchSpace:
    """The space, which rejects architectures whose canonical key is not among these."""
    # Computing keys takes half of a run's time, and strategies draw the same architectures often.
    has: dict[tuple[tuple[str, Answer], ...], bool] = {}
    run = space.define

    def define(choose: Chooser) -> Graph:
        graph = run(choose)
        assert isinstance(graph, Graph), "the spaces of tables define graphs"
        decisions = tuple(choose.decisions.items())
        if decisions not in has:
            has[decisions] = canonical_key(graph) in keys
        if not has[decisions]:
            choose.reject("the table does not have it")
        return graph

    return replace(space, define=define)
