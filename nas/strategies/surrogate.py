"""Surrogate search: a predictor is fitted to what has been evaluated, looks at many candidates, and
only those it believes in are trained.

    observed -> fit -> candidates (mutations, crossovers, random) -> predict -> acquisition -> the
    best of them, and some at random

The surrogate is judged by its own past: where what it said before the evaluations did not rank what
came out, half of the batch is left to evolution and the note says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Literal

import numpy

from nas.objectives.constrained_space import number_of
from nas.objectives.constraints import Constraint, best_first, broken, seen_by
from nas.objectives.objective import SCORE, Objective, values
from nas.record.history import History, Predicted, Proposal, Trial
from nas.record.scorecard import rank_correlation
from nas.seeds import derive, generator
from nas.strategies.acquisition import (
    ACQUISITIONS,
    Outlook,
    front_extensions,
    likely_kept,
    possible,
)
from nas.strategies.evolution import Evolution
from nas.strategies.nsga2 import NSGA2
from nas.strategies.strategy import Asked, novel, random_draws, with_prediction
from predictors.predictor import Prediction, Predictor
from spaces import Architecture, SearchSpace
from spaces.operators import crossover, every_one, mutate, sample

# The surrogate is distrusted when, over this many of its latest predictions, the rank correlation
# with what came out is not positive.
JUDGED = 16
# So many duplicates in a row, and the pool is what there is: in a space held tightly each draw
# takes hundreds of attempts.
PATIENCE = 100
# A candidate that keeps the constraints with less probability is taken only where there are no
# others.
LIKELY = 0.5


@dataclass(frozen=True)
class Told:
    """What is said of one number: of the candidates, and of what was observed."""

    pool: Prediction
    observed: Prediction


@dataclass(frozen=True)
class SurrogateSearch:
    """The candidates that the predictor, by an acquisition, finds most worth a training.

    Attributes:
        predictor: fitted anew in every round, to each objective.
        objectives: the run's; of several the candidates are chosen that, by the acquisition, add
            most hypervolume to the front.
        constraints: the run's; what only an evaluation tells is predicted, and candidates that
            probably break it come last.
        initial: at least so many are drawn at random before the first fit (whole batches).
        acquisition: `ucb`, `ei`, `noisy_ei`, `thompson` or `top`.
        kappa: how many standard deviations of epistemic uncertainty `ucb` adds.
        candidates: how many the predictor looks at in a round.
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
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "initial design: random",
            )
        observed = history.observed
        if len(observed) < 2:
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "fewer than two have succeeded: random",
            )
        number = len(history.trials)
        best = [
            trial.architecture
            for trial in best_first(observed, self.objectives, self.constraints)[: self.parents]
        ]
        pool = candidates(
            space, history, best, self.candidates, generator(seed, "candidates", number)
        )
        explores = generator(seed, "exploration", number)
        explored = novel(
            space,
            history,
            random_draws(space, history, seed),
            sum(explores.random() < self.exploration for _ in range(count)),
        )
        evolved, note = self._hedge(space, history, count - len(explored), seed)
        fixed = _distinct((*explored, *evolved))[:count]
        pool = _distinct((*fixed, *pool))
        if len(pool) < count:
            pool = (
                *pool,
                *novel(
                    space,
                    history,
                    random_draws(space, history, seed),
                    count - len(pool),
                    [proposal.canonical for proposal in pool],
                ),
            )
        if not pool:
            return Asked((), "no new candidate was found")
        told = {
            name: self._predict(space, observed, pool, name, derive(seed, "fit", number))
            for name in self._names
        }
        random = numpy.random.default_rng(derive(seed, "acquisition", number))
        chosen = (
            *range(len(fixed)),
            *self._choose(told, observed, len(fixed), count - len(fixed), random),
        )
        return Asked(
            tuple(
                with_prediction(pool[place], predicted(told[SCORE.name].pool, place))
                for place in chosen
            ),
            note,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        """The numbers that are predicted: the score, by which the surrogate is judged, and those of
        the objectives and constraints.
        """
        return tuple(
            dict.fromkeys(
                (SCORE.name, *(each.name for each in (*self.objectives, *self.constraints)))
            )
        )

    def _predict(
        self,
        space: SearchSpace,
        observed: tuple[Trial, ...],
        pool: tuple[Proposal, ...],
        name: str,
        seed: int,
    ) -> Told:
        """What the predictor says of a number, or the graph itself where it gives that number."""
        known_N = values(observed, [Objective(name)])[:, 0]
        if all(
            number_of(space, trial.architecture, name) == number
            for trial, number in zip(observed, known_N.tolist(), strict=True)
        ):
            exact_M = numpy.array(
                [number_of(space, proposal.architecture, name) for proposal in pool],
                dtype=numpy.float64,
            )
            return Told(_certain(exact_M), _certain(known_N))
        known = [space.graph(trial.architecture) for trial in observed]
        fitted = self.predictor.fit(known, known_N, seed=seed)
        return Told(
            fitted.predict([space.graph(proposal.architecture) for proposal in pool]),
            fitted.predict(known),
        )

    def _choose(
        self,
        told: Mapping[str, Told],
        observed: tuple[Trial, ...],
        fixed: int,
        count: int,
        random: numpy.random.Generator,
    ) -> list[int]:
        """The places in the pool of the most worthwhile candidates, those that are fixed left out;
        behind them those that may break a constraint.
        """
        likely_N = likely_kept({name: each.pool for name, each in told.items()}, self.constraints)
        able = numpy.flatnonzero(likely_N >= LIKELY)
        able, feasible = (
            able[able >= fixed],
            [trial for trial in observed if not broken(trial, self.constraints)],
        )
        chosen = (
            able[self._most_worthwhile(told, able, feasible, count, random)].tolist()
            if feasible and len(able)
            else []
        )
        others = (
            place
            for place in numpy.argsort(-likely_N, kind="stable").tolist()
            if place >= fixed and place not in chosen
        )
        return [*chosen, *islice(others, count - len(chosen))]

    def _most_worthwhile(
        self,
        told: Mapping[str, Told],
        able: numpy.ndarray,
        feasible: list[Trial],
        count: int,
        random: numpy.random.Generator,
    ) -> list[int]:
        """Which of the able ones the acquisition finds best: by the one objective, or by what they
        add to the front together.
        """
        known_MK = values(feasible, self.objectives)
        mean_NK = numpy.stack(
            [
                objective.sign * told[objective.name].pool.mean[able]
                for objective in self.objectives
            ],
            axis=1,
        )
        std_NK = numpy.stack(
            [told[objective.name].pool.epistemic[able] for objective in self.objectives], axis=1
        )
        objective, *others = self.objectives
        if others:
            return front_extensions(
                possible(self.acquisition, mean_NK, std_NK, self.kappa, random),
                known_MK,
                count,
                random,
            )
        of_known = told[objective.name].observed
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
        """Half of the batch by evolution where the surrogate has not ranked lately."""
        agreement = trust(history, JUDGED)
        if agreement is None or agreement > 0:
            return (), ""
        alone = self.objectives == (SCORE,)
        evolution = (
            Evolution(population=max(self.initial, 10), tournament=5)
            if alone
            else NSGA2(self.objectives, self.constraints)
        )
        evolved = evolution.ask(
            space, seen_by(evolution, history, self.constraints), count // 2, seed
        ).proposals
        return (
            evolved,
            f"the surrogate did not rank its latest {JUDGED} predictions (rank correlation "
            f"{agreement:.2f}): half of the batch by evolution",
        )


def candidates(
    space: SearchSpace,
    history: History,
    best: Sequence[Architecture],
    count: int,
    random: Random,
    taken: Sequence[str] = (),
) -> tuple[Proposal, ...]:
    """Up to `count` new networks: all there are in a space of no more, else children of the best
    and random ones. Not those of the keys that are taken.
    """
    every = every_one(space, count)
    if every is not None:
        return novel(
            space,
            history,
            ((architecture, "enumeration") for architecture in every),
            count,
            taken,
            patience=len(every),
        )
    return novel(
        space, history, _children(space, best, count, random), count, taken, patience=PATIENCE
    )


def _children(
    space: SearchSpace, best: Sequence[Architecture], count: int, random: Random
) -> Iterator[tuple[Architecture, str]]:
    """Of ten candidates six are mutations of the best, half of them of two steps, two are
    crossovers, and two are random; enough for `count` new ones.
    """
    for _ in range(10 * count):
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


def trust(history: History, latest: int) -> float | None:
    """The rank correlation of predicted and observed scores over the latest predictions; None for
    fewer than `latest`, or all alike.
    """
    judged = [trial for trial in history.observed if trial.prediction is not None][-latest:]
    if len(judged) < latest:
        return None
    return rank_correlation(
        numpy.array([trial.prediction.mean for trial in judged]),
        numpy.array([trial.score for trial in judged]),
    )  # type: ignore[union-attr]


def _certain(number_N: numpy.ndarray) -> Prediction:
    return Prediction(number_N, numpy.zeros(len(number_N)), numpy.zeros(len(number_N)))


def predicted(said: Prediction, place: int) -> Predicted:
    """One of what was said, as a proposal carries it."""
    return Predicted(
        float(said.mean[place]), float(said.aleatoric[place]), float(said.epistemic[place])
    )


def _distinct(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    unique: dict[str, Proposal] = {}
    for proposal in proposals:
        unique.setdefault(proposal.canonical, proposal)
    return tuple(unique.values())
