"""The questions a search space asks, and the architecture that their answers are.

A space is a program: it is handed a `Chooser`, asks it by name (`choose.one_of("op", [...])`), and returns a graph. The same program serves
sampling, replay, mutation and enumeration, because all that changes is where the chooser takes its answers from:

    held      answers that the space itself fixes (see `operators.fix`)
    given     answers known beforehand, by path (an architecture that is replayed, a parent that is mutated)
    random    for every question that is left: a `random.Random`; without one an unanswered question is an error

An answer is stored as a JSON value: for `one_of` the chosen option's label, for `integer` and `real` the number, for `subset` and
`permutation` the tuple of labels.
"""

from __future__ import annotations

import hashlib
import json
import math
import random as _random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Protocol, TypeVar

Answer = str | int | float | bool | None | tuple[Any, ...]
Option = TypeVar("Option")

_SCALARS = frozenset({str, int, float, bool, type(None)})


class Rejected(Exception):
    """The space's program refused the choices made so far; `reason` says why. Raised by `Chooser.reject` only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: the space's name and the decisions made, in the order in which they were asked."""

    space: str
    decisions: tuple[tuple[str, Answer], ...]

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that depend on the space's name and the decisions alone, equal across processes and versions of Python."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    @property
    def answers(self) -> dict[str, Answer]:
        """The decisions by path."""
        return dict(self.decisions)

    def to_json(self) -> str:
        """A compact JSON object with the space's name and the decisions in order."""
        return json.dumps({"space": self.space, "decisions": dict(self.decisions)}, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Architecture:
        """The architecture that `to_json` wrote.

        Raises:
            ValueError: the text is not such an object.
        """
        try:
            loaded = json.loads(text)
            space, decisions = loaded["space"], loaded["decisions"]
            if not isinstance(space, str) or not isinstance(decisions, dict):
                raise TypeError("the fields have other types")
            return Architecture(space, tuple((path, _frozen(answer)) for path, answer in decisions.items()))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f'an architecture is a JSON object {{"space": name, "decisions": {{path: answer}}}}; got {text[:80]!r} ({error})'
            ) from error

    def __str__(self) -> str:
        return ", ".join(f"{path}={_shown(answer)}" for path, answer in self.decisions)


class Domain(Protocol):
    """The possible answers to one question. `size` is None where they are not finite."""

    @property
    def size(self) -> int | None: ...

    def draw(self, random: _random.Random) -> Answer:
        """One answer, uniform over the domain (log-uniform for a logarithmic real)."""
        ...

    def at(self, index: int) -> Answer:
        """The answer number `index`, 0 <= index < size."""
        ...

    def accepts(self, answer: Answer) -> bool: ...

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """The answers one small step away, `answer` itself left out."""
        ...


@dataclass(frozen=True)
class OneOf:
    """One of the labels."""

    labels: tuple[Answer, ...]

    @property
    def size(self) -> int:
        return len(self.labels)

    def draw(self, random: _random.Random) -> Answer:
        return self.labels[int(random.random() * len(self.labels))]

    def at(self, index: int) -> Answer:
        return self.labels[index]

    def accepts(self, answer: Answer) -> bool:
        return answer in self.labels

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        return tuple(label for label in self.labels if label != answer)


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
        return isinstance(answer, int) and not isinstance(answer, bool) and self.low <= answer <= self.high

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        assert isinstance(answer, int)
        return tuple(value for value in (answer - 1, answer + 1) if self.low <= value <= self.high)


@dataclass(frozen=True)
class Real:
    """A real number between `low` and `high`, on a logarithmic scale where `log`."""

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
        return isinstance(answer, int | float) and not isinstance(answer, bool) and self.low <= answer <= self.high

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """A tenth of the range up and down, on the domain's own scale."""
        assert isinstance(answer, int | float)
        if self.low == self.high:
            return ()
        position = math.log(answer / self.low) / math.log(self.high / self.low) if self.log else (answer - self.low) / (self.high - self.low)
        moved = {self._at_share(min(1.0, max(0.0, position + step))) for step in (-0.1, 0.1)}
        return tuple(sorted(value for value in moved if value != answer))

    def _at_share(self, share: float) -> float:
        value = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return min(self.high, max(self.low, value))


@dataclass(frozen=True)
class Subset:
    """From `minimum` to `maximum` of the labels, in their own order."""

    labels: tuple[Answer, ...]
    minimum: int
    maximum: int

    @property
    def size(self) -> int:
        return sum(math.comb(len(self.labels), count) for count in range(self.minimum, self.maximum + 1))

    def draw(self, random: _random.Random) -> Answer:
        return self.at(int(random.random() * self.size))

    def at(self, index: int) -> Answer:
        for count in range(self.minimum, self.maximum + 1):
            if index < math.comb(len(self.labels), count):
                return tuple(self.labels[position] for position in _combination(len(self.labels), count, index))
            index -= math.comb(len(self.labels), count)
        raise IndexError("the domain has fewer subsets")

    def accepts(self, answer: Answer) -> bool:
        return isinstance(answer, tuple) and self.minimum <= len(answer) <= self.maximum and answer == self._ordered(answer)

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """One label added, removed or exchanged."""
        assert isinstance(answer, tuple)
        others = [label for label in self.labels if label not in answer]
        removed = [tuple(kept for kept in answer if kept != label) for label in answer] if len(answer) > self.minimum else []
        added = [self._ordered((*answer, label)) for label in others] if len(answer) < self.maximum else []
        swapped = [self._ordered((*(kept for kept in answer if kept != out), new)) for out in answer for new in others]
        return (*removed, *added, *swapped)

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
        return isinstance(answer, tuple) and len(answer) == len(self.labels) and all(label in answer for label in self.labels)

    def near(self, answer: Answer) -> tuple[Answer, ...]:
        """Two places exchanged."""
        assert isinstance(answer, tuple)
        result = []
        for first, second in combinations(range(len(answer)), 2):
            swapped = list(answer)
            swapped[first], swapped[second] = swapped[second], swapped[first]
            result.append(tuple(swapped))
        return tuple(result)


class Chooser:
    """Answers a space's questions, and keeps every answer (`decisions`) and, where asked to, every domain (`domains`), by path.

    A path is the question's name behind the names of the scopes around it: `with choose.scope("block1"): choose.one_of("op", ...)` asks
    `block1/op`. Each path may be asked once.
    """

    __slots__ = ("_given", "_held", "_prefix", "_random", "decisions", "domains")

    def __init__(
        self,
        given: Mapping[str, Answer] | None = None,
        random: _random.Random | None = None,
        *,
        held: Mapping[str, Answer] | None = None,
        keep_domains: bool = False,
    ) -> None:
        self._given = given or {}
        self._held = held or {}
        self._random = random
        self._prefix = ""
        self.decisions: dict[str, Answer] = {}
        self.domains: dict[str, Domain] | None = {} if keep_domains else None

    def one_of(self, name: str, options: Sequence[Option]) -> Option:
        """One of the options. Strings, numbers and booleans are their own labels, anything else is labelled by its `__name__`.

        Raises:
            ValueError: no options, two options with one label, or the path was asked before.
        """
        # This is the hot path of sampling (>= 50,000 architectures a second): with nothing given no domain object is made.
        path = self._prefix + name
        if self._given or self._held or self.domains is not None or self._random is None:
            labels = _labels(path, options)
            index = labels.index(self._ask(path, OneOf(labels)))
            # The option's own label: an answer that is given as 1 where it is True would make another key.
            self.decisions[path] = labels[index]
            return options[index]
        if path in self.decisions:
            raise ValueError(_asked_twice(path))
        if not options:
            raise ValueError(f"the choice {path!r} has no options")
        option = options[int(self._random.random() * len(options))]
        self.decisions[path] = option if option.__class__ in _SCALARS else _label(option)  # type: ignore[assignment]
        return option

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number, low <= n <= high."""
        if not (isinstance(low, int) and isinstance(high, int)) or low > high:
            raise ValueError(f"the choice {self._prefix + name!r} needs whole numbers low <= high, got {low!r} and {high!r}")
        return self._ask(self._prefix + name, Integer(low, high))  # type: ignore[return-value]

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number, low <= x <= high, drawn uniformly, or uniformly in its logarithm."""
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (log and low <= 0):
            raise ValueError(f"the choice {self._prefix + name!r} needs finite low <= high (and low > 0 with log=True), got {low!r} and {high!r}")
        path = self._prefix + name
        value = self.decisions[path] = float(self._ask(path, Real(float(low), float(high), log)))  # type: ignore[arg-type]
        return value

    def subset(self, name: str, options: Sequence[Option], *, minimum: int = 0, maximum: int | None = None) -> tuple[Option, ...]:
        """Some of the options, in their own order, at least `minimum` and at most `maximum` (all)."""
        path = self._prefix + name
        labels = _labels(path, options)
        most = len(labels) if maximum is None else maximum
        if not 0 <= minimum <= most <= len(labels):
            raise ValueError(f"the choice {path!r} needs 0 <= minimum <= maximum <= {len(labels)} options, got {minimum} and {most}")
        chosen = self._ask(path, Subset(labels, minimum, most))
        return tuple(options[labels.index(label)] for label in chosen)  # type: ignore[union-attr]

    def permutation(self, name: str, options: Sequence[Option]) -> tuple[Option, ...]:
        """All of the options in some order."""
        path = self._prefix + name
        labels = _labels(path, options)
        chosen = self._ask(path, Permutation(labels))
        return tuple(options[labels.index(label)] for label in chosen)  # type: ignore[union-attr]

    def reject(self, reason: str) -> None:
        """Refuse the choices made so far: whoever asked for an architecture draws another."""
        raise Rejected(reason)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Questions asked inside are named `name/...`."""
        outer = self._prefix
        self._prefix = f"{outer}{name}/"
        try:
            yield
        finally:
            self._prefix = outer

    def _ask(self, path: str, domain: Domain) -> Answer:
        if path in self.decisions:
            raise ValueError(_asked_twice(path))
        if path in self._held:
            answer = self._held[path]
            if not domain.accepts(answer):
                raise ValueError(f"the choice {path!r} is held at {answer!r}, which is not among its answers: {_described(domain)}")
            domain = OneOf((answer,))
        elif path in self._given and domain.accepts(self._given[path]):
            answer = self._given[path]
        elif self._random is not None:
            answer = domain.draw(self._random)
        elif path in self._given:
            raise ValueError(f"the choice {path!r} cannot be answered by {self._given[path]!r}; its answers are: {_described(domain)}")
        else:
            raise ValueError(f"the choice {path!r} has no answer in this architecture, which answers: {', '.join(self._given) or 'nothing'}")
        self.decisions[path] = answer
        if self.domains is not None:
            self.domains[path] = domain
        return answer


def _asked_twice(path: str) -> str:
    return f"the choice {path!r} is asked twice; give each its own name, or ask inside `with choose.scope(...)`"


def _labels(path: str, options: Sequence[Any]) -> tuple[Answer, ...]:
    labels = tuple([option if option.__class__ in _SCALARS else _label(option) for option in options])
    if not labels:
        raise ValueError(f"the choice {path!r} has no options")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"the choice {path!r} has two options with the label {twice!r} (1, 1.0 and True count as one); make them distinct")
    return labels


def _label(option: Any) -> Answer:
    if isinstance(option, tuple | list):
        return json.dumps(option, default=_label)
    name = getattr(option, "__name__", None)
    if name is None or name == "<lambda>":
        raise ValueError(
            f"an option must be a string, number, boolean, None, a tuple of these, or a named function or class; got {option!r}. "
            "Choose among names instead and look the object up by the name chosen"
        )
    return name


def _described(domain: Domain) -> str:
    shown = repr(domain)
    return shown if len(shown) <= 200 else shown[:200] + "..."


def _combination(total: int, count: int, index: int) -> list[int]:
    """The combination number `index` of `count` out of `total` positions, in lexicographic order."""
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


def _frozen(value: Any) -> Answer:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if value.__class__ in _SCALARS:
        return value
    raise TypeError(f"an answer cannot be {value!r}")


def _shown(answer: Answer) -> str:
    if isinstance(answer, float):
        return f"{answer:.4g}"
    return "+".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)
