"""Local search: the neighbours of the best architecture, then of the next best.

The method is of White et al., 2021 (arXiv 2005.02960).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nas.record.history import History
from nas.seeds import generator
from nas.strategies.strategy import Asked, novel, random_draws, random_proposals
from spaces import Architecture, SearchSpace
from spaces.operators import neighbours


@dataclass(frozen=True)
class LocalSearch:
    """New neighbours of the best architecture found, in random order.

    If it has no more new neighbours, those of the next best follow.

    Attributes:
        initial: at least this many are drawn at random first (whole batches).
    """

    initial: int = 10

    def __post_init__(self) -> None:
        if self.initial < 1:
            raise ValueError(f"local search needs initial >= 1; got {self.initial}")

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        if len(history.trials) < self.initial:
            return Asked(random_proposals(space, history, count, seed))
        return Asked(novel(space, history, self._steps(space, history, seed), count))

    def _steps(
        self, space: SearchSpace, history: History, seed: int
    ) -> Iterator[tuple[Architecture, str]]:
        ranked = sorted(history.observed, key=lambda trial: (-trial.score, trial.number))
        for trial in ranked:
            random = generator(seed, "neighbours", trial.number)
            steps = list(neighbours(space, trial.architecture, random))
            random.shuffle(steps)
            for step in steps:
                yield step, "neighbour"
        yield from random_draws(space, history, seed)
