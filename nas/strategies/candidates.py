"""The pool of new architectures among which a surrogate strategy chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random

from nas.record.history import History
from nas.record.trials import Proposal
from nas.strategies.forks import in_shares
from nas.strategies.strategy import novel
from spaces import Architecture, Graph, SearchSpace
from spaces.enumeration import every_one
from spaces.operators import crossover, mutate, sample

# The pool is complete after this many duplicates in a row, even if it holds fewer candidates than
# wanted. With tight constraints each draw takes hundreds of attempts.
PATIENCE = 100
# Modules are made and described in so many shares.
SHARES = 8


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
    if not space.makes_modules(best[0]):
        children = _children(space, best, count, random)
        return novel(space, history, children, count, taken, patience=PATIENCE)
    return _in_shares(space, history, best, count, random, taken)


def _in_shares(
    space: SearchSpace,
    history: History,
    best: Sequence[Architecture],
    count: int,
    random: Random,
    taken: Sequence[str],
) -> tuple[Proposal, ...]:
    """As `candidates`, for modules, which take milliseconds each: in shares, on all cores.

    The shares have their own random numbers, so they do not depend on the number of cores.
    """
    seeds = [random.getrandbits(63) for _ in range(SHARES)]

    def share(number: int) -> list[tuple[Proposal, Graph]]:
        wanted = len(range(number, count, SHARES))
        children = _children(space, best, wanted, Random(seeds[number]))
        drawn = novel(space, history, children, wanted, taken, patience=PATIENCE)
        return [(each, space.graph(each.architecture)) for each in drawn]

    found: dict[str, Proposal] = {}
    for proposal, graph in chain.from_iterable(in_shares(share, SHARES)):
        if proposal.canonical not in found:
            found[proposal.canonical] = proposal
            space.remember(proposal.architecture, graph)
    return tuple(found.values())


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
