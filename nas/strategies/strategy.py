"""The protocol of a search strategy, and how all strategies draw architectures without duplicates.

A strategy is a frozen value that holds settings. Its state is the `History`, which is the fold of
the journal. So there is no `tell`: the history grows, and resuming a run is replaying it. A
strategy has no access to the evaluator or the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from nas.record.history import History
from nas.record.trials import Predicted, Proposal
from nas.seeds import generator
from predictors.predictor import Prediction
from spaces import Architecture, SearchSpace
from spaces.canonical import canonical_key
from spaces.many import many_architectures
from spaces.operators import NothingDrawn, sample

# `novel` gives up after more than this many duplicates in a row.
DUPLICATES = 1000
# After the space has rejected this many children of the parents, the batch is filled at random.
REFUSED = 50
# Random draws end after this many failures of `spaces.operators.sample` in a row, each of which
# made a thousand attempts.
TRIES = 5


@dataclass(frozen=True)
class Asked:
    """The proposals of a strategy, with a sentence on how they were chosen if it is of interest."""

    proposals: tuple[Proposal, ...]
    note: str = ""


class Strategy(Protocol):
    """A search strategy: frozen settings and one pure function, `ask`."""

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """Up to `count` new architectures to evaluate next.

        No proposal has the canonical key of another one, or of a trial in the history. The one
        exception is a promotion (`Proposal.continues`), which continues the training of an
        architecture in the history. There are fewer than `count` proposals, or none, if no more new
        architectures are found.

        This is a pure function of its arguments: the same history and seed give the same proposals
        in every process.
        """
        ...


@lru_cache(maxsize=200_000)
def key_of(space: SearchSpace, architecture: Architecture) -> str:
    """The canonical key of the architecture's graph; isomorphic architectures share it."""
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
    """The first `count` of the drawn architectures whose canonical key is new.

    Args:
        space: the search space.
        history: its architectures are not new.
        drawn: pairs of an architecture and its origin.
        count: how many proposals to return, at most.
        taken: further canonical keys that are not new.
        patience: drawing ends after more than this many duplicates in a row.
    """
    seen = set(history.keys) | set(taken)
    proposals: list[Proposal] = []
    wasted = 0
    with many_architectures():
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
    """An endless stream of random architectures, a different one for each number of past trials.

    All strategies start with these streams, so a search and its random baseline have their first
    evaluations in common. The stream ends if the space rejects draw after draw.

    Raises:
        spaces.operators.NothingDrawn: it does so in the first round.
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
                # The constraints are so tight that no more architectures are found by chance.
                return
            raise
        refused = 0
        yield architecture, "random"


def random_proposals(
    space: SearchSpace, history: History, count: int, seed: int, taken: Iterable[str] = ()
) -> tuple[Proposal, ...]:
    """Up to `count` new architectures of `random_draws`, none with a canonical key in `taken`."""
    return novel(space, history, random_draws(space, history, seed), count, taken)


def predicted(prediction: Prediction, place: int) -> Predicted:
    """One entry of an array of predictions, in the form that a proposal holds."""
    return Predicted(
        float(prediction.mean[place]),
        float(prediction.aleatoric[place]),
        float(prediction.epistemic[place]),
    )


def with_prediction(proposal: Proposal, prediction: Predicted) -> Proposal:
    """The proposal with the surrogate's prediction for it."""
    return replace(proposal, prediction=prediction)
