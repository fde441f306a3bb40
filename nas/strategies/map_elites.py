"""MAP-Elites: variation of the best of each cell, to find many good architectures that differ.

The method is of Mouret and Clune, 2015 (arXiv 1504.04909).

    observed -> archive (cell: its best) -> parents from random cells -> mutated or crossed ->
    children -> the batch

The cell of a child is computed from its graph, before any evaluation. So the children can be chosen
whose cells have the fewest trials. A predictor can also fill an archive of its own. Then only those
of its architectures are evaluated that improve on the observed archive (Gaier et al., 2018, arXiv
1806.05865).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy

from nas.objectives.descriptors import Cell, Descriptor, cell_of, check
from nas.objectives.elite_archive import archive
from nas.record.history import History
from nas.record.trials import Proposal, Trial
from nas.seeds import derive, generator
from nas.strategies.reading import reading
from nas.strategies.strategy import (
    REFUSED,
    Asked,
    novel,
    predicted,
    random_proposals,
    with_prediction,
)
from predictors.predictor import Predictor
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate


@dataclass(frozen=True)
class MapElites:
    """Children of the elites of random cells.

    Attributes:
        predictor: used if `candidates` is above 0; fitted anew for every batch.
        descriptors: the archive's dimensions.
        initial: at least this many are drawn at random first (whole batches).
        crossover: the share of children that have two parents; they are mutated as well.
        children: how many children are made for each place in the batch. The one whose cell has the
            fewest trials is taken. 1 is MAP-Elites as published.
        candidates: how many children the predictor is applied to for each batch; 0 for no
            predictor.
    """

    predictor: Predictor | None = field(default=None, repr=False)
    descriptors: tuple[Descriptor, ...] = (Descriptor("depth"), Descriptor("nodes"))
    initial: int = 20
    crossover: float = 0.0
    children: int = 1
    candidates: int = 0

    def __post_init__(self) -> None:
        check(self.descriptors)
        if self.initial < 2 or self.children < 1 or self.candidates < 0:
            raise ValueError(
                "map_elites needs initial >= 2, children >= 1 and candidates >= 0; got "
                f"{self.initial}, {self.children} and {self.candidates}"
            )
        if not 0 <= self.crossover <= 1:
            raise ValueError(
                f"map_elites' crossover is a share between 0 and 1; got {self.crossover}"
            )
        if self.candidates and self.predictor is None:
            raise ValueError(
                f"map_elites with candidates={self.candidates} needs a predictor and has none; "
                "give it one, or set candidates to 0"
            )

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`.

        Raises:
            ValueError: a descriptor cannot be computed for the space's architectures.
        """
        if len(history.trials) < self.initial or len(history.observed) < 2:
            return Asked(random_proposals(space, history, count, seed))
        elites = archive(space, history.observed, self.descriptors)
        varied = self._children(
            space, tuple(elites.values()), generator(seed, "map_elites", len(history.trials))
        )
        if self.candidates:
            pool = novel(space, history, varied, max(self.candidates, count))
            chosen = self._improving(space, history, elites, pool, seed)[:count]
        else:
            chosen = ()
            pool = novel(space, history, varied, count * self.children)
        chosen = (*chosen, *self._least_tried(space, history, chosen, pool, count - len(chosen)))
        if len(chosen) < count:
            taken = [proposal.canonical for proposal in chosen]
            missing = count - len(chosen)
            chosen = (*chosen, *random_proposals(space, history, missing, seed, taken))
        return Asked(chosen, self._note(elites))

    def _children(
        self, space: SearchSpace, elites: tuple[Trial, ...], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        refused = 0
        while refused < REFUSED:
            parent, origin = random.choice(elites).architecture, "mutation"
            try:
                if random.random() < self.crossover:
                    other, origin = random.choice(elites).architecture, "crossover"
                    parent = crossover(space, parent, other, random)
                yield mutate(space, parent, random), origin
            except ValueError:
                refused += 1  # The space rejects this child; other parents may have valid ones.

    def _least_tried(
        self,
        space: SearchSpace,
        history: History,
        chosen: tuple[Proposal, ...],
        pool: tuple[Proposal, ...],
        count: int,
    ) -> Iterator[Proposal]:
        """Up to `count` proposals of the pool whose cells have the fewest trials.

        They are taken one by one, of equals the first in the pool. Pending and failed trials count,
        and so do the proposals that are chosen already. With `children` = 1 the pool's order
        decides.
        """
        tried = Counter(
            cell_of(space, item.architecture, self.descriptors)
            for item in (*history.trials, *chosen)
        )
        taken = {proposal.canonical for proposal in chosen}
        left = [proposal for proposal in pool if proposal.canonical not in taken]
        cells = [cell_of(space, proposal.architecture, self.descriptors) for proposal in left]
        for _ in range(min(count, len(left))):
            place = 0
            if self.children > 1:
                place = min(range(len(left)), key=lambda place: tried[cells[place]])
            tried[cells.pop(place)] += 1
            yield left.pop(place)

    def _improving(
        self,
        space: SearchSpace,
        history: History,
        elites: Mapping[Cell, Trial],
        pool: tuple[Proposal, ...],
        seed: int,
    ) -> tuple[Proposal, ...]:
        """The proposals with the best prediction in each cell that they are expected to improve.

        Empty cells come first, then those whose elite has a lower score than predicted. Within both
        groups the order is random.
        """
        if not pool or self.predictor is None:
            return ()
        number = len(history.trials)
        graphs = [space.graph(trial.architecture) for trial in history.observed]
        fitted = reading(self.predictor, space).fit(
            graphs, [trial.score for trial in history.observed], seed=derive(seed, "fit", number)
        )
        prediction = fitted.predict([space.graph(proposal.architecture) for proposal in pool])
        promised: dict[Cell, int] = {}
        for place in numpy.argsort(-prediction.mean, kind="stable").tolist():
            cell = cell_of(space, pool[place].architecture, self.descriptors)
            if cell not in elites or prediction.mean[place] > elites[cell].score:
                promised.setdefault(cell, place)
        cells = list(promised)
        generator(seed, "cells", number).shuffle(cells)
        cells.sort(key=lambda cell: cell in elites)
        return tuple(
            with_prediction(pool[place], predicted(prediction, place))
            for place in (promised[cell] for cell in cells)
        )

    def _note(self, elites: Mapping[Cell, Trial]) -> str:
        alike = [
            descriptor.name
            for place, descriptor in enumerate(self.descriptors)
            if len({cell[place] for cell in elites}) == 1
        ]
        ending = f"; all alike in {', '.join(alike)}" if alike else ""
        return f"{len(elites)} cells are filled{ending}"
