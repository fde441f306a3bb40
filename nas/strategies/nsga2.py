"""NSGA-II: evolution towards the Pareto front of several objectives (Deb et al., 2002)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from random import Random

from nas.objectives.constraints import Constraint, best_first
from nas.objectives.objective import SCORE, Objective
from nas.record.history import History
from nas.seeds import generator
from nas.strategies.strategy import REFUSED, Asked, novel, random_draws, random_proposals
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate


@dataclass(frozen=True)
class NSGA2:
    """Children of parents that win tournaments of two.

    The winner is on the better front of the non-dominated sorting or, on the same front, has the
    larger crowding distance. The population consists of the best of all observed architectures, in
    the same order, so a good one is never lost. Architectures that break constraints come after all
    others, by how far they are from keeping them (constrained domination, section VI).

    Attributes:
        objectives: the run's. With one objective this is a plain evolution with elitism.
        constraints: the run's.
        population: the size of the population; at least this many are drawn at random first (whole
            batches).
        crossover: the share of children that have two parents; they are mutated as well.
    """

    objectives: tuple[Objective, ...] = field(default=(SCORE,), repr=False)
    constraints: tuple[Constraint, ...] = field(default=(), repr=False)
    population: int = 20
    crossover: float = 0.5

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                "nsga2 needs at least one objective, and none twice; got "
                f"{', '.join(names) or 'none'}"
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
            return Asked(random_proposals(space, history, count, seed))
        if len(history.observed) < 2:
            return Asked(
                random_proposals(space, history, count, seed),
                "fewer than two have succeeded: random",
            )
        ranked = best_first(history.observed, self.objectives, self.constraints)
        best = [trial.architecture for trial in ranked[: self.population]]
        children = self._children(space, best, generator(seed, "nsga2", len(history.trials)))
        drawn = chain(children, random_draws(space, history, seed))
        return Asked(novel(space, history, drawn, count))

    def _children(
        self, space: SearchSpace, best: list[Architecture], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        refused = 0
        while refused < REFUSED:
            parent, origin = self._parent(best, random), "mutation"
            try:
                if random.random() < self.crossover:
                    other, origin = self._parent(best, random), "crossover"
                    parent = crossover(space, parent, other, random)
                yield mutate(space, parent, random), origin
            except ValueError:
                refused += 1  # The space rejects this child; other parents may have valid ones.

    def _parent(self, best: list[Architecture], random: Random) -> Architecture:
        return best[min(random.randrange(len(best)), random.randrange(len(best)))]
