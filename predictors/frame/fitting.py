"""From graphs and scores to a fitted predictor: both become numbers once, the learner learns, and
its spread is calibrated on left-out labels.

Shapes: N training graphs, L of them that are learnt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictors.calibration import fit_scale, folds_of
from predictors.frame.fitted import FittedModel
from predictors.frame.learner import NUM_FOLDS, Belief, Learner, Training
from predictors.frame.process import learn_process
from predictors.frame.targets import NormalScores, learn_normal_scores
from predictors.predictor import check_training
from predictors.ranking import kendall_tau
from predictors.reading.features import learn_encoding
from predictors.reading.terms import readable, without_whole
from spaces.graph import Graph

# Graphs are read with their dead parts only where that takes away so much of the discord between
# two rankings. Seen: 1.2 to 1.5 for accuracies of cells with many dead parts, 0.2 to 0.7 for
# latencies of the same cells, 0.8 to 1.2 where there is little that simplifying takes away.
WHOLE_IF_DISCORD_BELOW = 0.8
# Networks that are not dead, at least, for these to be learnt alone.
LEAST_ALIVE = 2
# Labels on which that is found out.
MOST_ASKED = 300


def fit(
    learner: Learner, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, seed: int
) -> FittedModel:
    """The learner's model of these graphs, its spread calibrated on the labels that its parts left
    out.

    Raises:
        ValueError: see `predictor.check_training`.
    """
    from threadpoolctl import threadpool_limits

    score_N = check_training(graphs, scores)
    target = learn_normal_scores(score_N)
    normal_N = target.to_normal(score_N)
    # Many small matrices gain nothing from threads, and threads that wait for each other on busy
    # cores lose very much (measured: 73 s in place of 1.3).
    with threadpool_limits(1):
        training, rows_L, simplified = _read(graphs, normal_N, seed)
        learnt = learner.learn(training, seed)
        # Without folds nothing is known of the error, so the spread becomes that of the scores
        # themselves.
        known = training.has_folds
        scale = (
            _scale(learnt.left_out, target, score_N[rows_L])
            if known
            else 1 / _typical_std(learnt.model.predict(training.encoded))
        )
    dead = (
        _dead(np.delete(normal_N, rows_L), training)
        if simplified and not training.encoded.flat.is_dead().any()
        else None
    )
    return FittedModel(learner, training.encoding, target, learnt.model, scale, simplified, dead)


def _dead(dead_D: np.ndarray, training: Training) -> tuple[float, float] | None:
    """Mean and deviation of networks whose output does not hear their input: that of those with a
    label, else a deviation below the worst of all.

    They need not be learnt, since nothing can be: whatever their operations, they answer every
        input alike. Left to a model they are unlike all that it was
    trained on, and it may say anything of them. But where scores fall as networks grow, the score
    is a cost (a latency), and what does nothing costs
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
    """The factor on the spread with which the intervals, in score units, cover the labels that were
    left out.

    Scores crowd at the top, so an interval that is right in normal scores is not once it is made
    symmetric in score units, and how far it is off depends
    on its width: hence the repetition, which settles after two or three.
    """
    scale = 1.0
    for _ in range(8):
        prediction = target.prediction(
            left_out.mean, left_out.aleatoric * scale, left_out.epistemic * scale
        )
        scale = float(
            np.clip(scale * fit_scale(score_N - prediction.mean, prediction.std), 1e-3, 1e3)
        )
    return scale


def _read(
    graphs: Sequence[Graph], normal_N: np.ndarray, seed: int
) -> tuple[Training, np.ndarray, bool]:
    """The graphs that are to be learnt as numbers, which of all graphs these are (L,), and whether
    they were simplified first.

    What does not matter to a score should not be read, so they are; unless what simplifying takes
    away tells of the labels. A Gaussian process is
    asked: reading the whole, it must rank labels that it did not see clearly better. Networks whose
        output does not hear their input are learnt only then.
    """
    simple, whole = (
        [readable(graph, simplified=simplified) for graph in graphs] for simplified in (True, False)
    )
    everything = np.arange(len(graphs))
    alive = np.flatnonzero([len(graph.edges) > 0 for graph in simple])
    rows_L = alive if len(alive) >= LEAST_ALIVE else everything

    def training_of(read: Sequence[Graph], rows: np.ndarray) -> Training:
        encoding, chosen = learn_encoding([read[row] for row in rows]), [read[row] for row in rows]
        return Training(
            encoding,
            encoding.encode(chosen),
            normal_N[rows],
            folds_of([without_whole(simple[row]) for row in rows], NUM_FOLDS, seed),
        )

    training = training_of(simple, everything)
    differ = any(
        len(first.nodes) != len(second.nodes) for first, second in zip(simple, whole, strict=True)
    )
    if training.has_folds and differ:
        other = training_of(whole, everything)
        if _discord(other, seed) < WHOLE_IF_DISCORD_BELOW * _discord(training, seed):
            return other, everything, False
    return (training if len(rows_L) == len(graphs) else training_of(simple, rows_L)), rows_L, True


def _discord(training: Training, seed: int) -> float:
    """One less Kendall's tau on left-out labels, of a Gaussian process on some hundreds of them."""
    rows = np.sort(
        np.random.default_rng([seed, 4]).permutation(len(training.normal_N))[:MOST_ASKED]
    )
    asked = Training(
        training.encoding,
        training.encoded.take(rows),
        training.normal_N[rows],
        training.fold_N[rows],
    )
    return 1 - kendall_tau(learn_process(asked, seed).left_out.mean, asked.normal_N)
