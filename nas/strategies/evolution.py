"""Regularised evolution: tournaments in a population of the youngest architectures.

The method is of Real et al., 2019 (arXiv 1802.01548).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random

from nas.record.history import History
from nas.record.trials import Trial
from nas.seeds import generator
from nas.strategies.strategy import REFUSED, Asked, novel, random_draws, random_proposals
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate


@dataclass(frozen=True)
class Evolution:
    """Each child is a mutation of the best of a few members of the population.

    Attributes:
        population: how many of the youngest architectures form the population; at least this many
            are drawn at random first (whole batches).
        tournament: how many are drawn for each parent, of which the best is taken.
        crossover: the share of children that have two parents; they are mutated as well.
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
            return Asked(random_proposals(space, history, count, seed))
        living = history.observed[-self.population :]
        if not living:
            return Asked(
                random_proposals(space, history, count, seed), "nothing has succeeded yet: random"
            )
        children = self._children(space, living, generator(seed, "evolution", len(history.trials)))
        drawn = chain(children, random_draws(space, history, seed))
        return Asked(novel(space, history, drawn, count))

    def _children(
        self, space: SearchSpace, living: tuple[Trial, ...], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        refused = 0
        while refused < REFUSED:
            parent, origin = self._parent(living, random), "mutation"
            try:
                if random.random() < self.crossover:
                    other, origin = self._parent(living, random), "crossover"
                    parent = crossover(space, parent, other, random)
                yield mutate(space, parent, random), origin
            except ValueError:
                refused += 1  # The space rejects this child; other parents may have valid ones.

    def _parent(self, living: tuple[Trial, ...], random: Random) -> Architecture:
        rivals = random.sample(living, min(self.tournament, len(living)))
        return max(rivals, key=lambda trial: trial.score).architecture
