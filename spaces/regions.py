"""Regions of a space: for some of its paths the answers that are offered there. What lies in any one of several regions is drawn without rejection.

An architecture lies in a region if it answers every question that the region knows by an answer that the region offers there. A question that the region
does not know, or whose domain takes none of the region's answers (it may depend on other answers), is open: all of its domain is offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spaces.domains import Answer, Domain, Integer, OneOf, Real

Region = Mapping[str, tuple[Answer, ...]]


@dataclass(frozen=True, eq=False)
class Regions:
    """All that lies in one of the members at least. Compared by identity: there may be hundreds of members, and spaces are keys of caches."""

    members: tuple[Region, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("a space without any region has no architecture: give one at least")


def offered(path: str, domain: Domain, left: tuple[Region, ...]) -> dict[Answer, None] | None:
    """The answers that the regions still left offer to a question, in their order; None where one of them leaves it open."""
    answers: dict[Answer, None] = {}
    for region in left:
        own = _own(region, path, domain)
        if own is None:
            return None
        answers.update(dict.fromkeys(own))
    return answers


def holding(path: str, domain: Domain, answer: Answer, left: tuple[Region, ...]) -> tuple[Region, ...]:
    """Those of the regions in which the question may be answered so."""
    if len(left) == 1:
        return left  # It offered the answer.
    return tuple([region for region in left if (own := _own(region, path, domain)) is None or answer in own])


def narrowed(domain: Domain, answers: Mapping[Answer, None]) -> Domain:
    """The domain of these of its answers alone: options in the order in which the program gives them, numbers ascending."""
    if isinstance(domain, OneOf):
        return OneOf(tuple([label for label in domain.labels if label in answers]))
    return OneOf(tuple(sorted(answers, key=float) if isinstance(domain, Integer | Real) else answers))  # type: ignore[arg-type]


def _own(region: Region, path: str, domain: Domain) -> tuple[Answer, ...] | None:
    known = region.get(path)
    if known is None:
        return None
    return tuple([answer for answer in known if domain.accepts(answer)]) or None
