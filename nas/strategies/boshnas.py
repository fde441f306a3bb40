"""BOSHNAS (Tuli et al., FlexiBERT, 2022, arXiv 2205.11656): the inputs of a surrogate of three
networks climb to where its upper confidence bound is highest.

    observed -> fit -> starts in an embedding -> climb -> the nearest candidates -> the best of them

Of ten proposals eight are found so, one is what the surrogate knows least about, and one is random.
How long the best has stood decides whether noise counts too; that is read off the history, as
everything is.

Shapes: N candidates, K starts, D numbers of an embedding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy
from numpy import ndarray

from nas.record.history import History, Proposal, Trial
from nas.seeds import derive, generator
from nas.strategies.strategy import Asked, novel, random_draws, with_prediction
from nas.strategies.surrogate import candidates, predicted
from predictors.boshnas.gobi import Ascent, climb
from predictors.boshnas.relaxed import climb_operations, graph_features
from predictors.boshnas.surrogate import Boshnas, Surrogate
from predictors.frame.fitted import FittedModel
from predictors.network.ensemble import GNN, Networks
from predictors.reading.batch import Encoded
from spaces import Architecture, Graph, SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

ORDERS, INPUTS = ("second", "first", "zeroth"), ("embedding", "relaxed")
# Where a proposal comes from: the acquisition's maximum, or the largest doubt.
OPTIMISED, UNSURE = "optimised", "unsure"
# Rounds that optimised and brought nothing better, after which noise counts; after twice as many
# the search has converged.
STALE = 5


@dataclass(frozen=True)
class BOSHNAS:
    """Candidates near the maxima of mean + k1 aleatoric + k2 epistemic, both standard deviations in
    units of the score.

    Attributes:
        initial: at least so many are drawn at random before the first fit (whole batches).
        order: how inputs climb: `second` by AdaHessian, `first` by Adam. `zeroth` is the control:
            no climb, all candidates are compared.
        inputs: what climbs: places in an `embedding`, from candidates at random; or, `relaxed`, the
            shares of the operations at the nodes of the best graphs so far, under a graph network,
            whose members' disagreement is then the epistemic deviation.
        embedding: of the surrogate, see `predictors.boshnas.surrogate.Boshnas`.
        heteroscedastic: whether the noise depends on the architecture; not under a graph network.
        aleatoric: weight of that deviation, k1 in the paper, once 5 rounds of optimisation in a row
            brought nothing better; before it is 0.
        epistemic: weight of that deviation, k2.
        unsure: the share of proposals that the surrogate knows least about.
        random: the share drawn at random.
        candidates: architectures that a climb may end at, drawn anew in every round.
        parents: how many of the best are mutated and crossed to make them.
        starts: places among these that climb; or so many of the parents' graphs, whose operations
            do.
        trust: how far a place may move from its start in each number, as a share of the candidates'
            range; 1 is no limit. Without one, climbs leave for the corners of the box around the
            candidates, where there is none, and the surrogate knows nothing.
        climb_steps: of a climb, at most.
        members: networks of each kind in the surrogate that are averaged; the published one has
            one.
        fit_steps: of the optimiser in each fit of the surrogate, at most.
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
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "initial design: random",
            )
        if len(history.observed) < 2:
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "fewer than two have succeeded: random",
            )
        number = len(history.trials)
        coins = generator(seed, "policy", number)
        drawn = [coins.random() for _ in range(count)]
        explored = novel(
            space,
            history,
            random_draws(space, history, seed),
            sum(coin < self.random for coin in drawn),
        )
        pool = (
            *explored,
            *self._candidates(space, history, [proposal.canonical for proposal in explored], seed),
        )
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
        stale = stale_rounds(history)
        fitted = self._predictor().fit(
            [space.graph(trial.architecture) for trial in history.observed],
            [trial.score for trial in history.observed],
            seed=derive(seed, "fit", number),
        )
        encoded = fitted.encode([space.graph(proposal.architecture) for proposal in pool])
        said, aleatoric = fitted.predict_encoded(encoded), self.aleatoric if stale >= STALE else 0.0
        gain_N = said.mean + aleatoric * said.aleatoric + self.epistemic * said.epistemic
        optimised = numpy.argsort(-gain_N, kind="stable").tolist()
        if self.order != "zeroth":
            best = [space.graph(architecture) for architecture in self._best(history)]
            weights = aleatoric * fitted.scale, self.epistemic * fitted.scale
            optimised = nearest_first(
                *self._ends(fitted, encoded, best, weights, derive(seed, "climb", number)), gain_N
            )
        unsure = sum(self.random <= coin < self.random + self.unsure for coin in drawn)
        chosen = dict.fromkeys(range(len(explored)), "random")
        for origin, order, wanted in (
            (OPTIMISED, optimised, count - len(explored) - unsure),
            (UNSURE, numpy.argsort(-said.epistemic, kind="stable").tolist(), unsure),
        ):
            chosen |= dict.fromkeys(
                islice((place for place in order if place not in chosen), wanted), origin
            )
        return Asked(
            tuple(
                with_prediction(replace(pool[place], origin=origin), predicted(said, place))
                for place, origin in chosen.items()
            ),
            _note(stale),
        )

    def _predictor(self) -> Boshnas | GNN:
        if self.inputs == "relaxed":
            return GNN(members=self.members, steps=min(self.fit_steps, GNN.steps))
        return Boshnas(
            embedding=self.embedding,
            heteroscedastic=self.heteroscedastic,
            members=self.members,
            steps=self.fit_steps,
        )

    def _candidates(
        self, space: SearchSpace, history: History, taken: Sequence[str], seed: int
    ) -> tuple[Proposal, ...]:
        return candidates(
            space,
            history,
            self._best(history),
            self.candidates,
            generator(seed, "candidates", len(history.trials)),
            taken,
        )

    def _best(self, history: History) -> list[Architecture]:
        return [
            trial.architecture
            for trial in sorted(history.observed, key=lambda trial: (-trial.score, trial.number))[
                : self.parents
            ]
        ]

    def _ends(
        self,
        fitted: FittedModel,
        encoded: Encoded,
        best: Sequence[Graph],
        weights: tuple[float, float],
        seed: int,
    ) -> tuple[ndarray, ndarray]:
        """Where climbs end (K, D), and where the candidates are (N, D), in what the surrogate
        reads.
        """
        assert self.order != "zeroth"
        ascent, probes = Ascent(self.order, self.climb_steps), derive(seed, "probes")
        if isinstance(fitted.model, Networks):
            started = fitted.encode(best[: self.starts])
            return climb_operations(
                fitted.model, fitted.encoding, started, weights, ascent, probes
            )[0], graph_features(fitted.model, encoded)
        assert isinstance(fitted.model, Surrogate)
        place_ND = fitted.model.embedding.embed(encoded)
        start_K = numpy.random.default_rng(derive(seed, "starts")).integers(
            len(place_ND), size=self.starts
        )
        box = boxes(place_ND[start_K], place_ND, self.trust)
        return climb(bound(fitted.model, weights), place_ND[start_K], *box, ascent, probes)[
            0
        ], place_ND


def boxes(start_KD: ndarray, place_ND: ndarray, trust: float) -> tuple[ndarray, ndarray]:
    """(K, D) from where to where each number of each start may move: in the box around all
    candidates, and no further than this share of its side.
    """
    low_D, high_D = place_ND.min(0), place_ND.max(0)
    return numpy.maximum(low_D, start_KD - trust * (high_D - low_D)), numpy.minimum(
        high_D, start_KD + trust * (high_D - low_D)
    )


def bound(model: Surrogate, weights: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    """mean + weights[0] aleatoric + weights[1] epistemic at places of the embedding, in normal
    scores.
    """

    def value(x_KD: Tensor) -> Tensor:
        mean_K, aleatoric_K, epistemic_K = model.believe(x_KD)
        return mean_K + weights[0] * aleatoric_K + weights[1] * epistemic_K

    return value


def nearest_first(end_KD: ndarray, place_ND: ndarray, gain_N: ndarray) -> list[int]:
    """All candidates: the nearest to the end of each climb, of these the most worthwhile first;
    then the second nearest to each; and so on.
    """
    order_KN = numpy.argsort(
        [numpy.abs(end_D - place_ND).mean(1) for end_D in end_KD], axis=1, kind="stable"
    )
    found: dict[int, None] = {}
    for nearest_K in order_KN.T:
        found |= dict.fromkeys(
            sorted(nearest_K.tolist(), key=lambda place: (-gain_N[place], place))
        )
    return list(found)


def stale_rounds(history: History) -> int:
    """How many rounds that optimised brought nothing better, since the last that did; rounds that
    did not optimise are not counted and break no row.
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
    return (
        f"nothing better in {stale} rounds of optimisation: noise counts too"
        if stale >= STALE
        else ""
    )
