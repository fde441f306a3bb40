"""Everything that can be done to any space, written once: each operator replays the space's program
with some answers given.

A user's own space needs to implement none of them. An operator that has to draw takes a
`random.Random`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import count
from math import nextafter, prod
from random import Random
from types import MappingProxyType
from typing import Any

from spaces.choices import Architecture, Chooser, Rejected
from spaces.domains import Answer, Domain
from spaces.graph import Graph
from spaces.regions import Region, Regions
from spaces.space import SearchSpace

ATTEMPTS = 1000


class NothingDrawn(ValueError):
    """The space rejected as many draws in a row as are attempted."""


def sample(space: SearchSpace, random: Random) -> Architecture:
    """One architecture: every question answered at random. Rejected draws are thrown away.

    Raises:
        NothingDrawn: the space rejected a thousand draws in a row; the message gives its reasons.
    """
    return _draw(space, {}, random)[0]


def sample_graph(space: SearchSpace, random: Random) -> tuple[Architecture, Graph]:
    """The same with its graph, from one run of the program."""
    architecture, returned = _draw(space, {}, random)
    return architecture, space.as_graph(returned)  # type: ignore[arg-type]


@lru_cache(maxsize=100_000)
def domains(space: SearchSpace, architecture: Architecture) -> Mapping[str, Domain]:
    """What each of the architecture's questions could have been answered, by path. Remembered: one
    parent has many children.
    """
    return MappingProxyType(space.questions(architecture))


def mutate(space: SearchSpace, parent: Architecture, random: Random) -> Architecture:
    """The parent with one decision changed. The others are kept where they are still asked; new
    questions are answered at random.

    Raises:
        ValueError: nothing can be changed, or all that was tried was rejected.
    """
    open_paths = [
        (path, domain) for path, domain in domains(space, parent).items() if domain.size != 1
    ]
    if not open_paths:
        raise ValueError(
            f"no decision of the space {space.name!r} can be changed: each has one answer only"
        )
    for _ in range(ATTEMPTS):
        path, domain = open_paths[int(random.random() * len(open_paths))]
        child = _step(space, parent, path, _other(domain, parent.answers[path], random), random)
        if child is not None and child != parent:
            return child
    raise ValueError(f"the space {space.name!r} rejected {ATTEMPTS} mutations of {parent}")


def crossover(
    space: SearchSpace, mother: Architecture, father: Architecture, random: Random
) -> Architecture:
    """Each decision from one parent or the other by a coin, or from the one whose answer is
    possible; where neither's is, at random.

    Raises:
        ValueError: all that was tried was rejected.
    """
    for _ in range(ATTEMPTS):
        wanted = father.answers
        wanted.update(
            (path, answer)
            for path, answer in mother.decisions
            if path not in wanted or random.random() < 0.5
        )
        others = {
            path: answer
            for parent in (mother, father)
            for path, answer in parent.decisions
            if answer != wanted[path]
        }
        choose = Chooser(wanted, random, otherwise=others, held=dict(space.held))
        if _completes(space, choose):
            return Architecture(space.name, tuple(choose.decisions.items()))
    raise ValueError(
        f"the space {space.name!r} rejected {ATTEMPTS} crossovers of {mother} and {father}"
    )


def neighbours(
    space: SearchSpace, architecture: Architecture, random: Random
) -> tuple[Architecture, ...]:
    """All architectures that differ by one small step in one decision (another option, the next
    number, two places exchanged).

    Questions that such a step opens are answered at random; steps that the program rejects are left
    out.
    """
    found: dict[Architecture, None] = {}
    for path, domain in domains(space, architecture).items():
        for answer in domain.near(architecture.answers[path]):
            neighbour = _step(space, architecture, path, answer, random)
            if neighbour is not None and neighbour != architecture:
                found[neighbour] = None
    return tuple(found)


def enumerate_all(space: SearchSpace, *, runs: int | None = None) -> Iterator[Architecture]:
    """Every architecture once, in the order of the options, without those that the program rejects.

    Args:
        runs: of the program, rejected ones too, at most; None: as many as it takes.

    Raises:
        ValueError: a decision is a real number: there is no end to them; or more runs are needed.
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
            _FIRST,
            held=dict(space.held),
            keep_domains=True,
        )
        if _completes(space, choose):
            yield Architecture(space.name, tuple(choose.decisions.items()))
        assert choose.domains is not None
        taken += [(path, domain, 0) for path, domain in list(choose.domains.items())[len(taken) :]]
        while taken and taken[-1][2] + 1 >= _finite(*taken[-1]):
            taken.pop()
        if not taken:
            return
        path, domain, position = taken[-1]
        taken[-1] = (path, domain, position + 1)


@lru_cache(maxsize=16)
def every_one(space: SearchSpace, most: int) -> tuple[Architecture, ...] | None:
    """All architectures of a small space; None where there are more than `most`, those that are
    rejected counted too.
    """
    try:
        listed = any(len(regions.members) > 1 for regions in space.regions)
        if not listed and all(_along_one(space, steady) > most for steady in (_FIRST, _LAST)):
            return None
        return tuple(enumerate_all(space, runs=most))
    except ValueError:
        return None


def _along_one(space: SearchSpace, steady: Random) -> int:
    """The product of the sizes of the questions that one architecture is asked.

    That is the size of a space in which no question depends on an answer, and tells at once that
    most large ones are large. Where the program may end early, one of two extreme architectures
    ends early and its product is small. Of a space held to several regions it tells nothing: each
    question may offer some answers of each.
    """
    choose = Chooser({}, steady, held=dict(space.held), keep_domains=True)
    _completes(space, choose)
    assert choose.domains is not None
    return prod(_finite(path, domain, 0) for path, domain in choose.domains.items())


def next_question(
    space: SearchSpace, answers: Mapping[str, Answer]
) -> tuple[str, Domain] | Architecture:
    """The first question with more than one answer that these answers leave open, by path; the
    architecture where there is none.

    The program is run to its end with the first answer for all that is open, so it has to complete
    with them, or to reject.

    Raises:
        Rejected: the program refused the answers before it asked for more.
    """
    choose = Chooser(answers, _FIRST, held=dict(space.held), keep_domains=True)
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


def fix(space: SearchSpace, held: Mapping[str, Answer]) -> SearchSpace:
    """The space with some decisions held, the rest free. Its architectures belong to the whole
    space too.

    A held path that the program does not ask (because another choice leads past it) is no error; an
    answer outside the path's domain is, as soon as it is asked.
    """
    lists = {path: tuple(answer) for path, answer in held.items() if isinstance(answer, list)}
    return replace(space, held=tuple({**dict(space.held), **held, **lists}.items()))


def between(space: SearchSpace, first: Architecture, second: Architecture) -> SearchSpace:
    """The space of what lies between two architectures: every question offers only what they answer
    there. See `between_any`.
    """
    return between_any(space, [(first, second)])


def between_any(
    space: SearchSpace, pairs: Iterable[tuple[Architecture, Architecture]]
) -> SearchSpace:
    """The space of the interpolants of one pair or another: whatever answers each question as one
    parent of the pair does, or as the other.

    A question that only one of two parents was asked keeps that parent's answer, so behind the end
    of the shorter the rest of the longer follows unchanged. Both parents are interpolants, and so
    are those that end where the shorter does; hold the depth with `fix` to leave them out. A
    question that neither was asked, or whose domain here takes neither's answer because it depends
    on other answers, stays open. The architectures belong to the whole space too (Tuli et al., JAIR
    2023, whose interpolants are all as long as the longer parent).

    Raises:
        ValueError: there is no pair, or a parent is of another space.
    """
    return _offering(space, [_union(space, pair) for pair in pairs])


def only(space: SearchSpace, architectures: Iterable[Architecture]) -> SearchSpace:
    """The space of these architectures alone. A question offers what some of them answer there, all
    earlier answers being the same.

    Samples are uniform over the architectures, as long as all are different and the space rejects
    none.

    Raises:
        ValueError: there is none, or one is of another space.
    """
    return _offering(space, [_union(space, (architecture,)) for architecture in architectures])


def attempt(space: SearchSpace, given: Mapping[str, Answer], random: Random) -> Architecture | None:
    """The architecture that answers as given, where that is asked and possible, and else at random;
    None where the program rejects it.
    """
    choose = Chooser(given, random, held=dict(space.held), keep_domains=True)
    return (
        Architecture(space.name, tuple(choose.decisions.items()))
        if _completes(space, choose)
        else None
    )


def _step(
    space: SearchSpace, parent: Architecture, path: str, answer: Answer, random: Random
) -> Architecture | None:
    """The parent with another answer at one path, questions that it opens answered at random; None
    where the program rejects it.
    """
    settled = _settled(space, parent, path, answer)
    return (
        attempt(space, {**parent.answers, path: answer}, random) if settled is None else settled[0]
    )


@lru_cache(maxsize=20_000)
def _settled(
    space: SearchSpace, parent: Architecture, path: str, answer: Answer
) -> tuple[Architecture | None] | None:
    """What that step leads to; None where it opens questions, so that it has several ends.

    Remembered: a search tries the same steps from its few best again and again, and a space that
        rejects most of them is asked each of them once.
    """
    choose = Chooser({**parent.answers, path: answer}, held=dict(space.held), keep_domains=True)
    try:
        return (
            Architecture(space.name, tuple(choose.decisions.items()))
            if _completes(space, choose)
            else None,
        )
    except ValueError:
        return None


class Steady(Random):
    """Draws the answer at one place of every domain: with 0.0 the first."""

    def __init__(self, place: float) -> None:
        super().__init__(0)
        self.place = place

    def random(self) -> float:
        return self.place

    def shuffle(self, x: Any) -> None:
        """Leaves the order as it is."""


_FIRST, _LAST = Steady(0.0), Steady(nextafter(1.0, 0.0))


def _offering(space: SearchSpace, members: list[Region]) -> SearchSpace:
    return replace(space, regions=(*space.regions, Regions(tuple(members))))


def _union(space: SearchSpace, parents: tuple[Architecture, ...]) -> Region:
    """By path the answers of the parents."""
    answers: dict[str, tuple[Answer, ...]] = {}
    for parent in parents:
        if parent.space != space.name:
            raise ValueError(
                f"the architecture belongs to the space {parent.space!r}, this space is "
                f"{space.name!r}"
            )
        for path, answer in parent.decisions:
            known = answers.get(path, ())
            answers[path] = known if answer in known else (*known, answer)
    return answers


def _completes(space: SearchSpace, choose: Chooser) -> bool:
    try:
        space.run(choose)
    except Rejected:
        return False
    return True


def _finite(path: str, domain: Domain, position: int) -> int:
    if domain.size is None:
        raise ValueError(
            f"the choice {path!r} is a real number, so the space has no end; hold it with `fix` "
            "to enumerate the rest"
        )
    return domain.size


def _draw(
    space: SearchSpace, given: Mapping[str, Answer], random: Random
) -> tuple[Architecture, object]:
    reasons: Counter[str] = Counter()
    missed: dict[str, float] = {}
    held = dict(space.held)
    for _ in range(ATTEMPTS):
        choose = Chooser(given, random, held=held)
        try:
            returned = space.run(choose)
        except Rejected as rejected:
            reasons[rejected.reason] += 1
            if rejected.missed is not None:
                missed[rejected.reason] = min(
                    rejected.missed, missed.get(rejected.reason, rejected.missed)
                )
            continue
        return Architecture(space.name, tuple(choose.decisions.items())), returned
    nearest = {
        reason: f", the nearest missed it by {amount:,.6g}" for reason, amount in missed.items()
    }
    shown = "; ".join(
        f"{reason} ({count} times{nearest.get(reason, '')})"
        for reason, count in reasons.most_common(3)
    )
    advice = "Loosen the constraint" if missed else "Ask for fewer impossible combinations"
    raise NothingDrawn(
        f"the space {space.name!r} rejected {ATTEMPTS} architectures in a row: {shown}. {advice}"
    )


def _other(domain: Domain, answer: Answer, random: Random) -> Answer:
    """Another answer: half of the time a small step where the domain has them, else any."""
    near = domain.near(answer)
    if near and random.random() < 0.5:
        return near[int(random.random() * len(near))]
    for _ in range(ATTEMPTS):
        drawn = domain.draw(random)
        if drawn != answer:
            return drawn
    return near[0] if near else answer
