"""BOSHNAS: gradients carry a surrogate's inputs to where its upper confidence bound is highest.

The method is of Tuli et al., FlexiBERT, 2022 (arXiv 2205.11656); its surrogate has three networks.

    observed -> fit -> starts in an embedding -> climb -> the nearest candidates -> the best of them

By default eight of ten proposals are found so, one is the candidate with the largest epistemic
uncertainty, and one is random. The aleatoric uncertainty is part of the bound only after some
rounds without a better score. These rounds are counted in the history, so there is no other state.

Shapes: N candidates, K starts, D numbers of an embedding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy
from numpy import ndarray

from nas.record.history import History
from nas.record.trials import Proposal, Trial
from nas.seeds import derive, generator
from nas.strategies.boshnas_climb import bound, boxes, nearest_first
from nas.strategies.candidates import candidates
from nas.strategies.strategy import (
    Asked,
    predicted,
    random_proposals,
    with_prediction,
)
from predictors.boshnas.gobi import Ascent, climb
from predictors.boshnas.learner import Boshnas
from predictors.boshnas.relaxed import climb_operations, graph_features
from predictors.boshnas.surrogate import Surrogate
from predictors.frame.fitted import FittedModel
from predictors.network.ensemble import GNN, Networks
from predictors.reading.batch import Encoded
from spaces import Architecture, Graph, SearchSpace

ORDERS, INPUTS = ("second", "first", "zeroth"), ("embedding", "relaxed")
# Origins of proposals: the maximum of the acquisition, or the largest epistemic uncertainty.
OPTIMISED, UNSURE = "optimised", "unsure"
# After this many rounds of optimisation without a better score, the aleatoric uncertainty counts;
# after twice as many the search has converged.
STALE = 5


@dataclass(frozen=True)
class BOSHNAS:
    """Candidates near the maxima of mean + k1 aleatoric + k2 epistemic.

    Both uncertainties are standard deviations in units of the score.

    Attributes:
        initial: at least this many are drawn at random before the first fit (whole batches).
        order: the optimiser of the inputs: AdaHessian (`second`) or Adam (`first`). `zeroth` is the
            control: nothing is optimised, and all candidates are compared.
        inputs: what is optimised. `embedding`: places in an embedding, from those of random
            candidates. `relaxed`: the shares of the operations at the nodes of the best graphs so
            far, under an ensemble of graph networks, whose disagreement is then the epistemic
            uncertainty.
        embedding: of the surrogate, see `predictors.boshnas.learner.Boshnas`.
        heteroscedastic: whether the noise depends on the architecture; not for `relaxed` inputs.
        aleatoric: weight of the aleatoric standard deviation (k1 in the paper), once 5 rounds of
            optimisation in a row brought nothing better; it is 0 before.
        epistemic: weight of the epistemic standard deviation (k2 in the paper).
        unsure: the share of proposals with the largest epistemic uncertainty.
        random: the share of proposals drawn at random.
        candidates: how many architectures a climb may end at, drawn anew in every round.
        parents: how many of the best are mutated and crossed to make candidates.
        starts: how many places among the candidates are optimised, or, for `relaxed` inputs, how
            many graphs of the parents.
        trust: how far a place may move from its start in each number, as a share of the candidates'
            range; 1 is no limit. Without a limit, places move to the corners of the box around the
            candidates, far from every candidate and from the surrogate's labels.
        climb_steps: the most steps of a climb.
        members: how many networks of each kind the surrogate averages; the published one has one.
        fit_steps: the most optimiser steps in each fit of the surrogate.
    """

    initial: int = 10
    order: Literal["second", "first", "zeroth"] = "first"
    inputs: Literal["embedding", "relaxed"] = "embedding"
    embedding: str = "counts"
    heteroscedastic: bool = True
    aleatoric: float = 0.5
    epistemic: float = 0.5
    unsure: float = 0.1
    random: float = 0.1
    candidates: int = 1000
    parents: int = 10
    starts: int = 30
    trust: float = 0.25
    climb_steps: int = 100
    members: int = 4
    fit_steps: int = 400

    def __post_init__(self) -> None:
        for name, least in (
            ("initial", 2),
            ("candidates", 1),
            ("parents", 1),
            ("starts", 1),
            ("climb_steps", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"boshnas needs {name} to be {least} or more; got {getattr(self, name)}"
                )
        if self.inputs not in INPUTS:
            raise ValueError(f"boshnas knows no inputs {self.inputs!r}; known: {', '.join(INPUTS)}")
        if self.order not in ORDERS:
            raise ValueError(f"boshnas knows no order {self.order!r}; known: {', '.join(ORDERS)}")
        if not (self.unsure >= 0 and self.random >= 0 and self.unsure + self.random <= 1):
            raise ValueError(
                "boshnas' shares unsure and random are 0 or more, and together at most 1; got "
                f"{self.unsure} and {self.random}"
            )
        if not (self.aleatoric >= 0 and self.epistemic >= 0):
            raise ValueError(
                "boshnas needs the weights aleatoric and epistemic to be 0 or more; got "
                f"{self.aleatoric} and {self.epistemic}"
            )
        if not 0 < self.trust <= 1:
            raise ValueError(
                "boshnas' trust is a share of the candidates' range, above 0 and at most 1; got "
                f"{self.trust}"
            )
        self._predictor()
        if self.order != "zeroth":
            Ascent(self.order, self.climb_steps)

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        if len(history.trials) < self.initial:
            return Asked(random_proposals(space, history, count, seed), "initial design: random")
        if len(history.observed) < 2:
            return Asked(
                random_proposals(space, history, count, seed),
                "fewer than two have succeeded: random",
            )
        number = len(history.trials)
        policy = generator(seed, "policy", number)
        coins = [policy.random() for _ in range(count)]
        num_random = sum(coin < self.random for coin in coins)
        num_unsure = sum(self.random <= coin < self.random + self.unsure for coin in coins)
        explored = random_proposals(space, history, num_random, seed)
        pool = self._pool(space, history, explored, count, seed)
        if not pool:
            return Asked((), "no new candidate was found")
        stale = stale_rounds(history)
        fitted = self._predictor().fit(
            [space.graph(trial.architecture) for trial in history.observed],
            [trial.score for trial in history.observed],
            seed=derive(seed, "fit", number),
        )
        encoded = fitted.encode([space.graph(proposal.architecture) for proposal in pool])
        prediction = fitted.predict_encoded(encoded)
        k1, k2 = (self.aleatoric if stale >= STALE else 0.0), self.epistemic
        gain_N = prediction.mean + k1 * prediction.aleatoric + k2 * prediction.epistemic
        optimised = numpy.argsort(-gain_N, kind="stable").tolist()
        if self.order != "zeroth":
            best = [space.graph(architecture) for architecture in self._best(history)]
            weights = k1 * fitted.scale, k2 * fitted.scale
            end_KD, place_ND = self._ends(
                fitted, encoded, best, weights, derive(seed, "climb", number)
            )
            optimised = nearest_first(end_KD, place_ND, gain_N)
        unsure = numpy.argsort(-prediction.epistemic, kind="stable").tolist()
        chosen = dict.fromkeys(range(len(explored)), "random")
        for origin, order, wanted in (
            (OPTIMISED, optimised, count - len(explored) - num_unsure),
            (UNSURE, unsure, num_unsure),
        ):
            new = (place for place in order if place not in chosen)
            chosen |= dict.fromkeys(islice(new, wanted), origin)
        proposals = tuple(
            with_prediction(replace(pool[place], origin=origin), predicted(prediction, place))
            for place, origin in chosen.items()
        )
        return Asked(proposals, _note(stale))

    def _predictor(self) -> Boshnas | GNN:
        if self.inputs == "relaxed":
            return GNN(members=self.members, steps=min(self.fit_steps, GNN.steps))
        return Boshnas(
            embedding=self.embedding,
            heteroscedastic=self.heteroscedastic,
            members=self.members,
            steps=self.fit_steps,
        )

    def _pool(
        self,
        space: SearchSpace,
        history: History,
        explored: tuple[Proposal, ...],
        count: int,
        seed: int,
    ) -> tuple[Proposal, ...]:
        """The explored proposals and the candidates, filled up at random to at least `count`."""
        found = candidates(
            space,
            history,
            self._best(history),
            self.candidates,
            generator(seed, "candidates", len(history.trials)),
            [proposal.canonical for proposal in explored],
        )
        pool = (*explored, *found)
        if len(pool) >= count:
            return pool
        taken = [proposal.canonical for proposal in pool]
        return (*pool, *random_proposals(space, history, count - len(pool), seed, taken))

    def _best(self, history: History) -> list[Architecture]:
        ranked = sorted(history.observed, key=lambda trial: (-trial.score, trial.number))
        return [trial.architecture for trial in ranked[: self.parents]]

    def _ends(
        self,
        fitted: FittedModel,
        encoded: Encoded,
        best: Sequence[Graph],
        weights: tuple[float, float],
        seed: int,
    ) -> tuple[ndarray, ndarray]:
        """The ends of the climbs (K, D) and the candidates (N, D), as places of the embedding.

        For `relaxed` inputs, the places are the features that the graph networks compute.
        """
        assert self.order != "zeroth"
        ascent, probes = Ascent(self.order, self.climb_steps), derive(seed, "probes")
        if isinstance(fitted.model, Networks):
            started = fitted.encode(best[: self.starts])
            end_KD, _ = climb_operations(
                fitted.model, fitted.encoding, started, weights, ascent, probes
            )
            return end_KD, graph_features(fitted.model, encoded)
        assert isinstance(fitted.model, Surrogate)
        place_ND = fitted.model.embedding.embed(encoded)
        random = numpy.random.default_rng(derive(seed, "starts"))
        start_KD = place_ND[random.integers(len(place_ND), size=self.starts)]
        low_KD, high_KD = boxes(start_KD, place_ND, self.trust)
        value = bound(fitted.model, weights)
        end_KD, _ = climb(value, start_KD, low_KD, high_KD, ascent, probes)
        return end_KD, place_ND


def stale_rounds(history: History) -> int:
    """How many rounds of optimisation have brought nothing better since the last better score.

    Rounds without a completed proposal of the optimisation are not counted, and do not end the
    series.
    """
    rounds: defaultdict[int, list[Trial]] = defaultdict(list)
    for trial in history.trials:
        rounds[trial.round].append(trial)
    fullest = {trial.number for trial in history.fullest}
    best, stale = -math.inf, 0
    for number in sorted(rounds):
        highest = max(
            (trial.score for trial in rounds[number] if trial.number in fullest), default=-math.inf
        )
        if highest > best:
            best, stale = highest, 0
        elif any(
            trial.origin == OPTIMISED and trial.outcome is not None for trial in rounds[number]
        ):
            stale += 1
    return stale


def _note(stale: int) -> str:
    if stale >= 2 * STALE:
        return f"converged: {stale} rounds of optimisation in a row brought nothing better"
    if stale >= STALE:
        return f"nothing better in {stale} rounds of optimisation: noise counts too"
    return ""
