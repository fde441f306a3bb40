"""NSGA-II: evolution towards a whole front (Deb et al., 2002)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from random import Random

from nas.objectives.constraints import Constraint, best_first
from nas.objectives.objective import SCORE, Objective
from nas.record.history import History
from nas.seeds import generator
from nas.strategies.strategy import REFUSED, Asked, novel, random_draws
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate


@dataclass(frozen=True)
class NSGA2:
    """Parents win tournaments of two: the better layer of the non-dominated sorting, then the one
    with more room around it.

    The population is the best of all that was observed, in that same order, so that no one is ever
    lost. Behind all that keep the constraints stand those that do not, by how far they miss them
    (constrained domination, section VI).

    Attributes:
        objectives: the run's; with one it is a plain evolution with elitism.
        constraints: the run's.
        population: how many live; at least as many are drawn at random first (whole batches).
        crossover: the share of children of two parents, mutated as well.
    """

    objectives: tuple[Objective, ...] = field(default=(SCORE,), repr=False)
    constraints: tuple[Constraint, ...] = field(default=(), repr=False)
    population: int = 20
    crossover: float = 0.5

    def __post_init__(self) -> None:
        if not self.objectives or len({objective.name for objective in self.objectives}) < len(
            self.objectives
        ):
            raise ValueError(
                "nsga2 needs at least one objective, and none twice; got "
                f"{', '.join(each.name for each in self.objectives) or 'none'}"
            )
        if self.population < 2:
            raise ValueError(f"nsga2 needs a population of at least 2; got {self.population}")
        if not 0 <= self.crossover <= 1:
            raise ValueError(f"nsga2's crossover is a share between 0 and 1; got {self.crossover}")

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`.

        Raises:
            ValueError: an observation lacks an objective.
        """
        if len(history.trials) < self.population:
            return Asked(novel(space, history, random_draws(space, history, seed), count))
        if len(history.observed) < 2:
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "fewer than two have succeeded: random",
            )
        best = [
            trial.architecture
            for trial in best_first(history.observed, self.objectives, self.constraints)[
                : self.population
            ]
        ]
        children = self._children(space, best, generator(seed, "nsga2", len(history.trials)))
        return Asked(
            novel(space, history, chain(children, random_draws(space, history, seed)), count)
        )

    def _children(
        self, space: SearchSpace, best: list[Architecture], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        refused = 0
        while refused < REFUSED:
            parent, origin = self._parent(best, random), "mutation"
            try:
                if random.random() < self.crossover:
                    parent, origin = (
                        crossover(space, parent, self._parent(best, random), random),
                        "crossover",
                    )
                yield mutate(space, parent, random), origin
            except ValueError:
                refused += 1  # The space rejects what comes of these parents; others go on.

    def _parent(self, best: list[Architecture], random: Random) -> Architecture:
        return best[min(random.randrange(len(best)), random.randrange(len(best)))]
