"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from nas.record.history import History
from nas.strategies.strategy import Asked, novel, random_draws
from spaces import SearchSpace


@dataclass(frozen=True)
class RandomSearch:
    """Every architecture drawn at random, without repetition."""

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        return Asked(novel(space, history, random_draws(space, history, seed), count))
