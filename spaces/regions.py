"""Regions of a space, which offer only some answers at some paths.

Architectures in any one of several regions are drawn without rejection.

An architecture lies in a region if it answers every question that the region knows by an answer
that the region offers there. A question is open, with its whole domain on offer, if the region does
not know it, or if its domain accepts none of the region's answers (it may depend on other answers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from spaces.domains import Answer, Domain, Integer, OneOf, Real

Region = Mapping[str, tuple[Answer, ...]]
# A set of members as a whole number with one bit for each: operations on hundreds of members are as
# fast as on one.
Members = int


@dataclass(frozen=True, eq=False)
class Regions:
    """The union of the regions `members`.

    It is compared by identity, because there may be hundreds of members, and spaces are keys of
    caches.
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
        """The answers that the remaining members offer, and how many members offer each.

        None if one of the members leaves the question open.
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
        if named != left:
            return None
        return {answer: members.bit_count() for answer, members in known.items()}

    def holding(self, path: str, domain: Domain, answer: Answer, left: Members) -> Members:
        """Those of the remaining members in which this is a possible answer to the question."""
        if left & (left - 1) == 0:
            return left  # The answer was offered by this only member.
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


def offered_by_all(
    unions: Iterable[tuple[Regions, Members]], path: str, domain: Domain
) -> dict[Answer, int] | None:
    """The answers that every union offers, with the smallest number of members that offer each.

    None if every union leaves the question open. Each union comes with its remaining members.
    """
    common: dict[Answer, int] | None = None
    for regions, left in unions:
        own = regions.offered(path, domain, left)
        if own is None:
            continue
        if common is None:
            common = own
        else:
            common = {
                answer: min(count, own[answer]) for answer, count in common.items() if answer in own
            }
    return common


def narrowed(domain: Domain, answers: Mapping[Answer, int]) -> Domain:
    """The domain with these of its answers alone, drawn in proportion to their weights.

    Options keep the program's order; numbers ascend.
    """
    if isinstance(domain, OneOf):
        labels = tuple([label for label in domain.labels if label in answers])
    elif isinstance(domain, Integer | Real):
        labels = tuple(sorted(answers, key=float))  # type: ignore[arg-type]
    else:
        labels = tuple(answers)
    weights = tuple([answers[label] for label in labels])
    return OneOf(labels) if len(set(weights)) == 1 else OneOf(labels, weights)
