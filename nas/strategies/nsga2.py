"""NSGA-II: evolution towards a whole front (Deb et al., 2002)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from random import Random

import numpy

from nas.constraints import Constraint, violation
from nas.history import History, Trial
from nas.objectives import SCORE, Objective, values
from nas.pareto import crowding, layers
from nas.seeds import generator
from nas.strategies.strategy import REFUSED, Asked, novel, random_draws
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate


@dataclass(frozen=True)
class NSGA2:
    """Parents win tournaments of two: the better layer of the non-dominated sorting, then the one with more room around it.

    The population is the best of all that was observed, in that same order, so that no one is ever lost. Behind all that keep the constraints stand
    those that do not, by how far they miss them (constrained domination, section VI).

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
        if not self.objectives or len({objective.name for objective in self.objectives}) < len(self.objectives):
            raise ValueError(f"nsga2 needs at least one objective, and none twice; got {', '.join(each.name for each in self.objectives) or 'none'}")
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
            return Asked(novel(space, history, random_draws(space, history, seed), count), "fewer than two have succeeded: random")
        ranked = [trial.architecture for trial in self.ranked(history)[: self.population]]
        children = self._children(space, ranked, generator(seed, "nsga2", len(history.trials)))
        return Asked(novel(space, history, chain(children, random_draws(space, history, seed)), count))

    def ranked(self, history: History) -> list[Trial]:
        """All that was observed, the best first: the feasible by layer, within a layer those with the most room, then the oldest; then the others."""
        missed = {trial.number: violation(trial, self.constraints) for trial in history.observed}
        kept = [trial for trial in history.observed if not missed[trial.number]]
        others = sorted((trial for trial in history.observed if missed[trial.number]), key=lambda trial: (missed[trial.number], trial.number))
        if not kept:
            return others
        points_NK = values(kept, self.objectives)
        layer_N, room_N = layers(points_NK), numpy.zeros(len(points_NK))
        for layer in range(int(layer_N.max()) + 1):
            room_N[layer_N == layer] = crowding(points_NK[layer_N == layer])
        return [*(kept[place] for place in numpy.lexsort((-room_N, layer_N))), *others]

    def _children(self, space: SearchSpace, ranked: list[Architecture], random: Random) -> Iterator[tuple[Architecture, str]]:
        refused = 0
        while refused < REFUSED:
            parent, origin = self._parent(ranked, random), "mutation"
            try:
                if random.random() < self.crossover:
                    parent, origin = crossover(space, parent, self._parent(ranked, random), random), "crossover"
                yield mutate(space, parent, random), origin
            except ValueError:
                refused += 1  # The space rejects what comes of these parents; others go on.

    def _parent(self, ranked: list[Architecture], random: Random) -> Architecture:
        return ranked[min(random.randrange(len(ranked)), random.randrange(len(ranked)))]
