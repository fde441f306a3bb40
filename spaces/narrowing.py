"""Narrower spaces: some decisions held, or only the answers of given architectures offered.

The architectures of a narrower space belong to the whole space too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from spaces.architecture import Architecture
from spaces.domains import Answer
from spaces.regions import Region, Regions
from spaces.space import SearchSpace


def fix(space: SearchSpace, held: Mapping[str, Answer]) -> SearchSpace:
    """The space with the decisions at these paths held, and the other decisions free.

    It is no error if the program never asks a held path, because another choice leads past it. An
    answer outside the path's domain raises a `ValueError` as soon as the path is asked.

    >>> from spaces.load import load_space
    >>> fix(load_space("nasbench201"), {"edge_0_1": "none"}).held
    (('edge_0_1', 'none'),)
    """
    lists = {path: tuple(answer) for path, answer in held.items() if isinstance(answer, list)}
    return replace(space, held=tuple({**dict(space.held), **held, **lists}.items()))


def between(space: SearchSpace, first: Architecture, second: Architecture) -> SearchSpace:
    """The space between two architectures: every question offers only their answers to it.

    See `between_any`.
    """
    return between_any(space, [(first, second)])


def between_any(
    space: SearchSpace, pairs: Iterable[tuple[Architecture, Architecture]]
) -> SearchSpace:
    """The space of the interpolants of the pairs.

    An interpolant of a pair answers each question as one of its two parents does. Both parents are
    interpolants.

    If only one of the parents was asked a question, its answer is kept. Therefore an interpolant
    that is longer than the shorter parent ends with the unchanged rest of the longer parent.
    Interpolants may also be as short as the shorter parent; hold the depth with `fix` to exclude
    them (Tuli et al., JAIR 2023, whose interpolants are all as long as the longer parent).

    A question stays open if neither parent was asked it, or if its domain accepts neither parent's
    answer here, because it depends on other answers.

    Raises:
        ValueError: there is no pair, or a parent is of another space.
    """
    return _offering(space, [_union(space, pair) for pair in pairs])


def only(space: SearchSpace, architectures: Iterable[Architecture]) -> SearchSpace:
    """The space of these architectures alone.

    A question offers the answers of those architectures that agree with all earlier answers.
    Samples are uniform over the architectures if all are different and the space rejects none.

    Raises:
        ValueError: there is no architecture, or one is of another space.
    """
    return _offering(space, [_union(space, (architecture,)) for architecture in architectures])


def _offering(space: SearchSpace, members: list[Region]) -> SearchSpace:
    return replace(space, regions=(*space.regions, Regions(tuple(members))))


def _union(space: SearchSpace, parents: tuple[Architecture, ...]) -> Region:
    """The different answers of the parents, by path."""
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
