"""The chooser, which answers the questions of a search space's program.

A space is a program. It receives a `Chooser`, asks it named questions (`choose.one_of("op",
[...])`), and returns a graph. The same program serves sampling, replay, mutation and enumeration,
because these differ only in where the chooser takes its answers from:

    held        answers that the space itself fixes (see `operators.fix`)
    given       known answers, by path (of an architecture to replay, or of a parent to mutate)
    regions     the only answers that are offered (see `operators.between`)
    otherwise   answers for paths that `given` lacks or answers impossibly (the other parent of a
                crossover)
    random      a `random.Random` for all remaining questions; if it is None, an unanswered
                question is an error

An answer is stored as a JSON value: for `one_of` the chosen option's label, for `integer` and
`real` the number, for `subset` and `permutation` the tuple of labels.
"""

from __future__ import annotations

import math
import random as _random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from spaces.architecture import Architecture
from spaces.domains import Answer, Domain, Integer, OneOf, Permutation, Real, Subset
from spaces.labels import SCALARS, label_of, labels_of
from spaces.regions import Members, Regions, narrowed, offered_by_all

__all__ = ["Architecture", "Chooser", "Rejected"]

Option = TypeVar("Option")


class Rejected(Exception):
    """The space rejects the choices made; `reason` says why.

    `Chooser.reject` raises it, and so does a space whose `limit` is exceeded.

    Attributes:
        missed: by how much the limit is exceeded; None if there is no such number.
    """

    def __init__(self, reason: str, *, missed: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.missed = reason, missed


class Chooser:
    """Answers a space's questions, and keeps every answer by path in `decisions`.

    If `keep_domains` is true, it also keeps every question's domain by path in `domains`.

    A path is the question's name after the names of the scopes around it: `with
    choose.scope("block1"): choose.one_of("op", ...)` asks `block1/op`. Each path may be asked once.

    >>> choose = Chooser({"op": "pool"})
    >>> choose.one_of("op", ["conv", "pool"])
    'pool'
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
        # Each union of regions, with those of its members that hold all decisions so far.
        self._regions: list[tuple[Regions, Members]] = []
        self.decisions: dict[str, Answer] = {}
        self.domains: dict[str, Domain] | None = {} if keep_domains else None

    def one_of(self, name: str, options: Sequence[Option]) -> Option:
        """One of the options.

        Strings, numbers and booleans are their own labels; any other option is labelled by its
        `__name__`.

        Raises:
            ValueError: there are no options, two options have the same label, or the path was
                asked before.
        """
        # This is the hot path of sampling (>= 50,000 architectures a second): if no answer is given
        # and no domain is kept, no domain object is made.
        path = self._prefix + name
        if (
            self._given
            or self._held
            or self._regions
            or self.domains is not None
            or self._random is None
        ):
            labels = labels_of(path, options)
            index = labels.index(self._ask(path, OneOf(labels)))
            # The option's own label is stored: a given 1 for an option True would otherwise change
            # the architecture's key.
            self.decisions[path] = labels[index]
            return options[index]
        if path in self.decisions:
            raise ValueError(_asked_twice(path))
        if not options:
            raise ValueError(f"the choice {path!r} has no options")
        option = options[int(self._random.random() * len(options))]
        label: Any = option if option.__class__ in SCALARS else label_of(option)
        self.decisions[path] = label
        return option

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number n, low <= n <= high.

        Raises:
            ValueError: a bound is not a whole number, low > high, or the path was asked before.
        """
        if not (isinstance(low, int) and isinstance(high, int)) or low > high:
            raise ValueError(
                f"the choice {self._prefix + name!r} needs whole numbers low <= high, got "
                f"{low!r} and {high!r}"
            )
        return self._ask(self._prefix + name, Integer(low, high))  # type: ignore[return-value]

    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A real number x, low <= x <= high, uniform, or uniform in its logarithm if `log`.

        Raises:
            ValueError: a bound is not finite, low > high, low <= 0 although `log`, or the path was
                asked before.
        """
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (log and low <= 0):
            raise ValueError(
                f"the choice {self._prefix + name!r} needs finite low <= high (and low > 0 with "
                f"log=True), got {low!r} and {high!r}"
            )
        path = self._prefix + name
        answer: Any = self._ask(path, Real(float(low), float(high), log))
        value = self.decisions[path] = float(answer)
        return value

    def subset(
        self, name: str, options: Sequence[Option], *, minimum: int = 0, maximum: int | None = None
    ) -> tuple[Option, ...]:
        """From `minimum` to `maximum` (None: all) of the options, in the order of the options.

        Raises:
            ValueError: not 0 <= minimum <= maximum <= number of options, or as for `one_of`.
        """
        path = self._prefix + name
        labels = labels_of(path, options)
        most = len(labels) if maximum is None else maximum
        if not 0 <= minimum <= most <= len(labels):
            raise ValueError(
                f"the choice {path!r} needs 0 <= minimum <= maximum <= {len(labels)} options, "
                f"got {minimum} and {most}"
            )
        chosen = self._ask(path, Subset(labels, minimum, most))
        return tuple(options[labels.index(label)] for label in chosen)  # type: ignore[union-attr]

    def permutation(self, name: str, options: Sequence[Option]) -> tuple[Option, ...]:
        """All of the options in some order.

        Raises:
            ValueError: as for `one_of`.
        """
        path = self._prefix + name
        labels = labels_of(path, options)
        chosen = self._ask(path, Permutation(labels))
        return tuple(options[labels.index(label)] for label in chosen)  # type: ignore[union-attr]

    def reject(self, reason: str) -> None:
        """Rejects the choices made so far, so that a sampler draws another architecture.

        Raises:
            Rejected: always.
        """
        raise Rejected(reason)

    def restart(self) -> None:
        """Makes the chooser ready to run its program again, with the same answers so far."""
        self._given = {**self._given, **self.decisions}
        self._prefix = ""
        self._regions = [(regions, regions.everyone) for regions, _ in self._regions]
        self.decisions = {}
        if self.domains is not None:
            self.domains = {}

    def offer(self, regions: Regions) -> None:
        """Restricts all further questions to the answers that some region still offers.

        A region offers answers only as long as it holds the answers to all earlier questions.
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
        """The part of the domain that all unions of regions offer."""
        answers = offered_by_all(self._regions, path, domain)
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


def _described(domain: Domain) -> str:
    shown = str(domain)
    return shown if len(shown) <= 200 else shown[:200] + "..."
