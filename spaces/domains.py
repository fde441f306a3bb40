"""The domains of the chooser's five kinds of choice: the possible answers to a question.

An answer is a JSON value: the chosen option's label, a number, or for subsets and permutations a
tuple of labels.
"""

from __future__ import annotations

import math
import random as _random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate, combinations
from typing import Any, Protocol

Answer = str | int | float | bool | None | tuple[Any, ...]


class Domain(Protocol):
    """The possible answers to one question; `size` is None if there are infinitely many."""

    @property
    def size(self) -> int | None: ...

    def draw(self, random: _random.Random) -> Answer:
        """One answer, uniform over the domain.

        The logarithm of a logarithmic real number is uniform, and weighted options are drawn in
        proportion to their weights.
        """
        ...

    def at(self, index: int) -> Answer:
        """The answer number `index`, 0 <= index < size."""
        ...

    def accepts(self, answer: Answer) -> bool: ...

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """The answers that are one small step away from `answer`, without `answer` itself."""
        ...


@dataclass(frozen=True)
class OneOf:
    """One of the labels, drawn in proportion to the weights; without weights, uniformly."""

    labels: tuple[Answer, ...]
    weights: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return len(self.labels)

    def draw(self, random: _random.Random) -> Answer:
        if self.weights:
            place = random.random() * sum(self.weights)
            return self.labels[bisect(list(accumulate(self.weights)), place)]
        return self.labels[int(random.random() * len(self.labels))]

    def at(self, index: int) -> Answer:
        return self.labels[index]

    def accepts(self, answer: Answer) -> bool:
        return answer in self.labels

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        return tuple(label for label in self.labels if label != answer)

    def __str__(self) -> str:
        return _listed(self.labels)


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def draw(self, random: _random.Random) -> Answer:
        return self.low + int(random.random() * self.size)

    def at(self, index: int) -> Answer:
        return self.low + index

    def accepts(self, answer: Answer) -> bool:
        return (
            isinstance(answer, int)
            and not isinstance(answer, bool)
            and self.low <= answer <= self.high
        )

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        assert isinstance(answer, int)
        return tuple(value for value in (answer - 1, answer + 1) if self.low <= value <= self.high)

    def __str__(self) -> str:
        return f"whole numbers from {self.low} to {self.high}"


@dataclass(frozen=True)
class Real:
    """A real number from `low` to `high`, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool

    @property
    def size(self) -> int | None:
        return 1 if self.low == self.high else None

    def draw(self, random: _random.Random) -> Answer:
        return self._at_share(random.random())

    def at(self, index: int) -> Answer:
        return self.low

    def accepts(self, answer: Answer) -> bool:
        return (
            isinstance(answer, int | float)
            and not isinstance(answer, bool)
            and self.low <= answer <= self.high
        )

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """The numbers a tenth of the range up and down, on the domain's own scale."""
        assert isinstance(answer, int | float)
        if self.low == self.high:
            return ()
        if self.log:
            position = math.log(answer / self.low) / math.log(self.high / self.low)
        else:
            position = (answer - self.low) / (self.high - self.low)
        moved = {self._at_share(min(1.0, max(0.0, position + step))) for step in (-0.1, 0.1)}
        return tuple(sorted(value for value in moved if value != answer))

    def __str__(self) -> str:
        return f"numbers from {self.low:g} to {self.high:g}"

    def _at_share(self, share: float) -> float:
        if self.log:
            value = self.low * (self.high / self.low) ** share
        else:
            value = self.low + (self.high - self.low) * share
        return min(self.high, max(self.low, value))


@dataclass(frozen=True)
class Subset:
    """From `minimum` to `maximum` of the labels, in the order of `labels`."""

    labels: tuple[Answer, ...]
    minimum: int
    maximum: int

    @property
    def size(self) -> int:
        return sum(
            math.comb(len(self.labels), count) for count in range(self.minimum, self.maximum + 1)
        )

    def draw(self, random: _random.Random) -> Answer:
        return self.at(int(random.random() * self.size))

    def at(self, index: int) -> Answer:
        for count in range(self.minimum, self.maximum + 1):
            if index < math.comb(len(self.labels), count):
                positions = _combination(len(self.labels), count, index)
                return tuple(self.labels[position] for position in positions)
            index -= math.comb(len(self.labels), count)
        raise IndexError("the domain has fewer subsets")

    def accepts(self, answer: Answer) -> bool:
        return (
            isinstance(answer, tuple)
            and self.minimum <= len(answer) <= self.maximum
            and answer == self._ordered(answer)
        )

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """The subsets with one label added, removed or exchanged."""
        assert isinstance(answer, tuple)
        others = [label for label in self.labels if label not in answer]
        removed, added = [], []
        if len(answer) > self.minimum:
            removed = [tuple(kept for kept in answer if kept != label) for label in answer]
        if len(answer) < self.maximum:
            added = [self._ordered((*answer, label)) for label in others]
        swapped = [
            self._ordered((*(kept for kept in answer if kept != out), new))
            for out in answer
            for new in others
        ]
        return (*removed, *added, *swapped)

    def __str__(self) -> str:
        return f"{self.minimum} to {self.maximum} of {_listed(self.labels)}, in this order"

    def _ordered(self, chosen: tuple[Answer, ...]) -> tuple[Answer, ...]:
        return tuple(label for label in self.labels if label in chosen)


@dataclass(frozen=True)
class Permutation:
    """All of the labels in some order."""

    labels: tuple[Answer, ...]

    @property
    def size(self) -> int:
        return math.factorial(len(self.labels))

    def draw(self, random: _random.Random) -> Answer:
        shuffled = list(self.labels)
        random.shuffle(shuffled)
        return tuple(shuffled)

    def at(self, index: int) -> Answer:
        left, result = list(self.labels), []
        for remaining in range(len(left), 0, -1):
            position, index = divmod(index, math.factorial(remaining - 1))
            result.append(left.pop(position))
        return tuple(result)

    def accepts(self, answer: Answer) -> bool:
        return (
            isinstance(answer, tuple)
            and len(answer) == len(self.labels)
            and all(label in answer for label in self.labels)
        )

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """The orders with two places exchanged."""
        assert isinstance(answer, tuple)
        result = []
        for first, second in combinations(range(len(answer)), 2):
            swapped = list(answer)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            result.append(tuple(swapped))
        return tuple(result)

    def __str__(self) -> str:
        return f"{_listed(self.labels)}, in any order"


def _listed(labels: tuple[Answer, ...]) -> str:
    return ", ".join(map(repr, labels))


def _combination(total: int, count: int, index: int) -> list[int]:
    """The combination number `index`, in lexicographic order, of `count` out of `total` places."""
    result, position = [], 0
    while count:
        below = math.comb(total - position - 1, count - 1)
        if index < below:
            result.append(position)
            count -= 1
        else:
            index -= below
        position += 1
    return result
