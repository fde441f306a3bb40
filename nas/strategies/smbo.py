"""The best of many random candidates, by a linear model of hashed features (Negrinho and Gordon,
2017, arXiv 1704.08792): a cheap baseline.

Shapes: N trials, M candidates, C features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy

from nas.record.history import History, Predicted, Proposal
from nas.seeds import generator
from nas.strategies.strategy import Asked, novel, random_draws, with_prediction
from spaces import Architecture, SearchSpace
from spaces.operators import sample


@dataclass(frozen=True)
class SMBO:
    """The best of `pool` random candidates by ridge regression, or with probability `epsilon` one
    at random.

    An architecture's features are the counts of its strings in three bags, hashed: its operations,
    the pairs that its edges join, and its decisions.

    Attributes:
        initial: at least so many are drawn at random before the first fit (whole batches).
        pool: how many new candidates are drawn for each proposal.
        epsilon: the probability of a proposal at random.
        features: how many places there are for the hashed strings; two that fall into one are not
            told apart.
        decay: ridge regression's penalty on the squared weights, beside the sum of squared errors
            of scores in standard deviations.
    """

    initial: int = 10
    pool: int = 256
    epsilon: float = 0.1
    features: int = 1024
    decay: float = 0.1

    def __post_init__(self) -> None:
        if self.initial < 2 or self.pool < 1 or self.features < 1 or self.decay <= 0:
            raise ValueError(
                "smbo needs initial >= 2, pool >= 1, features >= 1 and decay > 0; got "
                f"{self.initial}, {self.pool}, {self.features} and {self.decay}"
            )
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"smbo's epsilon is a probability between 0 and 1; got {self.epsilon}")

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`. A failure counts as the worst score."""
        if len(history.trials) < self.initial:
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "initial design: random",
            )
        if not history.observed:
            return Asked(
                novel(space, history, random_draws(space, history, seed), count),
                "nothing has succeeded yet: random",
            )
        line = self._fit(space, history)
        random = generator(seed, "smbo", len(history.trials))
        proposals: list[Proposal] = []
        for _ in range(count):
            explores = random.random() < self.epsilon
            found = novel(
                space,
                history,
                _draws(space, random),
                1 if explores else self.pool,
                [item.canonical for item in proposals],
            )
            if not found:
                break
            proposals.append(found[0] if explores else self._best(space, found, line))
        return Asked(tuple(proposals))

    def _fit(self, space: SearchSpace, history: History) -> Line:
        done = [trial for trial in history.trials if trial.outcome is not None]
        worst = min(trial.score for trial in history.observed)
        score_N = numpy.array([trial.score if trial.is_observed else worst for trial in done])
        return ridge(
            self._features(space, [trial.architecture for trial in done]), score_N, self.decay
        )

    def _best(self, space: SearchSpace, found: Sequence[Proposal], line: Line) -> Proposal:
        mean_M = line.predict(self._features(space, [proposal.architecture for proposal in found]))
        best = int(mean_M.argmax())
        return with_prediction(found[best], Predicted(float(mean_M[best]), line.error, 0.0))

    def _features(self, space: SearchSpace, architectures: Sequence[Architecture]) -> numpy.ndarray:
        feature_NC = numpy.zeros((len(architectures), self.features))
        for row, architecture in enumerate(architectures):
            numpy.add.at(feature_NC[row], _places(space, architecture, self.features), 1.0)
        return feature_NC


@dataclass(frozen=True)
class Line:
    """A linear model; `error` is the root mean square of its errors on scores left out one at a
    time.
    """

    weight_C: numpy.ndarray
    intercept: float
    error: float

    def predict(self, feature_MC: numpy.ndarray) -> numpy.ndarray:
        """The expected scores (M,)."""
        return feature_MC @ self.weight_C + self.intercept


def ridge(feature_NC: numpy.ndarray, score_N: numpy.ndarray, decay: float) -> Line:
    """The weights that minimise the squared errors plus `decay` times the squared weights, solved
    in the trials' space (N x N).

    The intercept is not penalised. The errors left out are closed-form: residual / (1 - leverage).
    """
    centre_C, mean, scale = feature_NC.mean(0), float(score_N.mean()), float(score_N.std()) or 1.0
    centred_NC, number = feature_NC - centre_C, len(score_N)
    normal_N = (score_N - mean) / scale
    inverse_NN = numpy.linalg.inv(centred_NC @ centred_NC.T + decay * numpy.eye(number))
    dual_N = inverse_NN @ normal_N
    weight_C = scale * (centred_NC.T @ dual_N)
    # The residual is decay * dual, and 1 - leverage is decay * the inverse's diagonal less the
    # intercept's share 1 / N.
    kept_N = numpy.maximum(decay * inverse_NN.diagonal() - 1 / number, 1e-6)
    error = scale * float(numpy.sqrt(((decay * dual_N / kept_N) ** 2).mean()))
    return Line(weight_C, mean - float(centre_C @ weight_C), error)


def strings(space: SearchSpace, architecture: Architecture) -> Iterator[str]:
    """The three bags: `op`, `op -> op` for each edge, `path = answer` for each decision."""
    graph = space.graph(architecture)
    yield from (node.op for node in graph.nodes)
    yield from (
        f"{graph.nodes[edge.source].op} -> {graph.nodes[edge.target].op}" for edge in graph.edges
    )
    yield from (f"{path} = {answer}" for path, answer in architecture.decisions)


def place_of(text: str, features: int) -> int:
    """The place that the string falls into, in any process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % features


@lru_cache(maxsize=100_000)
def _places(space: SearchSpace, architecture: Architecture, features: int) -> numpy.ndarray:
    return numpy.array([place_of(text, features) for text in strings(space, architecture)])


def _draws(space: SearchSpace, random: Random) -> Iterator[tuple[Architecture, str]]:
    while True:
        yield sample(space, random), "random"
