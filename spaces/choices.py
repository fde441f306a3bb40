"""The questions a search space asks, and the architecture that their answers are.

A space is a program: it is handed a `Chooser`, asks it by name (`choose.one_of("op", [...])`), and
returns a graph. The same program serves sampling, replay, mutation and enumeration, because all
that changes is where the chooser takes its answers from:

    held      answers that the space itself fixes (see `operators.fix`)
    given     answers known beforehand, by path (an architecture that is replayed, a parent that is mutated)
    regions   what is offered at all (see `operators.between`)
    otherwise answers where none is given, or none that is possible (the other parent of a
    crossover)
    random    for every question that is left: a `random.Random`; without one an unanswered question is an error

An answer is stored as a JSON value: for `one_of` the chosen option's label, for `integer` and
`real` the number, for `subset` and `permutation` the tuple of labels.
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
from typing import Any, TypeVar

from spaces.domains import Answer, Domain, Integer, OneOf, Permutation, Real, Subset
from spaces.regions import Members, Regions, narrowed

Option = TypeVar("Option")

_SCALARS = frozenset({str, int, float, bool, type(None)})


class Rejected(Exception):
    """The choices made are refused; `reason` says why. Raised by `Chooser.reject`, and where a
    space's `limit` is passed.

    Attributes:
        missed: by how much the limit was passed; None where there is no such number.
    """

    def __init__(self, reason: str, *, missed: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.missed = reason, missed


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: the space's name and the decisions made, in the order in which
    they were asked.
    """

    space: str
    decisions: tuple[tuple[str, Answer], ...]

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that depend on the space's name and the decisions alone, equal
        across processes and versions of Python.
        """
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    @property
    def answers(self) -> dict[str, Answer]:
        """The decisions by path."""
        return dict(self.decisions)

    def to_json(self) -> str:
        """A compact JSON object with the space's name and the decisions in order."""
        return json.dumps(
            {"space": self.space, "decisions": dict(self.decisions)},
            separators=(",", ":"),
            allow_nan=False,
        )

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
            return Architecture(
                space, tuple((path, _frozen(answer)) for path, answer in decisions.items())
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f'an architecture is a JSON object {{"space": name, "decisions": {{path: '
                f"answer}}}}; got {text[:80]!r} ({error})"
            ) from error

    def __str__(self) -> str:
        return ", ".join(f"{path}={_shown(answer)}" for path, answer in self.decisions)


class Chooser:
    """Answers a space's questions, and keeps every answer (`decisions`) and, where asked to, every
    domain (`domains`), by path.

    A path is the question's name behind the names of the scopes around it: `with
    choose.scope("block1"): choose.one_of("op", ...)` asks `block1/op`. Each path may be asked once.
    """

    __slots__ = (
        "_given",
        "_held",
        "_otherwise",
        "_prefix",
        "_random",
        "_regions",
        "decisions",
        "domains",
    )

    def __init__(
        self,
        given: Mapping[str, Answer] | None = None,
        random: _random.Random | None = None,
        *,
        otherwise: Mapping[str, Answer] | None = None,
        held: Mapping[str, Answer] | None = None,
        keep_domains: bool = False,
    ) -> None:
        self._given = given or {}
        self._otherwise = otherwise or {}
        self._held = held or {}
        self._random = random
        self._prefix = ""
        # Of each union of regions those in which all decisions lie so far.
        self._regions: list[tuple[Regions, Members]] = []
        self.decisions: dict[str, Answer] = {}
        self.domains: dict[str, Domain] | None = {} if keep_domains else None

    def one_of(self, name: str, options: Sequence[Option]) -> Option:
        """One of the options. Strings, numbers and booleans are their own labels, anything else is
        labelled by its `__name__`.

        Raises:
            ValueError: no options, two options with one label, or the path was asked before.
        """
        # This is the hot path of sampling (>= 50,000 architectures a second): with nothing given no
        # domain object is made.
        path = self._prefix + name
        if (
            self._given
            or self._held
            or self._regions
            or self.domains is not None
            or self._random is None
        ):
            labels = _labels(path, options)
            index = labels.index(self._ask(path, OneOf(labels)))
            # The option's own label: an answer that is given as 1 where it is True would make
            # another key.
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
            raise ValueError(
                f"the choice {self._prefix + name!r} needs whole numbers low <= high, got "
                f"{low!r} and {high!r}"
            )
        return self._ask(self._prefix + name, Integer(low, high))  # type: ignore[return-value]

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number, low <= x <= high, drawn uniformly, or uniformly in its logarithm."""
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (log and low <= 0):
            raise ValueError(
                f"the choice {self._prefix + name!r} needs finite low <= high (and low > 0 with "
                f"log=True), got {low!r} and {high!r}"
            )
        path = self._prefix + name
        value = self.decisions[path] = float(self._ask(path, Real(float(low), float(high), log)))  # type: ignore[arg-type]
        return value

    def subset(
        self, name: str, options: Sequence[Option], *, minimum: int = 0, maximum: int | None = None
    ) -> tuple[Option, ...]:
        """Some of the options, in their own order, at least `minimum` and at most `maximum` (all)."""
        path = self._prefix + name
        labels = _labels(path, options)
        most = len(labels) if maximum is None else maximum
        if not 0 <= minimum <= most <= len(labels):
            raise ValueError(
                f"the choice {path!r} needs 0 <= minimum <= maximum <= {len(labels)} options, "
                f"got {minimum} and {most}"
            )
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

    def offer(self, regions: Regions) -> None:
        """From here on a question offers only what lies in one of the regions, together with the
        answers to those before it.
        """
        self._regions.append((regions, regions.everyone))

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
        whole = domain
        if self._regions:
            domain = self._offered(path, whole)
        if path in self._held:
            answer = self._held[path]
            if not domain.accepts(answer):
                raise ValueError(
                    f"the choice {path!r} is held at {answer!r}, which is not among its answers: "
                    f"{_described(domain)}"
                )
            domain = OneOf((answer,))
        elif path in self._given and domain.accepts(self._given[path]):
            answer = self._given[path]
        elif path in self._otherwise and domain.accepts(self._otherwise[path]):
            answer = self._otherwise[path]
        elif self._random is not None:
            answer = domain.draw(self._random)
        elif path in self._given:
            raise ValueError(
                f"the choice {path!r} cannot be answered by {self._given[path]!r}; its answers "
                f"are: {_described(domain)}"
            )
        else:
            raise ValueError(
                f"the choice {path!r} has no answer in this architecture, which answers: "
                f"{', '.join(self._given) or 'nothing'}"
            )
        self.decisions[path] = answer
        if self._regions:
            self._regions = [
                (regions, regions.holding(path, whole, answer, left))
                for regions, left in self._regions
            ]
        if self.domains is not None:
            self.domains[path] = domain
        return answer

    def _offered(self, path: str, domain: Domain) -> Domain:
        """What all unions of regions offer of a domain."""
        answers: dict[Answer, int] | None = None
        for regions, left in self._regions:
            own = regions.offered(path, domain, left)
            if own is not None:
                answers = (
                    own
                    if answers is None
                    else {
                        answer: min(count, own[answer])
                        for answer, count in answers.items()
                        if answer in own
                    }
                )
        if answers is None:
            return domain
        if not answers:
            raise Rejected(
                f"the regions that the space is held to have no answer to {path!r} in common"
            )
        return narrowed(domain, answers)


def _asked_twice(path: str) -> str:
    return (
        f"the choice {path!r} is asked twice; give each its own name, or ask inside `with "
        "choose.scope(...)`"
    )


def _labels(path: str, options: Sequence[Any]) -> tuple[Answer, ...]:
    labels = tuple(
        [option if option.__class__ in _SCALARS else _label(option) for option in options]
    )
    if not labels:
        raise ValueError(f"the choice {path!r} has no options")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(
            f"the choice {path!r} has two options with the label {twice!r} (1, 1.0 and True "
            "count as one); make them distinct"
        )
    return labels


def _label(option: Any) -> Answer:
    if isinstance(option, tuple | list):
        return json.dumps(option, default=_label)
    name = getattr(option, "__name__", None)
    if name is None or name == "<lambda>":
        raise ValueError(
            "an option must be a string, number, boolean, None, a tuple of these, or a named "
            f"function or class; got {option!r}. "
            "Choose among names instead and look the object up by the name chosen"
        )
    return name


def _described(domain: Domain) -> str:
    shown = str(domain)
    return shown if len(shown) <= 200 else shown[:200] + "..."


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
