"""Regions of a space: for some of its paths the answers that are offered there. What lies in any
one of several regions is drawn without rejection.

An architecture lies in a region if it answers every question that the region knows by an answer
that the region offers there. A question that the region does not know, or whose domain takes none
of the region's answers (it may depend on other answers), is open: all of its domain is offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from spaces.domains import Answer, Domain, Integer, OneOf, Real

Region = Mapping[str, tuple[Answer, ...]]
# Some of the members, as a whole number that has a bit for each: hundreds are looked at as fast as
# one.
Members = int


@dataclass(frozen=True, eq=False)
class Regions:
    """All that lies in one of the members at least. Compared by identity: there may be hundreds of
    members, and spaces are keys of caches.
    """

    members: tuple[Region, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("a space without any region has no architecture: give one at least")

    @property
    def everyone(self) -> Members:
        """All members."""
        return (1 << len(self.members)) - 1

    def offered(self, path: str, domain: Domain, left: Members) -> dict[Answer, int] | None:
        """The answers that the members still left offer to a question, and how many offer each;
        None where one of them leaves it open.
        """
        if left & (left - 1) == 0:
            answers = self.members[left.bit_length() - 1].get(path, ())
            return {answer: 1 for answer in answers if domain.accepts(answer)} or None
        known = {
            answer: members & left
            for answer, members in self._by_path.get(path, {}).items()
            if members & left and domain.accepts(answer)
        }
        named = 0
        for members in known.values():
            named |= members
        return (
            None
            if named != left
            else {answer: members.bit_count() for answer, members in known.items()}
        )

    def holding(self, path: str, domain: Domain, answer: Answer, left: Members) -> Members:
        """Those of the members still left in which the question may be answered so."""
        if left & (left - 1) == 0:
            return left  # The only one offered the answer.
        named = kept = 0
        for other, members in self._by_path.get(path, {}).items():
            if members & left and domain.accepts(other):
                named |= members
                if other == answer:
                    kept |= members
        return left & (kept | ~named)

    @cached_property
    def _by_path(self) -> dict[str, dict[Answer, Members]]:
        result: dict[str, dict[Answer, Members]] = {}
        for number, region in enumerate(self.members):
            for path, answers in region.items():
                own = result.setdefault(path, {})
                for answer in answers:
                    own[answer] = own.get(answer, 0) | 1 << number
        return result


def narrowed(domain: Domain, answers: Mapping[Answer, int]) -> Domain:
    """The domain of these of its answers alone, each drawn as often as its weight says; options in
    the program's order, numbers ascending.
    """
    if isinstance(domain, OneOf):
        labels = tuple([label for label in domain.labels if label in answers])
    else:
        labels = tuple(
            sorted(answers, key=float) if isinstance(domain, Integer | Real) else answers
        )  # type: ignore[arg-type]
    weights = tuple([answers[label] for label in labels])
    return OneOf(labels) if len(set(weights)) == 1 else OneOf(labels, weights)
