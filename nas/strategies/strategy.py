"""What a strategy is, and the two things that all of them do: draw new architectures, and never
propose one twice.

A strategy is a frozen value that holds settings. Its state is the `History`, the fold of the
journal, so `tell` is the history's own growth and resuming is replay. It knows no evaluator and no
store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from nas.record.history import History, Predicted, Proposal
from nas.seeds import generator
from spaces import Architecture, SearchSpace
from spaces.canonical import canonical_key
from spaces.operators import NothingDrawn, sample

DUPLICATES = 1000
# After so many refusals of what comes of the parents, the batch is filled at random.
REFUSED = 50


# So many times in a row the space may refuse a thousand draws.
TRIES = 5


@dataclass(frozen=True)
class Asked:
    """What a strategy proposes, and a sentence on how it came to it where that is worth saying."""

    proposals: tuple[Proposal, ...]
    note: str = ""


class Strategy(Protocol):
    """Settings of a search, frozen."""

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """Up to `count` architectures to evaluate next, none of which the history or the answer
        itself holds already (by canonical key).

        A pure function of its arguments: the same history and seed give the same proposals, in any
            process. Fewer than `count`, or none,
        where no new ones are found. A promotion (`Proposal.continues`) is the one proposal of an
        architecture that the history holds.
        """
        ...


@lru_cache(maxsize=200_000)
def key_of(space: SearchSpace, architecture: Architecture) -> str:
    """The canonical key of the architecture's graph: architectures that are the same network share
    it.
    """
    return canonical_key(space.graph(architecture))


def novel(
    space: SearchSpace,
    history: History,
    drawn: Iterable[tuple[Architecture, str]],
    count: int,
    taken: Iterable[str] = (),
    *,
    patience: int = DUPLICATES,
) -> tuple[Proposal, ...]:
    """The first `count` of the (architecture, origin) drawn whose canonical key is new. Gives up
    after more than `patience` duplicates in a row.
    """
    seen = set(history.keys) | set(taken)
    proposals: list[Proposal] = []
    wasted = 0
    for architecture, origin in drawn:
        if len(proposals) == count or wasted > patience:
            break
        key = key_of(space, architecture)
        if key in seen:
            wasted += 1
            continue
        seen.add(key)
        wasted = 0
        proposals.append(
            Proposal(architecture=architecture, origin=origin, prediction=None, canonical=key)
        )
    return tuple(proposals)


def random_draws(
    space: SearchSpace, history: History, seed: int
) -> Iterator[tuple[Architecture, str]]:
    """Endless random architectures: a stream of its own for each number of trials so far.

    All strategies start from these streams, so that a search and its random baseline share their
    first evaluations. The stream ends where the space refuses draw after draw.

    Raises:
        spaces.operators.NothingDrawn: the space does so from the first draw on.
    """
    random = generator(seed, "random", len(history.trials))
    refused = 0
    while True:
        try:
            architecture = sample(space, random)
        except NothingDrawn:
            refused += 1
            if refused < TRIES:
                continue
            if history.trials:
                return  # Held so tightly that what is left cannot be found by chance.
            raise
        refused = 0
        yield architecture, "random"


def with_prediction(proposal: Proposal, prediction: Predicted) -> Proposal:
    """The proposal with what the surrogate says of it."""
    return replace(proposal, prediction=prediction)
