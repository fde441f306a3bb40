"""The architectures of a space one after another, and the first question that is still open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import count
from math import inf, prod
from random import Random

from spaces.choices import Architecture, Chooser, Rejected
from spaces.domains import Answer, Domain
from spaces.space import SearchSpace
from spaces.steady import FIRST, LAST


def enumerate_all(space: SearchSpace, *, runs: int | None = None) -> Iterator[Architecture]:
    """Every architecture that the program does not reject, once, in the order of the options.

    Args:
        runs: the largest number of runs of the program, rejected ones included; None: no limit.

    Raises:
        ValueError: a decision is a real number, so there is no end, or more than `runs` runs are
            needed.
    """
    taken: list[tuple[str, Domain, int]] = []
    for run in count():
        if run == runs:
            raise ValueError(
                f"the space {space.name!r} has more than the {runs} architectures that were to "
                "be looked at, some of them perhaps rejected"
            )
        choose = Chooser(
            {path: domain.at(position) for path, domain, position in taken},
            FIRST,
            held=dict(space.held),
            keep_domains=True,
        )
        architecture = completed(space, choose)
        if architecture is not None:
            yield architecture
        assert choose.domains is not None
        taken += [(path, domain, 0) for path, domain in list(choose.domains.items())[len(taken) :]]
        while taken and taken[-1][2] + 1 >= _finite_size(*taken[-1][:2]):
            taken.pop()
        if not taken:
            return
        path, domain, position = taken[-1]
        taken[-1] = (path, domain, position + 1)


def every_one_of(space: SearchSpace, most: int, remedy: str) -> Iterator[Architecture]:
    """Every architecture, as `enumerate_all` gives them, if there are no more than `most`.

    Args:
        space: the space.
        most: how many there may be.
        remedy: what to do if there are more, for the message.

    Raises:
        ValueError: a decision is a real number, or there are more than `most` architectures. If
            the decisions of the first one have more than 10 * `most` combinations, the error comes
            at once.
    """
    first = next(enumerate_all(space), None)
    if first is not None:
        sizes = [domain.size or inf for domain in space.questions(first).values()]
        if prod(sizes) > 10 * most:
            raise ValueError(
                f"the space {space.name!r} has some {prod(sizes):.0e} combinations of decisions, "
                f"more than {most:,}: {remedy}"
            )
    for place, architecture in enumerate(enumerate_all(space)):
        if place == most:
            raise ValueError(
                f"the space {space.name!r} has more than {most:,} architectures: {remedy}"
            )
        yield architecture


@lru_cache(maxsize=16)
def every_one(space: SearchSpace, most: int) -> tuple[Architecture, ...] | None:
    """All architectures of a small space; None if it has more than `most`.

    Rejected architectures count towards `most`.
    """
    try:
        listed = any(len(regions.members) > 1 for regions in space.regions)
        if not listed and all(_size_along_one(space, steady) > most for steady in (FIRST, LAST)):
            return None
        return tuple(enumerate_all(space, runs=most))
    except ValueError:
        return None


def next_question(
    space: SearchSpace, answers: Mapping[str, Answer]
) -> tuple[str, Domain] | Architecture:
    """The first open question with more than one answer, as (path, domain).

    If these answers leave no question open, the result is the architecture.

    The program is run to its end, with the first answer for every open question. So it must either
    complete with those answers or reject them.

    Raises:
        Rejected: the program rejected the answers before it asked another question.
    """
    choose = Chooser(answers, FIRST, held=dict(space.held), keep_domains=True)
    rejected: Rejected | None = None
    try:
        space.run(choose)
    except Rejected as error:
        rejected = error
    assert choose.domains is not None
    for path, domain in choose.domains.items():
        if path not in answers and domain.size != 1:
            return path, domain
    if rejected is not None:
        raise rejected
    return Architecture(space.name, tuple(choose.decisions.items()))


def completed(space: SearchSpace, choose: Chooser) -> Architecture | None:
    """The architecture of the chooser's answers; None if the program rejects them."""
    try:
        space.run(choose)
    except Rejected:
        return None
    return Architecture(space.name, tuple(choose.decisions.items()))


def _size_along_one(space: SearchSpace, steady: Random) -> int:
    """The product of the sizes of the questions that one architecture is asked.

    This is the size of a space in which no question depends on an answer. It shows at once that
    most large spaces are large. If the program may end early, one of the two extreme architectures
    ends early, and its product is small. The product says nothing about a space with several
    regions, because each question may offer some answers of each region.
    """
    choose = Chooser({}, steady, held=dict(space.held), keep_domains=True)
    completed(space, choose)
    assert choose.domains is not None
    return prod(_finite_size(path, domain) for path, domain in choose.domains.items())


def _finite_size(path: str, domain: Domain) -> int:
    if domain.size is None:
        raise ValueError(
            f"the choice {path!r} is a real number, so the space has no end; hold it with `fix` "
            "to enumerate the rest"
        )
    return domain.size
