"""How the operations and attributes of nodes become numbers.

Shapes: A columns of attributes, K distinct nodes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from predictors.reading.batch import WHOLE
from spaces.graph import Node

# The number of every operation that did not occur in training.
UNKNOWN = 0
# At most this many pairs of a name and a value get a column.
MOST_CATEGORIES = 64


@dataclass(frozen=True)
class NodeColumns:
    """How a node's operation and attributes become numbers.

    Attributes:
        ops: the operations that occur in training; index 0 stands for all others.
        numbers: the names of the numeric attributes; the parts of a tuple have columns of their
            own, `shape.0`, `shape.1`.
        number_mean, number_scale: mean and standard deviation of each one's signed logarithm, over
            the distinct nodes of the training graphs that have it.
        categories: the pairs of a name and a value (as JSON) that have a column, for attributes
            that are words, flags or null.
    """

    ops: tuple[str, ...]
    numbers: tuple[str, ...]
    number_mean: tuple[float, ...]
    number_scale: tuple[float, ...]
    categories: tuple[tuple[str, str], ...]

    @property
    def num_features(self) -> int:
        """The number of columns for attributes."""
        return len(self.numbers) + len(self.categories)

    @property
    def whole(self) -> np.ndarray:
        """(A,) true for the columns that describe the whole network."""
        names = [*self.numbers, *(name for name, _ in self.categories)]
        return np.array([name.startswith(WHOLE) for name in names], dtype=bool)

    def op_numbers(self, kinds: Sequence[Node]) -> np.ndarray:
        """(K,) the number of each node's operation."""
        index = {op: number for number, op in enumerate(self.ops)}
        return np.array([index.get(node.op, UNKNOWN) for node in kinds], dtype=np.int64)

    def attributes(self, kinds: Sequence[Node]) -> np.ndarray:
        """(K, A) each node's attributes: standardised numbers, then categories as 0 or 1.

        A missing number is 0, the mean.
        """
        column = {name: place for place, name in enumerate(self.numbers)}
        category = {pair: len(self.numbers) + place for place, pair in enumerate(self.categories)}
        result_KA = np.zeros((len(kinds), self.num_features), dtype=np.float32)
        for row, node in enumerate(kinds):
            for name, value in _parts(node):
                if _is_number(value) and name in column:
                    place = column[name]
                    result_KA[row, place] = (
                        _signed_log(value) - self.number_mean[place]
                    ) / self.number_scale[place]
                elif not _is_number(value) and (name, json.dumps(value)) in category:
                    result_KA[row, category[name, json.dumps(value)]] = 1.0
        return result_KA


def learn_node_columns(kinds: Iterable[Node]) -> NodeColumns:
    """The vocabulary and the scales, learnt from the distinct nodes of the training graphs.

    A numeric attribute that never varies gets no column.
    """
    kinds = list(kinds)
    numbers: dict[str, list[float]] = {}
    categories: Counter[tuple[str, str]] = Counter()
    for node in kinds:
        for name, value in _parts(node):
            if _is_number(value):
                numbers.setdefault(name, []).append(_signed_log(value))
            else:
                categories[name, json.dumps(value)] += 1
    varying = sorted(name for name, values in numbers.items() if max(values) - min(values) > 1e-9)
    ranked = sorted(categories.items(), key=lambda item: (-item[1], item[0]))
    common = sorted(pair for pair, _ in ranked[:MOST_CATEGORIES])
    return NodeColumns(
        ops=("<unknown>", *sorted({node.op for node in kinds})),
        numbers=tuple(varying),
        number_mean=tuple(float(np.mean(numbers[name])) for name in varying),
        number_scale=tuple(float(np.std(numbers[name])) for name in varying),
        categories=tuple(common),
    )


def _parts(node: Node) -> Iterable[tuple[str, object]]:
    """The node's attributes; a tuple of numbers gives one part for each of its numbers."""
    for name, value in node.attributes:
        if isinstance(value, tuple) and value and all(_is_number(item) for item in value):
            yield from ((f"{name}.{place}", item) for place, item in enumerate(value))
        else:
            yield name, value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _signed_log(value: object) -> float:
    """The logarithm of 1 + |value|, with the sign of the value."""
    assert isinstance(value, int | float)
    return math.copysign(math.log1p(abs(value)), value)
