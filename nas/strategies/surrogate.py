"""Surrogate search: a predictor is fitted to past trials and chooses among many candidates.

    observed -> fit -> candidates (mutations, crossovers, random) -> predict -> acquisition -> the
    best of them, and some at random

The surrogate is judged by its own past predictions. If they did not rank the scores that were then
observed, evolution proposes half of the batch, and the note says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy

from nas.objectives.constraints import Constraint, best_first, broken, seen_by
from nas.objectives.graph_numbers import number_of
from nas.objectives.objective import SCORE, Objective, values
from nas.record.history import History
from nas.record.scorecard import rank_correlation
from nas.record.trials import Proposal, Trial
from nas.seeds import derive, generator
from nas.strategies.acquisition import (
    ACQUISITIONS,
    Outlook,
    front_extensions,
    likely_kept,
    possible,
)
from nas.strategies.candidates import candidates
from nas.strategies.evolution import Evolution
from nas.strategies.nsga2 import NSGA2
from nas.strategies.prior import how_right, initial_design
from nas.strategies.reading import reading
from nas.strategies.strategy import (
    Asked,
    predicted,
    random_proposals,
    with_prediction,
)
from predictors.predictor import Prediction, Predictor
from spaces import SearchSpace

# The surrogate is not trusted if, over this many of its latest predictions, the rank correlation
# with the observed scores is not positive.
JUDGED = 16
# Candidates that keep the constraints with a lower probability are chosen only if there are no
# others.
LIKELY = 0.5


@dataclass(frozen=True)
class NumberPredictions:
    """Predictions of one number, for the candidates in the pool and for the observed trials."""

    pool: Prediction
    observed: Prediction


@dataclass(frozen=True)
class SurrogateSearch:
    """The candidates for which a predictor and an acquisition function expect the largest gain.

    Attributes:
        predictor: fitted anew in every round, to each objective.
        objectives: the run's. If there are several, the candidates are chosen that add most
            hypervolume to the front, as the acquisition assumes their objectives.
        constraints: the run's. Numbers that only an evaluation gives are predicted, and candidates
            that probably break a constraint come last.
        initial: at least this many are evaluated before the first fit (whole batches): chosen by
            the predictor's prior if it knows spaces like this one, else at random.
        acquisition: `ucb`, `ei`, `noisy_ei`, `thompson` or `top`.
        kappa: how many standard deviations of epistemic uncertainty `ucb` adds.
        candidates: how many architectures the predictor is applied to in a round.
        parents: how many of the best are mutated and crossed.
        exploration: the share of each batch drawn at random.
    """

    predictor: Predictor = field(repr=False)
    objectives: tuple[Objective, ...] = field(default=(SCORE,), repr=False)
    constraints: tuple[Constraint, ...] = field(default=(), repr=False)
    initial: int = 8
    acquisition: Literal["ucb", "ei", "noisy_ei", "thompson", "top"] = "ucb"
    kappa: float = 0.25
    candidates: int = 1000
    parents: int = 10
    exploration: float = 0.1

    def __post_init__(self) -> None:
        if self.initial < 2 or self.candidates < 1 or self.parents < 1:
            raise ValueError(
                "the surrogate strategy needs initial >= 2, candidates >= 1 and parents >= 1; "
                f"got {self.initial}, {self.candidates} and {self.parents}"
            )
        if not 0 <= self.exploration <= 1:
            raise ValueError(
                "the surrogate strategy's exploration is a share between 0 and 1; got "
                f"{self.exploration}"
            )
        if self.acquisition not in ACQUISITIONS:
            raise ValueError(
                f"no acquisition is called {self.acquisition!r}; known: {', '.join(ACQUISITIONS)}"
            )

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`.

        Raises:
            ValueError: an observation lacks an objective.
        """
        if len(history.trials) < self.initial:
            # An opinion of scores says nothing of other objectives.
            predictor = self.predictor if self.objectives == (SCORE,) else None
            return initial_design(space, history, predictor, count, seed)
        observed = history.observed
        if len(observed) < 2:
            return Asked(
                random_proposals(space, history, count, seed),
                "fewer than two have succeeded: random",
            )
        number = len(history.trials)
        ranked = best_first(observed, self.objectives, self.constraints)
        best = [trial.architecture for trial in ranked[: self.parents]]
        pool = candidates(
            space, history, best, self.candidates, generator(seed, "candidates", number)
        )
        coins = generator(seed, "exploration", number)
        num_random = sum(coins.random() < self.exploration for _ in range(count))
        explored = random_proposals(space, history, num_random, seed)
        evolved, note = self._hedge(space, history, count - len(explored), seed)
        if not any(trial.prediction for trial in history.trials):  # The first fit.
            note = how_right(space, self.predictor, observed, seed)
        fixed = _distinct((*explored, *evolved))[:count]
        pool = _distinct((*fixed, *pool))
        if len(pool) < count:
            taken = [proposal.canonical for proposal in pool]
            pool = (*pool, *random_proposals(space, history, count - len(pool), seed, taken))
        if not pool:
            return Asked((), "no new candidate was found")
        predictions = {
            name: self._predict(space, observed, pool, name, derive(seed, "fit", number))
            for name in self._names
        }
        random = numpy.random.default_rng(derive(seed, "acquisition", number))
        others = self._choose(predictions, observed, len(fixed), count - len(fixed), random)
        scores = predictions[SCORE.name].pool
        proposals = tuple(
            with_prediction(pool[place], predicted(scores, place))
            for place in (*range(len(fixed)), *others)
        )
        return Asked(proposals, note)

    @property
    def _names(self) -> tuple[str, ...]:
        """The numbers to predict: the score, the objectives and the constrained numbers.

        The score is always predicted, because the surrogate is judged by it.
        """
        bounded = (*self.objectives, *self.constraints)
        return tuple(dict.fromkeys((SCORE.name, *(each.name for each in bounded))))

    def _predict(
        self,
        space: SearchSpace,
        observed: tuple[Trial, ...],
        pool: tuple[Proposal, ...],
        name: str,
        seed: int,
    ) -> NumberPredictions:
        """Predictions of the number of that name; exact values if it is computed from the graph."""
        known_M = values(observed, [Objective(name)])[:, 0]
        is_exact = all(
            number_of(space, trial.architecture, name) == number
            for trial, number in zip(observed, known_M.tolist(), strict=True)
        )
        if is_exact:
            exact_N = numpy.array(
                [number_of(space, proposal.architecture, name) for proposal in pool],
                dtype=numpy.float64,
            )
            return NumberPredictions(_certain(exact_N), _certain(known_M))
        known = [space.graph(trial.architecture) for trial in observed]
        fitted = reading(self.predictor, space).fit(known, known_M, seed=seed)
        return NumberPredictions(
            fitted.predict([space.graph(proposal.architecture) for proposal in pool]),
            fitted.predict(known),
        )

    def _choose(
        self,
        predictions: Mapping[str, NumberPredictions],
        observed: tuple[Trial, ...],
        fixed: int,
        count: int,
        random: numpy.random.Generator,
    ) -> list[int]:
        """The indices in the pool of `count` candidates, the most worthwhile first.

        The first `fixed` candidates are left out, since they are chosen already. Candidates that
        probably break a constraint come last.
        """
        likely_N = likely_kept(
            {name: each.pool for name, each in predictions.items()}, self.constraints
        )
        able = numpy.flatnonzero(likely_N >= LIKELY)
        able = able[able >= fixed]
        feasible = [trial for trial in observed if not broken(trial, self.constraints)]
        chosen: list[int] = []
        if feasible and len(able):
            best = self._most_worthwhile(predictions, able, feasible, count, random)
            chosen = able[best].tolist()
        others = (
            place
            for place in numpy.argsort(-likely_N, kind="stable").tolist()
            if place >= fixed and place not in chosen
        )
        return [*chosen, *islice(others, count - len(chosen))]

    def _most_worthwhile(
        self,
        predictions: Mapping[str, NumberPredictions],
        able: numpy.ndarray,
        feasible: list[Trial],
        count: int,
        random: numpy.random.Generator,
    ) -> list[int]:
        """Indices into `able` of the candidates that are best by the acquisition function.

        With several objectives these are the candidates that together add most to the front.
        """
        known_MK = values(feasible, self.objectives)
        means = [each.sign * predictions[each.name].pool.mean[able] for each in self.objectives]
        stds = [predictions[each.name].pool.epistemic[able] for each in self.objectives]
        mean_NK, std_NK = numpy.stack(means, axis=1), numpy.stack(stds, axis=1)
        objective, *others = self.objectives
        if others:
            possible_SNK = possible(self.acquisition, mean_NK, std_NK, self.kappa, random)
            return front_extensions(possible_SNK, known_MK, count, random)
        of_known = predictions[objective.name].observed
        outlook = Outlook(
            mean_NK[:, 0],
            std_NK[:, 0],
            objective.sign * of_known.mean,
            of_known.epistemic,
            float(known_MK.max()),
        )
        gain_N = ACQUISITIONS[self.acquisition](outlook, self.kappa, count, random)
        return numpy.argsort(-gain_N, kind="stable")[:count].tolist()

    def _hedge(
        self, space: SearchSpace, history: History, count: int, seed: int
    ) -> tuple[tuple[Proposal, ...], str]:
        """Half of `count` from evolution, with a note, if the surrogate is not trusted."""
        correlation = recent_rank_correlation(history, JUDGED)
        if correlation is None or correlation > 0:
            return (), ""
        if self.objectives == (SCORE,):
            evolution = Evolution(population=max(self.initial, 10), tournament=5)
        else:
            evolution = NSGA2(self.objectives, self.constraints)
        seen = seen_by(evolution, history, self.constraints)
        evolved = evolution.ask(space, seen, count // 2, seed).proposals
        return (
            evolved,
            f"the surrogate did not rank its latest {JUDGED} predictions (rank correlation "
            f"{correlation:.2f}): half of the batch by evolution",
        )


def recent_rank_correlation(history: History, latest: int) -> float | None:
    """The rank correlation of predicted and observed scores over the latest predictions.

    None if there are fewer than `latest`, or if all predictions or all scores are equal.
    """
    judged = [
        (trial.prediction.mean, trial.score)
        for trial in history.observed
        if trial.prediction is not None
    ][-latest:]
    if len(judged) < latest:
        return None
    return rank_correlation(
        numpy.array([mean for mean, _ in judged]), numpy.array([score for _, score in judged])
    )


def _certain(number_N: numpy.ndarray) -> Prediction:
    """These numbers as predictions without uncertainty."""
    return Prediction(number_N, numpy.zeros(len(number_N)), numpy.zeros(len(number_N)))


def _distinct(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    """The proposals without duplicates, of which the first is kept."""
    unique: dict[str, Proposal] = {}
    for proposal in proposals:
        unique.setdefault(proposal.canonical, proposal)
    return tuple(unique.values())
