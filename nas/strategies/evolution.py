"""Regularised evolution: tournaments among the youngest (Real et al., 2019, arXiv 1802.01548)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random

from nas.record.history import History, Trial
from nas.seeds import generator
from nas.strategies.strategy import REFUSED, Asked, novel, random_draws
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate


@dataclass(frozen=True)
class Evolution:
    """Each child is a mutation of the best of a few drawn from the youngest.

    Attributes:
        population: how many of the youngest live; at least as many are drawn at random first (whole
            batches).
        tournament: how many are drawn for each parent.
        crossover: the share of children of two parents, mutated as well.
    """

    population: int = 20
    tournament: int = 5
    crossover: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.tournament <= self.population:
            raise ValueError(
                f"evolution needs 1 <= tournament <= population; got {self.tournament} and "
                f"{self.population}"
            )
        if not 0 <= self.crossover <= 1:
            raise ValueError(
                f"evolution's crossover is a share between 0 and 1; got {self.crossover}"
            )

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        if len(history.trials) < self.population:
            return Asked(novel(space, history, random_draws(space, history, seed), count))
        living = history.observed[-self.population :]
        if not living:
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "nothing has succeeded yet: random",
            )
        children = self._children(space, living, generator(seed, "evolution", len(history.trials)))
        return Asked(
            novel(space, history, chain(children, random_draws(space, history, seed)), count)
        )

    def _children(
        self, space: SearchSpace, living: tuple[Trial, ...], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        refused = 0
        while refused < REFUSED:
            parent, origin = self._parent(living, random), "mutation"
            try:
                if random.random() < self.crossover:
                    parent, origin = (
                        crossover(space, parent, self._parent(living, random), random),
                        "crossover",
                    )
                yield mutate(space, parent, random), origin
            except ValueError:
                refused += 1  # The space rejects what comes of these parents; others go on.

    def _parent(self, living: tuple[Trial, ...], random: Random) -> Architecture:
        rivals = random.sample(living, min(self.tournament, len(living)))
        return max(rivals, key=lambda trial: trial.score).architecture
