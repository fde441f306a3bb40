"""A table of some rows of a space, as a smooth function of all its architectures.

The function is a ridge regression of degree 2 on the decisions: options are one-hot, numbers go
from 0 to 1 over their range, and a question that is not asked adds nothing. So no architecture is
missing, and the space is the whole one, however few rows the table has. Isomorphic architectures
differ in their decisions, hence in their values: a search that evaluates only one of them may miss
the better one. So this suits spaces with few isomorphic architectures.

This coding and `PENALTY` were chosen on Accel-NASBench. With them random search and local search
have the regrets that were once measured on another smooth function of that table.

Shapes: N architectures, C columns of the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random
from typing import Any

import numpy as np

from benchmarks.published_table import Table
from nas.prediction.labels import read_labels
from nas.seeds import generator
from spaces import Architecture, SearchSpace
from spaces.domains import Answer, Domain, Integer, Permutation, Real, Subset
from spaces.operators import domains, neighbours, sample

PENALTY = 50.0
CLIMBS = 64


@dataclass(frozen=True)
class Optimum:
    """The best architecture at which climbs from random starts end.

    Attributes:
        architecture: it.
        value: of the function there.
        reached: how many of the `CLIMBS` climbs end at this value.
    """

    architecture: Architecture
    value: float
    reached: int


@dataclass(frozen=True, eq=False)
class SmoothFunction:
    """Smooth functions of all architectures of a space, one for each column.

    Attributes:
        space: the whole space.
        columns: C names.
        model: the fitted regression, from `features` to (N, C).
    """

    space: SearchSpace
    columns: tuple[str, ...]
    model: Any

    def values(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(N, C) the values of the functions."""
        read = [features(self.space, architecture) for architecture in architectures]
        return self.model.predict(read).reshape(len(read), len(self.columns))

    @cached_property
    def optima(self) -> tuple[Optimum, ...]:
        """The optimum of each column."""
        return tuple(self._optimum(column) for column in range(len(self.columns)))

    def _optimum(self, column: int) -> Optimum:
        ends = [
            self._climbed(column, generator(0, "climbs of a smooth function", number))
            for number in range(CLIMBS)
        ]
        value_N = self.values(ends)[:, column]
        best = int(value_N.argmax())
        reached = int(np.isclose(value_N, value_N[best]).sum())
        return Optimum(ends[best], float(value_N[best]), reached)

    def _climbed(self, column: int, random: Random) -> Architecture:
        """Where steps to the best neighbour end, from a random start."""
        at = sample(self.space, random)
        value = self.values([at])[0, column]
        while steps := neighbours(self.space, at, random):
            value_N = self.values(steps)[:, column]
            best = int(value_N.argmax())
            if value_N[best] <= value:
                break
            at, value = steps[best], value_N[best]
        return at


class SmoothTable:
    """The optima and the architectures that a search has looked up, as rows in this order.

    Attributes:
        space: the whole space.
    """

    def __init__(self, function: SmoothFunction) -> None:
        self.space = function.space
        self._function = function
        self._rows: dict[Architecture, int] = {}
        self._values: list[np.ndarray] = []
        for optimum in function.optima:
            self.row(optimum.architecture)

    @property
    def objective_N(self) -> np.ndarray:  # noqa: N802
        """(N,) the objective of each row."""
        return np.array(self._values)[:, 0]

    def row(self, architecture: Architecture) -> int:
        """The row of the architecture, a new one when it is looked up for the first time."""
        if architecture not in self._rows:
            self._rows[architecture] = len(self._rows)
            self._values.append(self._function.values([architecture])[0])
        return self._rows[architecture]

    def metrics(self, row: int) -> tuple[tuple[str, float], ...]:
        """None: an observation has only its score."""
        return ()

    def table(self) -> Table:
        """All rows so far, to judge a search by."""
        rows: dict[Any, int] = {each.decisions: row for each, row in self._rows.items()}
        value_NC = np.array(self._values)
        # Isomorphic architectures have different values here, so each is a class of its own.
        return Table(self.space, rows, np.arange(len(rows)), value_NC[:, 0], value_NC[:, -1], None)


@lru_cache(maxsize=1)
def read_smooth(space: str, path: str, objective: str, test: str) -> SmoothFunction:
    """The functions of the objective and, if it is another column, of the test column.

    They are learnt once in each process, from the rows that have a value in these columns.
    """
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    columns = tuple(dict.fromkeys((objective, test)))
    labels = [read_labels(path, space=space, column=column) for column in columns]
    whole, architectures = labels[0].space, labels[0].architectures
    value_NC = np.stack([each.values_N for each in labels], axis=1)
    known = np.flatnonzero(np.isfinite(value_NC).all(1)).tolist()
    if not known:
        raise SystemExit(f"no row of {path} has a value of {' and of '.join(columns)}")
    model = make_pipeline(DictVectorizer(sparse=False), PolynomialFeatures(2), Ridge(PENALTY))
    model.fit([features(whole, architectures[row]) for row in known], value_NC[known])
    return SmoothFunction(whole, columns, model)


def features(space: SearchSpace, architecture: Architecture) -> dict[str, float]:
    """The decisions as named numbers from 0 to 1; those that are not named are 0."""
    asked, answers = domains(space, architecture), architecture.answers
    return {
        name: value
        for path, domain in asked.items()
        for name, value in _features(path, domain, answers[path])
    }


def _features(path: str, domain: Domain, answer: Answer) -> list[tuple[str, float]]:
    """The named numbers of one answer."""
    if isinstance(domain, Integer | Real):
        assert isinstance(answer, int | float)
        return [(path, _share(domain, answer))]
    if isinstance(domain, Subset):
        assert isinstance(answer, tuple)
        return [(f"{path}={label!r}", 1.0) for label in answer]
    if isinstance(domain, Permutation):
        assert isinstance(answer, tuple)
        return [(f"{path}={each!r}", place / len(answer)) for place, each in enumerate(answer)]
    return [(f"{path}={answer!r}", 1.0)]


def _share(domain: Integer | Real, answer: float) -> float:
    """The answer's place in its domain, on the domain's own scale."""
    if domain.low == domain.high:
        return 0.0
    if isinstance(domain, Real) and domain.log:
        return math.log(answer / domain.low) / math.log(domain.high / domain.low)
    return (answer - domain.low) / (domain.high - domain.low)
