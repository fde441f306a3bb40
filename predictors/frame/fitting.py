"""Fitting a predictor: encode graphs and scores, train the learner, calibrate on held-out labels.

Shapes: N training graphs; L of them, on which the learner is trained; D disconnected networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictors.calibration import fit_scale, folds_of
from predictors.frame.fitted import FittedModel
from predictors.frame.learner import NUM_FOLDS, Belief, Learner, Training
from predictors.frame.process import learn_process
from predictors.frame.targets import are_costs, learn_normal_scores
from predictors.predictor import check_training
from predictors.ranking import kendall_tau
from predictors.reading.features import learn_encoding
from predictors.reading.terms import readable, without_whole
from spaces.graph import Graph

# Graphs are encoded without simplification only if that reduces the discord (one minus Kendall's
# tau on held-out labels) below this share of the discord with simplified graphs. Measured ratios:
# 0.2 to 0.7 for latencies of cells with many unused parts, 1.2 to 1.5 for accuracies of the same
# cells. From some tens of labels a ratio is uncertain by a fifth. So a cost, which a device has for
# all that it executes, needs no more than a smaller discord, and a score needs a much smaller one:
# whole graphs hide from an accuracy what it depends on.
COSTS_WHOLE_IF_DISCORD_BELOW = 1.0
SCORES_WHOLE_IF_DISCORD_BELOW = 0.5
# With fewer labels than this, discords are not compared: costs are read whole, scores are not.
LEAST_FOR_DISCORD = 20
# If fewer networks than this are connected, the learner is trained on the disconnected ones too.
LEAST_CONNECTED = 2
# The discords are compared on at most this many labels.
MOST_FOR_DISCORD = 300


def fit(
    learner: Learner, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, seed: int
) -> FittedModel:
    """The learner's model of these graphs, with standard deviations calibrated on held-out labels.

    Raises:
        ValueError: see `predictor.check_training`.
    """
    from threadpoolctl import threadpool_limits

    score_N = check_training(graphs, scores)
    target = learn_normal_scores(score_N)
    normal_N = target.to_normal(score_N)
    # Many small matrices gain nothing from threads, and threads that wait for each other on busy
    # cores cost much time (measured: 73 s instead of 1.3 s).
    with threadpool_limits(1):
        training, rows_L, simplified = _read(graphs, normal_N, seed)
        learnt = learner.learn(training, seed)
        if training.has_folds:
            scale = _scale(learnt.left_out, training.fold_N, score_N[rows_L])
        else:
            # Without folds there are no held-out errors. The standard deviations are then scaled to
            # about 1 in normal scores, the standard deviation of the training scores themselves.
            scale = 1 / _typical_std(learnt.model.predict(training.encoded))
    disconnected = None
    if simplified and not training.encoded.flat.is_disconnected().any():
        disconnected = _disconnected(np.delete(normal_N, rows_L), training)
    return FittedModel(
        learner, training.encoding, target, learnt.model, scale, simplified, disconnected
    )


def _disconnected(normal_D: np.ndarray, training: Training) -> tuple[float, float] | None:
    """Mean and standard deviation, in normal scores, predicted for every disconnected network.

    The output of a disconnected network does not depend on its input, whatever its operations are.
    So one prediction serves all of these networks, and the learner need not be trained on them. A
    model that is trained on connected graphs alone would predict them arbitrarily, since they are
    unlike all of its training graphs.

    If some of them have labels (D,), the prediction is the mean and standard deviation of these.
    Otherwise the mean is one standard deviation below the worst label. There is one exception: if
    scores fall as networks grow, the score is a cost (a latency), and a network that does nothing
    costs little. Without labels of disconnected networks the result is then None, and the model
    predicts them.
    """
    if len(normal_D):
        return float(normal_D.mean()), max(float(normal_D.std()), 0.1)
    if are_costs(training.encoded.graphs(), training.normal_N):
        return None
    return float(training.normal_N.min()) - 1.0, 1.0


def _typical_std(belief: Belief) -> float:
    """The root of the mean predicted variance."""
    return float(np.sqrt((belief.std**2).mean()))


def _scale(left_out: Belief, fold_N: np.ndarray, score_N: np.ndarray) -> float:
    """The factor on the standard deviations with which intervals cover the held-out labels.

    What was predicted of a fold is read through the map from normal scores to scores that the other
    folds give. A new score may be beyond all known ones, and so may a held-out one be then.

    It is one scale, from a quantile of the held-out residuals in score units, without a guarantee
    of coverage (see `calibration.fit_scale`).

    The map from normal scores to scores is not linear, and the symmetric interval in score units
    depends on the width of the interval in normal scores. A change of the factor changes both, so
    the factor is fitted repeatedly; it settles after two or three repetitions.
    """
    folds = [
        (learn_normal_scores(score_N[fold_N != fold]), np.flatnonzero(fold_N == fold))
        for fold in np.unique(fold_N)
    ]
    scale = 1.0
    for _ in range(8):
        residual_N, std_N = np.empty(len(score_N)), np.empty(len(score_N))
        for target, rows in folds:
            prediction = target.prediction(
                left_out.mean[rows],
                left_out.aleatoric[rows] * scale,
                left_out.epistemic[rows] * scale,
            )
            residual_N[rows], std_N[rows] = score_N[rows] - prediction.mean, prediction.std
        scale = float(np.clip(scale * fit_scale(residual_N, std_N), 1e-3, 1e3))
    return scale


def _read(
    graphs: Sequence[Graph], normal_N: np.ndarray, seed: int
) -> tuple[Training, np.ndarray, bool]:
    """The training data, the numbers (L,) of its graphs, and whether the graphs were simplified.

    By default graphs are simplified, so that the learner does not see parts that cannot affect the
    output, and disconnected networks are removed from the training data. The graphs are encoded
    whole, disconnected networks included, if the removed parts help to predict the labels: if a
    Gaussian process ranks held-out labels better when it reads the whole graphs, and the labels
    look like costs, or much better.
    """
    simple, whole = (
        [readable(graph, simplified=simplified) for graph in graphs] for simplified in (True, False)
    )
    everything = np.arange(len(graphs))
    connected = np.flatnonzero([len(graph.edges) > 0 for graph in simple])
    rows_L = connected if len(connected) >= LEAST_CONNECTED else everything

    def training_of(read: Sequence[Graph], rows: np.ndarray) -> Training:
        chosen = [read[row] for row in rows]
        encoding = learn_encoding(chosen)
        fold_N = folds_of([without_whole(simple[row]) for row in rows], NUM_FOLDS, seed)
        return Training(encoding, encoding.encode(chosen), normal_N[rows], fold_N)

    training = training_of(simple, everything)
    differ = any(
        len(first.nodes) != len(second.nodes) for first, second in zip(simple, whole, strict=True)
    )
    if differ:
        is_cost = are_costs(simple, normal_N)
        other = training_of(whole, everything)
        if len(graphs) < LEAST_FOR_DISCORD or not training.has_folds:
            reads_whole = is_cost
        else:
            below = COSTS_WHOLE_IF_DISCORD_BELOW if is_cost else SCORES_WHOLE_IF_DISCORD_BELOW
            reads_whole = _discord(other, seed) < below * _discord(training, seed)
        if reads_whole:
            return other, everything, False
    if len(rows_L) < len(graphs):
        training = training_of(simple, rows_L)
    return training, rows_L, True


def _discord(training: Training, seed: int) -> float:
    """One minus Kendall's tau of a Gaussian process on held-out labels, or a sample of them."""
    rows = np.sort(
        np.random.default_rng([seed, 4]).permutation(len(training.normal_N))[:MOST_FOR_DISCORD]
    )
    sample = Training(
        training.encoding,
        training.encoded.take(rows),
        training.normal_N[rows],
        training.fold_N[rows],
    )
    return 1 - kendall_tau(learn_process(sample, seed).left_out.mean, sample.normal_N)
