"""Surrogate search: a predictor is fitted to what has been evaluated, looks at many candidates, and only those it believes in are trained.

    observed -> fit -> candidates (mutations, crossovers, random) -> predict -> acquisition -> the best of them, and some at random

The surrogate is judged by its own past: where what it said before the evaluations did not rank what came out, half of the batch is left to
evolution and the note says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import numpy

from nas.acquisition import ACQUISITIONS
from nas.history import History, Predicted, Proposal, Trial
from nas.scorecard import rank_correlation
from nas.seeds import derive, generator
from nas.strategies.evolution import Evolution
from nas.strategies.strategy import Asked, novel, random_draws, with_prediction
from predictors.predictor import Predictor
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate, sample

# The surrogate is distrusted when, over this many of its latest predictions, the rank correlation with what came out is not positive.
JUDGED = 16


@dataclass(frozen=True)
class SurrogateSearch:
    """The candidates that the predictor, by an acquisition, finds most worth a training.

    Attributes:
        predictor: fitted anew in every round.
        initial: at least so many are drawn at random before the first fit (whole batches).
        acquisition: `ucb`, `ei` or `thompson`.
        kappa: how many standard deviations of epistemic uncertainty `ucb` adds.
        candidates: how many the predictor looks at in a round.
        parents: how many of the best are mutated and crossed.
        exploration: the share of each batch drawn at random.
    """

    predictor: Predictor = field(repr=False)
    initial: int = 10
    acquisition: Literal["ucb", "ei", "thompson"] = "ucb"
    kappa: float = 0.25
    candidates: int = 1000
    parents: int = 10
    exploration: float = 0.1

    def __post_init__(self) -> None:
        if self.initial < 2 or self.candidates < 1 or self.parents < 1:
            raise ValueError(
                f"the surrogate strategy needs initial >= 2, candidates >= 1 and parents >= 1; got {self.initial}, {self.candidates} and {self.parents}"
            )
        if not 0 <= self.exploration <= 1:
            raise ValueError(f"the surrogate strategy's exploration is a share between 0 and 1; got {self.exploration}")
        if self.acquisition not in ACQUISITIONS:
            raise ValueError(f"no acquisition is called {self.acquisition!r}; known: {', '.join(ACQUISITIONS)}")

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        if len(history.trials) < self.initial:
            return Asked(novel(space, history, random_draws(space, history, seed), count), "initial design: random")
        observed = history.observed
        if len(observed) < 2:
            return Asked(novel(space, history, random_draws(space, history, seed), count), "fewer than two have succeeded: random")
        number = len(history.trials)
        graphs = [space.graph(trial.architecture) for trial in observed]
        scores = numpy.array([trial.score for trial in observed])
        fitted = self.predictor.fit(graphs, scores, seed=derive(seed, "fit", number))

        random = generator(seed, "candidates", number)
        pool = novel(space, history, self._candidates(space, observed, random), self.candidates)
        explored = novel(space, history, random_draws(space, history, seed), sum(random.random() < self.exploration for _ in range(count)))
        evolved, note = self._hedge(space, history, count - len(explored), seed)
        fixed = _distinct((*explored, *evolved))
        pool = _distinct((*fixed, *pool))
        if not pool:
            return Asked((), "no new candidate was found")
        prediction = fitted.predict([space.graph(proposal.architecture) for proposal in pool])
        gain = ACQUISITIONS[self.acquisition](
            prediction.mean, prediction.epistemic, float(scores.max()), self.kappa, numpy.random.default_rng(derive(seed, "acquisition", number))
        )
        gain[: len(fixed)] = numpy.inf
        chosen = numpy.argsort(-gain, kind="stable")[:count]
        return Asked(
            tuple(
                with_prediction(
                    pool[index], Predicted(*(float(values[index]) for values in (prediction.mean, prediction.aleatoric, prediction.epistemic)))
                )
                for index in chosen
            ),
            note,
        )

    def _candidates(self, space: SearchSpace, observed: tuple[Trial, ...], random: Random) -> Iterator[tuple[Architecture, str]]:
        """Of ten candidates six are mutations of the best, half of them of two steps, two are crossovers, and two are random."""
        best = [trial.architecture for trial in sorted(observed, key=lambda trial: (-trial.score, trial.number))[: self.parents]]
        for _ in range(20 * self.candidates):
            kind, parent = random.random(), random.choice(best)
            try:
                if kind < 0.6:
                    child = mutate(space, parent, random)
                    yield (mutate(space, child, random) if kind < 0.3 else child), "mutation"
                elif kind < 0.8:
                    yield crossover(space, parent, random.choice(best), random), "crossover"
                else:
                    yield sample(space, random), "random"
            except ValueError:
                continue  # The space rejects what this operator makes here; the others go on.

    def _hedge(self, space: SearchSpace, history: History, count: int, seed: int) -> tuple[tuple[Proposal, ...], str]:
        """Half of the batch by evolution where the surrogate has not ranked lately."""
        ranked = trust(history, JUDGED)
        if ranked is None or ranked > 0:
            return (), ""
        evolution = Evolution(population=max(self.initial, 10), tournament=5)
        evolved = evolution.ask(space, history, count // 2, seed).proposals
        return evolved, f"the surrogate did not rank its latest {JUDGED} predictions (rank correlation {ranked:.2f}): half of the batch by evolution"


def trust(history: History, latest: int) -> float | None:
    """The rank correlation of predicted and observed scores over the latest predictions; None for fewer than `latest`, or all alike."""
    judged = [trial for trial in history.observed if trial.prediction is not None][-latest:]
    if len(judged) < latest:
        return None
    return rank_correlation(numpy.array([trial.prediction.mean for trial in judged]), numpy.array([trial.score for trial in judged]))  # type: ignore[union-attr]


def _distinct(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    unique: dict[str, Proposal] = {}
    for proposal in proposals:
        unique.setdefault(proposal.canonical, proposal)
    return tuple(unique.values())
