"""The frame of every built-in predictor: graphs and scores become numbers once, a learner learns from them, and its beliefs become score units.

A learner sees neither graphs nor scores: it sees encoded graphs, normal scores and the folds that its members leave out. What its members say about
the labels that they did not see calibrates the spread (CV+, Barber et al. 2021) and lets `auto` weigh one learner against another.

Shapes: N training graphs, M graphs, K folds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from predictors.batch import Encoded
from predictors.calibration import fit_scale, folds_of
from predictors.features import Encoding, learn_encoding
from predictors.predictor import Prediction, check_graphs, check_training
from predictors.ranking import kendall_tau
from predictors.store import Stored, write
from predictors.targets import NormalScores, learn_normal_scores
from predictors.terms import readable, without_whole
from spaces.graph import Graph

NUM_FOLDS = 5
# Graphs that are predicted at a time.
CHUNK = 1024
# Of so many graphs at most the numbers are kept, for who asks about them again.
REMEMBERED = 4096
# Graphs are read with their dead parts only where that takes away so much of the discord between two rankings. Seen: 1.2 to 1.5 for accuracies of
# cells with many dead parts, 0.2 to 0.7 for latencies of the same cells, 0.8 to 1.2 where there is little that simplifying takes away.
WHOLE_IF_DISCORD_BELOW = 0.8
# Networks that are not dead, at least, for these to be learnt alone.
LEAST_ALIVE = 2
# Labels on which that is found out.
MOST_ASKED = 300


@dataclass(frozen=True)
class Belief:
    """What is believed about M graphs, in normal scores; every array is (M,). See `Prediction` for the parts."""

    mean: np.ndarray
    aleatoric: np.ndarray
    epistemic: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """(M,) the standard deviation of a new normal score."""
        return np.hypot(self.aleatoric, self.epistemic)


@dataclass(frozen=True)
class Training:
    """N labelled graphs as learners read them.

    Attributes:
        encoding: learnt from these graphs.
        encoded: the graphs as numbers.
        normal_N: their normal scores.
        fold_N: the fold of each, 0 to K - 1, isomorphic graphs in one; -1 where there are too few graphs for folds.
    """

    encoding: Encoding
    encoded: Encoded
    normal_N: np.ndarray
    fold_N: np.ndarray

    @property
    def has_folds(self) -> bool:
        """Whether the graphs are enough to be split."""
        return bool(self.fold_N[0] >= 0)

    def left_out(self, members: int) -> np.ndarray:
        """(N, members) true where the member leaves the graph out. Every graph is left out by about a K-th of the members; by none without folds."""
        if not self.has_folds:
            return np.zeros((len(self.fold_N), members), dtype=bool)
        return self.fold_N[:, None] % min(members, NUM_FOLDS) == np.arange(members) % NUM_FOLDS


class Model(Protocol):
    """What was learnt."""

    def predict(self, encoded: Encoded) -> Belief:
        """The belief about each graph, which depends on that graph alone."""
        ...

    def state(self) -> dict[str, Any]:
        """What was learnt, as far as it is JSON."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learnt, as far as it is arrays, by name."""
        ...


@dataclass(frozen=True)
class Learnt:
    """A model, and what its parts say about the training graphs that they did not see.

    Attributes:
        model: predicts other graphs.
        left_out: the belief about each training graph (N,) by what was learnt without its fold; without folds, that of somebody who knows nothing.
        excess: how much larger the variance of `left_out.mean` is than that of the model's mean, which averages more members.
    """

    model: Model
    left_out: Belief
    excess: float = 0.0


class Learner(Protocol):
    """The settings of a built-in predictor: a frozen dataclass."""

    name: ClassVar[str]

    def learn(self, training: Training, seed: int) -> Learnt:
        """Learn from encoded graphs; the result depends on these and the seed alone."""
        ...


@dataclass(frozen=True)
class FittedModel:
    """A model with what surrounds it.

    Attributes:
        settings: of the learner.
        encoding: turns graphs into what the model reads.
        target: the map back to score units.
        scale: the factor on the model's spread.
        simplified: whether graphs are simplified before they are read.
        dead: mean and deviation, in normal scores, of every network whose output does not hear its input; None where the model is asked about them too.
    """

    settings: Any
    encoding: Encoding
    target: NormalScores
    model: Model
    scale: float
    simplified: bool = True
    dead: tuple[float, float] | None = None

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Mean and standard deviations of M graphs in score units.

        Raises:
            ValueError: a value is no graph.
        """
        check_graphs(graphs)
        return self.predict_encoded(self.encode(graphs))

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """The graphs as numbers, for those who ask about the same ones again."""
        encoded = _encoded if len(graphs) <= REMEMBERED else _encoded.__wrapped__
        return encoded(self.encoding, tuple(graphs), self.simplified)

    def predict_encoded(self, encoded: Encoded) -> Prediction:
        """The same for graphs encoded before."""
        if len(encoded) == 0:
            return Prediction(np.zeros(0), np.zeros(0), np.zeros(0))
        parts = _side_by_side(self.model.predict, list(encoded.chunks(CHUNK)))
        mean_M, aleatoric_M, epistemic_M = (np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "aleatoric", "epistemic"))
        aleatoric_M, epistemic_M = aleatoric_M * self.scale, epistemic_M * self.scale
        if self.dead is not None:
            dead_M = encoded.flat.is_dead()
            mean_M[dead_M], aleatoric_M[dead_M], epistemic_M[dead_M] = *self.dead, 0.0
        return self.target.prediction(mean_M, aleatoric_M, epistemic_M)

    def save(self, directory: str | Path) -> None:
        """Write the predictor so that `load_predictor` reads it."""
        state = {
            "encoding": asdict(self.encoding),
            "scale": self.scale,
            "simplified": self.simplified,
            "dead": self.dead,
            "model": self.model.state(),
        }
        arrays = {f"model.{name}": array for name, array in self.model.arrays().items()}
        write(directory, Stored(self.settings.name, asdict(self.settings), state, arrays | self.target.arrays()))


@lru_cache(maxsize=2)
def _encoded(encoding: Encoding, graphs: tuple[Graph, ...], simplified: bool) -> Encoded:
    # A search of several objectives fits a predictor to each, on the same graphs, and asks all of them about the same candidates.
    return encoding.encode([readable(graph, simplified=simplified) for graph in graphs])


def _side_by_side(predict: Callable[[Encoded], Belief], chunks: Sequence[Encoded]) -> list[Belief]:
    """The beliefs about each chunk. Several are worked on at once, each on one thread: no product of matrices here is worth more than one."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        workers = min(len(chunks), os.cpu_count() or 1)
        if workers == 1:
            return [predict(chunk) for chunk in chunks]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(predict, chunks))


def fit(learner: Learner, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, seed: int) -> FittedModel:
    """The learner's model of these graphs, its spread calibrated on the labels that its parts left out.

    Raises:
        ValueError: see `predictor.check_training`.
    """
    from threadpoolctl import threadpool_limits

    score_N = check_training(graphs, scores)
    target = learn_normal_scores(score_N)
    normal_N = target.to_normal(score_N)
    # Many small matrices gain nothing from threads, and threads that wait for each other on busy cores lose very much (measured: 73 s in place of 1.3).
    with threadpool_limits(1):
        training, rows_L, simplified = _read(graphs, normal_N, seed)
        learnt = learner.learn(training, seed)
        # Without folds nothing is known of the error, so the spread becomes that of the scores themselves.
        known = training.has_folds
        scale = _scale(learnt.left_out, target, score_N[rows_L]) if known else 1 / _typical_std(learnt.model.predict(training.encoded))
    dead = _dead(np.delete(normal_N, rows_L), training) if simplified and not training.encoded.flat.is_dead().any() else None
    return FittedModel(learner, training.encoding, target, learnt.model, scale, simplified, dead)


def _dead(dead_D: np.ndarray, training: Training) -> tuple[float, float] | None:
    """Mean and deviation of networks whose output does not hear their input: that of those with a label, else a deviation below the worst of all.

    They need not be learnt, since nothing can be: whatever their operations, they answer every input alike. Left to a model they are unlike all that it was
    trained on, and it may say anything of them. But where scores fall as networks grow, the score is a cost (a latency), and what does nothing costs
    little: without a label of one the model is asked.
    """
    if len(dead_D):
        return float(dead_D.mean()), max(float(dead_D.std()), 0.1)
    flat = training.encoded.flat
    is_cost = kendall_tau(flat.last_M - flat.first_M, training.normal_N) < 0
    return None if is_cost else (float(training.normal_N.min()) - 1.0, 1.0)


def _typical_std(belief: Belief) -> float:
    return float(np.sqrt((belief.std**2).mean()))


def _scale(left_out: Belief, target: NormalScores, score_N: np.ndarray) -> float:
    """The factor on the spread with which the intervals, in score units, cover the labels that were left out.

    Scores crowd at the top, so an interval that is right in normal scores is not once it is made symmetric in score units, and how far it is off depends
    on its width: hence the repetition, which settles after two or three.
    """
    scale = 1.0
    for _ in range(8):
        prediction = target.prediction(left_out.mean, left_out.aleatoric * scale, left_out.epistemic * scale)
        scale = float(np.clip(scale * fit_scale(score_N - prediction.mean, prediction.std), 1e-3, 1e3))
    return scale


def _read(graphs: Sequence[Graph], normal_N: np.ndarray, seed: int) -> tuple[Training, np.ndarray, bool]:
    """The graphs that are to be learnt as numbers, which of all graphs these are (L,), and whether they were simplified first.

    What does not matter to a score should not be read, so they are; unless what simplifying takes away tells of the labels. A Gaussian process is
    asked: reading the whole, it must rank labels that it did not see clearly better. Networks whose output does not hear their input are learnt only then.
    """
    simple, whole = ([readable(graph, simplified=simplified) for graph in graphs] for simplified in (True, False))
    everything = np.arange(len(graphs))
    alive = np.flatnonzero([len(graph.edges) > 0 for graph in simple])
    rows_L = alive if len(alive) >= LEAST_ALIVE else everything

    def training_of(read: Sequence[Graph], rows: np.ndarray) -> Training:
        encoding, chosen = learn_encoding([read[row] for row in rows]), [read[row] for row in rows]
        return Training(encoding, encoding.encode(chosen), normal_N[rows], folds_of([without_whole(simple[row]) for row in rows], NUM_FOLDS, seed))

    training = training_of(simple, everything)
    differ = any(len(first.nodes) != len(second.nodes) for first, second in zip(simple, whole, strict=True))
    if training.has_folds and differ:
        other = training_of(whole, everything)
        if _discord(other, seed) < WHOLE_IF_DISCORD_BELOW * _discord(training, seed):
            return other, everything, False
    return (training if len(rows_L) == len(graphs) else training_of(simple, rows_L)), rows_L, True


def _discord(training: Training, seed: int) -> float:
    """One less Kendall's tau on left-out labels, of a Gaussian process on some hundreds of them."""
    from predictors.gp import GP

    rows = np.sort(np.random.default_rng([seed, 4]).permutation(len(training.normal_N))[:MOST_ASKED])
    asked = Training(training.encoding, training.encoded.take(rows), training.normal_N[rows], training.fold_N[rows])
    return 1 - kendall_tau(GP().learn(asked, seed).left_out.mean, asked.normal_N)


def left_out_by_members(mean_NK: np.ndarray, left_out_NK: np.ndarray, normal_N: np.ndarray, averaged: int) -> tuple[Belief, float]:
    """What those members believe of a graph that left it out, and the excess (see `Learnt`).

    The members' disagreement is the epistemic part. What it does not explain of the errors is the aleatoric part, one number for all graphs: a network
    that learns where it errs more, from some tens of errors, gave narrower intervals that covered less (docs/predictors.md).

    Args:
        mean_NK: what each member says of each training graph.
        left_out_NK: the graphs that each member did not see; each graph was left out by somebody.
        normal_N: the training graphs' normal scores.
        averaged: members that the model averages.
    """
    absent_N = left_out_NK.sum(1)
    mean_N, variance_N = (mean_NK * left_out_NK).sum(1) / absent_N, mean_NK.var(1, ddof=1)
    aleatoric = np.sqrt(max(float(np.mean((normal_N - mean_N) ** 2 - variance_N)), 1e-4))
    return Belief(mean_N, np.full(len(mean_N), aleatoric), np.sqrt(variance_N)), float((variance_N * (1 / absent_N - 1 / averaged)).mean())


def ignorance(count: int) -> Belief:
    """The belief about normal scores before any label: the standard normal distribution."""
    return Belief(np.zeros(count), np.ones(count), np.zeros(count))


def part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names start with the prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
