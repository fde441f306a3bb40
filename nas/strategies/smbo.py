"""A cheap baseline: a linear model of hashed features chooses among random candidates.

The method is of Negrinho and Gordon, 2017 (arXiv 1704.08792).

Shapes: N trials, M candidates, C features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy

from nas.record.history import History
from nas.record.trials import Predicted, Proposal
from nas.seeds import generator
from nas.strategies.strategy import Asked, novel, random_proposals, with_prediction
from spaces import Architecture, SearchSpace
from spaces.operators import sample


@dataclass(frozen=True)
class SMBO:
    """The best of `pool` random candidates by ridge regression.

    With probability `epsilon` the proposal is random instead. An architecture's features are the
    counts of three kinds of strings, which are hashed: its operations, the pairs of operations that
    its edges join, and its decisions.

    Attributes:
        initial: at least this many are drawn at random before the first fit (whole batches).
        pool: how many new candidates are drawn for each proposal.
        epsilon: the probability of a random proposal.
        features: how many features the strings are hashed into; strings with the same hash are
            counted together.
        decay: the penalty of ridge regression on the squared weights, relative to the sum of the
            squared errors of standardised scores.
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
            return Asked(random_proposals(space, history, count, seed), "initial design: random")
        if not history.observed:
            return Asked(
                random_proposals(space, history, count, seed), "nothing has succeeded yet: random"
            )
        line = self._fit(space, history)
        random = generator(seed, "smbo", len(history.trials))
        proposals: list[Proposal] = []
        for _ in range(count):
            explores = random.random() < self.epsilon
            wanted = 1 if explores else self.pool
            taken = [item.canonical for item in proposals]
            found = novel(space, history, _draws(space, random), wanted, taken)
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
    """A linear model of the score.

    Attributes:
        weight_C, intercept: the score is feature_C @ weight_C + intercept.
        error: the root mean square of its leave-one-out errors.
    """

    weight_C: numpy.ndarray
    intercept: float
    error: float

    def predict(self, feature_MC: numpy.ndarray) -> numpy.ndarray:
        """The expected scores (M,)."""
        return feature_MC @ self.weight_C + self.intercept


def ridge(feature_NC: numpy.ndarray, score_N: numpy.ndarray, decay: float) -> Line:
    """The linear model that minimises the squared errors plus `decay` times the squared weights.

    The intercept is not penalised. The dual problem is solved, whose matrix is N x N. The
    leave-one-out errors have a closed form: residual / (1 - leverage).
    """
    centre_C, mean, scale = feature_NC.mean(0), float(score_N.mean()), float(score_N.std()) or 1.0
    centred_NC, number = feature_NC - centre_C, len(score_N)
    normal_N = (score_N - mean) / scale
    inverse_NN = numpy.linalg.inv(centred_NC @ centred_NC.T + decay * numpy.eye(number))
    dual_N = inverse_NN @ normal_N
    weight_C = scale * (centred_NC.T @ dual_N)
    # The residual is decay * dual. 1 - leverage is decay * the diagonal of the inverse, minus the
    # intercept's share of 1 / N.
    kept_N = numpy.maximum(decay * inverse_NN.diagonal() - 1 / number, 1e-6)
    error = scale * float(numpy.sqrt(((decay * dual_N / kept_N) ** 2).mean()))
    return Line(weight_C, mean - float(centre_C @ weight_C), error)


def strings(space: SearchSpace, architecture: Architecture) -> Iterator[str]:
    """The strings `op` of each node, `op -> op` of each edge, `path = answer` of each decision."""
    graph = space.graph(architecture)
    yield from (node.op for node in graph.nodes)
    yield from (
        f"{graph.nodes[edge.source].op} -> {graph.nodes[edge.target].op}" for edge in graph.edges
    )
    yield from (f"{path} = {answer}" for path, answer in architecture.decisions)


def place_of(text: str, features: int) -> int:
    """The index of the feature that counts the string; the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % features


@lru_cache(maxsize=100_000)
def _places(space: SearchSpace, architecture: Architecture, features: int) -> numpy.ndarray:
    return numpy.array([place_of(text, features) for text in strings(space, architecture)])


def _draws(space: SearchSpace, random: Random) -> Iterator[tuple[Architecture, str]]:
    while True:
        yield sample(space, random), "random"
