"""Random search, the baseline that every other strategy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from nas.record.history import History
from nas.strategies.strategy import Asked, random_proposals
from spaces import SearchSpace


@dataclass(frozen=True)
class RandomSearch:
    """Random architectures without duplicates."""

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        return Asked(random_proposals(space, history, count, seed))
