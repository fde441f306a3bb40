"""Surrogate search: a predictor is fitted to what has been evaluated, looks at many candidates, and only those it believes in are trained.

    observed -> fit -> candidates (mutations, crossovers, random) -> predict -> acquisition -> the best of them, and some at random

The surrogate is judged by its own past: where what it said before the evaluations did not rank what came out, half of the batch is left to
evolution and the note says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import numpy

from nas.acquisition import ACQUISITIONS, front_extensions, possible
from nas.history import History, Predicted, Proposal, Trial
from nas.objectives import SCORE, Objective, values
from nas.pareto import ranked
from nas.scorecard import rank_correlation
from nas.seeds import derive, generator
from nas.strategies.evolution import Evolution
from nas.strategies.nsga2 import NSGA2
from nas.strategies.strategy import Asked, novel, random_draws, with_prediction
from predictors.predictor import Prediction, Predictor
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, mutate, sample

# The surrogate is distrusted when, over this many of its latest predictions, the rank correlation with what came out is not positive.
JUDGED = 16


@dataclass(frozen=True)
class SurrogateSearch:
    """The candidates that the predictor, by an acquisition, finds most worth a training.

    Attributes:
        predictor: fitted anew in every round, to each objective.
        objectives: the run's; of several the candidates are chosen that, by the acquisition, add most hypervolume to the front.
        initial: at least so many are drawn at random before the first fit (whole batches).
        acquisition: `ucb`, `ei` or `thompson`.
        kappa: how many standard deviations of epistemic uncertainty `ucb` adds.
        candidates: how many the predictor looks at in a round.
        parents: how many of the best are mutated and crossed.
        exploration: the share of each batch drawn at random.
    """

    predictor: Predictor = field(repr=False)
    objectives: tuple[Objective, ...] = field(default=(SCORE,), repr=False)
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
        """See `Strategy.ask`.

        Raises:
            ValueError: an observation lacks an objective.
        """
        if len(history.trials) < self.initial:
            return Asked(novel(space, history, random_draws(space, history, seed), count), "initial design: random")
        observed = history.observed
        if len(observed) < 2:
            return Asked(novel(space, history, random_draws(space, history, seed), count), "fewer than two have succeeded: random")
        number = len(history.trials)
        best = [observed[place].architecture for place in ranked(values(observed, self.objectives))[: self.parents]]
        pool = novel(space, history, self._candidates(space, best, generator(seed, "candidates", number)), self.candidates)
        explores = generator(seed, "exploration", number)
        explored = novel(space, history, random_draws(space, history, seed), sum(explores.random() < self.exploration for _ in range(count)))
        evolved, note = self._hedge(space, history, count - len(explored), seed)
        fixed = _distinct((*explored, *evolved))[:count]
        pool = _distinct((*fixed, *pool))
        if not pool:
            return Asked((), "no new candidate was found")
        told = self._predict(space, observed, pool, derive(seed, "fit", number))
        chosen = (*range(len(fixed)), *self._choose(told, observed, len(fixed), count, numpy.random.default_rng(derive(seed, "acquisition", number))))
        return Asked(tuple(with_prediction(pool[place], _predicted(told[SCORE], place)) for place in chosen), note)

    def _predict(self, space: SearchSpace, observed: tuple[Trial, ...], pool: tuple[Proposal, ...], seed: int) -> dict[Objective, Prediction]:
        """What the predictor says of the score and of each objective of the pool, higher being better; it is fitted to each anew."""
        known, asked = [space.graph(trial.architecture) for trial in observed], [space.graph(proposal.architecture) for proposal in pool]
        targets = dict.fromkeys((SCORE, *self.objectives))
        return {target: self.predictor.fit(known, values(observed, [target])[:, 0], seed=seed).predict(asked) for target in targets}

    def _choose(
        self, told: Mapping[Objective, Prediction], observed: tuple[Trial, ...], fixed: int, count: int, random: numpy.random.Generator
    ) -> list[int]:
        """The places in the pool of the most worthwhile candidates, those that are fixed left out."""
        if len(self.objectives) == 1:
            said, best = told[self.objectives[0]], float(values(observed, self.objectives).max())
            gain_N = ACQUISITIONS[self.acquisition](said.mean, said.epistemic, best, self.kappa, random)
            return (fixed + numpy.argsort(-gain_N[fixed:], kind="stable")[: count - fixed]).tolist()
        mean_NK, std_NK = (numpy.stack([getattr(told[objective], part) for objective in self.objectives], axis=1) for part in ("mean", "epistemic"))
        possible_SNK = possible(self.acquisition, mean_NK[fixed:], std_NK[fixed:], self.kappa, random)
        return [fixed + place for place in front_extensions(possible_SNK, values(observed, self.objectives), count - fixed, random)]

    def _candidates(self, space: SearchSpace, best: list[Architecture], random: Random) -> Iterator[tuple[Architecture, str]]:
        """Of ten candidates six are mutations of the best, half of them of two steps, two are crossovers, and two are random."""
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
        agreement = trust(history, JUDGED)
        if agreement is None or agreement > 0:
            return (), ""
        evolution = Evolution(population=max(self.initial, 10), tournament=5) if len(self.objectives) == 1 else NSGA2(self.objectives)
        evolved = evolution.ask(space, history, count // 2, seed).proposals
        return evolved, f"the surrogate did not rank its latest {JUDGED} predictions (rank correlation {agreement:.2f}): half of the batch by evolution"


def trust(history: History, latest: int) -> float | None:
    """The rank correlation of predicted and observed scores over the latest predictions; None for fewer than `latest`, or all alike."""
    judged = [trial for trial in history.observed if trial.prediction is not None][-latest:]
    if len(judged) < latest:
        return None
    return rank_correlation(numpy.array([trial.prediction.mean for trial in judged]), numpy.array([trial.score for trial in judged]))  # type: ignore[union-attr]


def _predicted(said: Prediction, place: int) -> Predicted:
    return Predicted(float(said.mean[place]), float(said.aleatoric[place]), float(said.epistemic[place]))


def _distinct(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    unique: dict[str, Proposal] = {}
    for proposal in proposals:
        unique.setdefault(proposal.canonical, proposal)
    return tuple(unique.values())
