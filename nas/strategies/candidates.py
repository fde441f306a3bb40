"""The pool of new architectures among which a surrogate strategy chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from nas.record.history import History
from nas.record.trials import Proposal
from nas.strategies.strategy import novel
from spaces import Architecture, SearchSpace
from spaces.enumeration import every_one
from spaces.operators import crossover, mutate, sample

# The pool is complete after this many duplicates in a row, even if it holds fewer candidates than
# wanted. With tight constraints each draw takes hundreds of attempts.
PATIENCE = 100


def candidates(
    space: SearchSpace,
    history: History,
    best: Sequence[Architecture],
    count: int,
    random: Random,
    taken: Sequence[str] = (),
) -> tuple[Proposal, ...]:
    """Up to `count` new architectures.

    If the space has at most `count` architectures, these are all the new ones. Otherwise they are
    children of the best architectures, and random ones. Architectures whose canonical keys are
    `taken` are left out.
    """
    every = every_one(space, count)
    if every is not None:
        enumerated = ((architecture, "enumeration") for architecture in every)
        return novel(space, history, enumerated, count, taken, patience=len(every))
    children = _children(space, best, count, random)
    return novel(space, history, children, count, taken, patience=PATIENCE)


def _children(
    space: SearchSpace, best: Sequence[Architecture], count: int, random: Random
) -> Iterator[tuple[Architecture, str]]:
    """Ten times `count` children and random architectures, each with its origin.

    Of ten, three are mutations of the best, three are mutations of such mutations, two are
    crossovers of the best, and two are random.
    """
    for _ in range(10 * count):
        kind, parent = random.random(), random.choice(best)
        try:
            if kind < 0.6:
                child = mutate(space, parent, random)
                yield (mutate(space, child, random) if kind < 0.3 else child), "mutation"
            elif kind < 0.8:
                yield crossover(space, parent, random.choice(best), random), "crossover"
            else:
                yield sample(space, random), "random"
        except ValueError:
            continue  # The space rejects the result of this operator; the others may succeed.
