"""The number of architectures of a space, without enumeration if its decisions are independent.

A small space is enumerated. A large one is divided. A decision *influences* a question if changing
its answer changes the question's domain, or whether the question is asked. Groups of decisions
without influence on each other are counted separately, and the counts are multiplied. Within a
group, the earliest decision with an influence is fixed to each of its answers, and the counts are
added.

Influences are found by replaying the program from many random architectures, and from the
architectures of all first and of all last answers. In these two, programs hide most questions
("none of it", "all of it"). The count is exact unless an influence shows in none of the replays. If
choices are rejected, no decisions can be known to be independent, and only enumeration counts.
"""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import islice
from random import Random

from spaces.choices import Chooser, Rejected
from spaces.domains import Answer, Domain
from spaces.enumeration import enumerate_all
from spaces.narrowing import fix
from spaces.space import SearchSpace
from spaces.steady import Steady

PROBES = 24
ANSWERS = 16
# Spaces of fewer combinations are enumerated. This costs no more than the search for influences,
# which might miss some.
FEW = 128

Asked = dict[str, Domain]


class _Coupled(Exception):
    """Decisions may depend on each other in a way that probes do not show."""


def size(space: SearchSpace, *, limit: int = 1_000_000) -> int | None:
    """The number of architectures; None if a decision is a real number.

    Different decisions are counted, not different graphs.

    >>> from spaces.load import load_space
    >>> size(load_space("nasbench201"))
    15625

    Raises:
        ValueError: choices are rejected, or the space is held to several regions, and more than
            `limit` architectures would have to be enumerated.
    """
    if _has_real(space):
        return None
    first = sum(1 for _ in islice(enumerate_all(space), 2001))
    if first <= 2000:
        return first
    try:
        if space.limit is not None or any(len(regions.members) > 1 for regions in space.regions):
            # The limit may reject architectures that no probe finds, and some region may end where
            # no probe comes.
            raise _Coupled
        return _count(space)
    except _Coupled:
        counted = sum(1 for _ in islice(enumerate_all(space), limit + 1))
        if counted > limit:
            raise ValueError(
                f"the space {space.name!r} has more than {limit} architectures and rejects some "
                "or is held to regions, so they can only be counted "
                "one by one; give a larger limit"
            ) from None
        return counted


def _has_real(space: SearchSpace) -> bool:
    for number in range(PROBES):
        choose = Chooser(None, Random(number), held=dict(space.held), keep_domains=True)
        with suppress(Rejected):  # Questions before a rejection count too.
            space.run(choose)
        if any(domain.size is None for domain in (choose.domains or {}).values()):
            return True
    return False


def _count(space: SearchSpace) -> int:
    probes = [
        _probe(space, {}, random)
        for random in (Steady(0.0), Steady(0.999999), *map(Random, range(PROBES)))
    ]
    first = probes[0][1]
    counts = {path: count for _, asked in probes for path, count in _open(asked).items()}
    if math.prod(counts.values()) < FEW:
        return sum(1 for _ in enumerate_all(space))
    if all(asked == first for _, asked in probes):
        linked = {} if len(first) < 2 else _links(space, probes[:3])
        if not linked:
            return math.prod(_open(first).values())
    links = _links(space, probes)
    if not links:
        return math.prod(_open(first).values())
    answers, asked = max(probes, key=lambda probe: len(probe[1]))
    parts = _components({path for _, asked in probes for path in _open(asked)}, links)
    if len(parts) == 1:
        # The space can only be split on a question that is always asked.
        path = next(
            path for path in asked if path in links and all(path in other for _, other in probes)
        )
        domain = asked[path]
        assert domain.size is not None
        return sum(_count(fix(space, {path: domain.at(index)})) for index in range(domain.size))
    total = 1
    for part in parts:
        others = {path: answer for path, answer in answers.items() if path not in part}
        total *= _count(fix(space, others))
    return total


def _probe(
    space: SearchSpace, given: dict[str, Answer], random: Random
) -> tuple[dict[str, Answer], Asked]:
    """The answers and domains of one run of the program; other answers than those given are random.

    Raises:
        _Coupled: the program rejected the answers.
    """
    choose = Chooser(given, random, held=dict(space.held), keep_domains=True)
    try:
        space.run(choose)
    except Rejected as rejected:
        raise _Coupled from rejected
    assert choose.domains is not None
    return choose.decisions, choose.domains


def _links(
    space: SearchSpace, probes: list[tuple[dict[str, Answer], Asked]]
) -> dict[str, set[str]]:
    """The questions that each decision influences; a decision without influence is left out."""
    links: dict[str, set[str]] = {}
    for number, (answers, asked) in enumerate(probes):
        random = Random(number)
        for path, count in _open(asked).items():
            for index in random.sample(range(count), min(count, ANSWERS)):
                _, other = _probe(space, {**answers, path: asked[path].at(index)}, random)
                changed = {
                    name
                    for name in asked.keys() | other.keys()
                    if name != path and asked.get(name) != other.get(name)
                }
                if changed:
                    links.setdefault(path, set()).update(changed)
    return links


def _open(asked: Asked) -> dict[str, int]:
    """The number of answers to each question that has a finite number of them, and several."""
    return {
        path: domain.size
        for path, domain in asked.items()
        if domain.size is not None and domain.size > 1
    }


def _components(paths: set[str], links: dict[str, set[str]]) -> list[set[str]]:
    """The paths in groups that no influence connects.

    A path that is not always asked belongs to the group of the decisions that influence it.
    """
    group = {path: {path} for path in paths}
    for path, influenced in links.items():
        for other in influenced & paths:
            if group[path] is not group[other]:
                merged = group[path] | group[other]
                for member in merged:
                    group[member] = merged
    unique: dict[int, set[str]] = {id(members): members for members in group.values()}
    return sorted(unique.values(), key=min)
