"""Operators for every space: sample, mutate, cross over, enumerate, narrow.

Each operator replays the space's program with some answers given, so a user's own space implements
none of them. An operator that draws takes a `random.Random`.

>>> from spaces.load import load_space
>>> space, random = load_space("nasbench201"), Random(0)
>>> parent = sample(space, random)
>>> mutate(space, parent, random) == parent
False
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from random import Random
from types import MappingProxyType

from spaces.choices import Architecture, Chooser, Rejected
from spaces.domains import Answer, Domain
from spaces.enumeration import completed, enumerate_all, every_one_of, next_question
from spaces.graph import Graph
from spaces.narrowing import between, between_any, fix, only
from spaces.space import SearchSpace

__all__ = [
    "ATTEMPTS",
    "NothingDrawn",
    "attempt",
    "between",
    "between_any",
    "crossover",
    "domains",
    "enumerate_all",
    "every_one_of",
    "fix",
    "mutate",
    "neighbours",
    "next_question",
    "only",
    "sample",
    "sample_graph",
]

ATTEMPTS = 1000


class NothingDrawn(ValueError):
    """The space rejected `ATTEMPTS` draws in a row."""


def sample(space: SearchSpace, random: Random) -> Architecture:
    """One architecture, every question answered at random; rejected draws are repeated.

    Raises:
        NothingDrawn: the space rejected a thousand draws in a row; the message gives its reasons.
    """
    return _draw(space, {}, random)[0]


def sample_graph(space: SearchSpace, random: Random) -> tuple[Architecture, Graph]:
    """The architecture that `sample` draws and its graph, from one run of the program.

    Raises:
        NothingDrawn: as for `sample`.
    """
    architecture, returned = _draw(space, {}, random)
    return architecture, space.as_graph(returned)  # type: ignore[arg-type]


@lru_cache(maxsize=100_000)
def domains(space: SearchSpace, architecture: Architecture) -> Mapping[str, Domain]:
    """The domains of the architecture's questions, by path.

    They are cached, because one parent has many children.
    """
    return MappingProxyType(space.questions(architecture))


def mutate(space: SearchSpace, parent: Architecture, random: Random) -> Architecture:
    """The parent with one decision changed.

    The other decisions are kept if they are still asked; new questions are answered at random.

    Raises:
        ValueError: no decision can be changed, or the space rejected all attempts.
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
    """A child that takes each decision from one parent or the other, with probability 1/2 each.

    If only one parent's answer is possible, the child takes that one; if neither is, it answers at
    random.

    Raises:
        ValueError: the space rejected all attempts.
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
        child = completed(space, Chooser(wanted, random, otherwise=others, held=dict(space.held)))
        if child is not None:
            return child
    raise ValueError(
        f"the space {space.name!r} rejected {ATTEMPTS} crossovers of {mother} and {father}"
    )


def neighbours(
    space: SearchSpace, architecture: Architecture, random: Random
) -> tuple[Architecture, ...]:
    """All architectures that differ from this one by one small step in one decision.

    A small step is another option, the next number, or two places exchanged. Questions that a step
    opens are answered at random. Steps that the program rejects are left out.
    """
    found: dict[Architecture, None] = {}
    for path, domain in domains(space, architecture).items():
        for answer in domain.near(architecture.answers[path]):
            neighbour = _step(space, architecture, path, answer, random)
            if neighbour is not None and neighbour != architecture:
                found[neighbour] = None
    return tuple(found)


def attempt(space: SearchSpace, given: Mapping[str, Answer], random: Random) -> Architecture | None:
    """The architecture with the given answers, and random answers to all other questions.

    A given answer that is impossible is replaced by a random one. None if the program rejects the
    architecture.
    """
    return completed(space, Chooser(given, random, held=dict(space.held), keep_domains=True))


def _step(
    space: SearchSpace, parent: Architecture, path: str, answer: Answer, random: Random
) -> Architecture | None:
    """The parent with another answer at one path; None if the program rejects it.

    Questions that the answer opens are answered at random.
    """
    settled = _settled(space, parent, path, answer)
    if settled is None:
        return attempt(space, {**parent.answers, path: answer}, random)
    return settled[0]


@lru_cache(maxsize=20_000)
def _settled(
    space: SearchSpace, parent: Architecture, path: str, answer: Answer
) -> tuple[Architecture | None] | None:
    """The result of that step in a tuple; None if the step opens questions, so that it has several.

    Results are cached. A search tries the same steps from its few best architectures again and
    again; so even a space that rejects most steps runs its program once for each.
    """
    choose = Chooser({**parent.answers, path: answer}, held=dict(space.held), keep_domains=True)
    try:
        return (completed(space, choose),)
    except ValueError:
        return None


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
            reason = rejected.reason
            reasons[reason] += 1
            if rejected.missed is not None:
                missed[reason] = min(rejected.missed, missed.get(reason, rejected.missed))
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
    """Another answer: with probability 1/2 a small step if there is one, else any other answer."""
    near = domain.near(answer)
    if near and random.random() < 0.5:
        return near[int(random.random() * len(near))]
    for _ in range(ATTEMPTS):
        drawn = domain.draw(random)
        if drawn != answer:
            return drawn
    return near[0] if near else answer
