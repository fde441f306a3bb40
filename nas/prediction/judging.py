"""How well a fitted predictor predicts labels that it was not fitted on.

Shapes: N architectures or labels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy

from nas.prediction.labels import Labels
from nas.prediction.predicting import BATCH
from nas.prediction.saved import SavedPredictor, reading_in
from predictors import Fitted, Prediction
from predictors.calibration import LEVELS, coverage, negative_log_likelihood
from predictors.ranking import kendall_tau, precision_at, regret_of_top, spearman
from spaces import Graph
from spaces.canonical import canonical_key

TOP_SHARE, TOP_COUNT = 0.005, 10


def evaluate(trained: SavedPredictor, labels: Labels) -> dict[str, Any]:
    """How well the predictor ranks new architectures, and whether its intervals hold.

    An architecture is new if it is not isomorphic to one that the predictor was fitted on.
    Isomorphic architectures have the same canonical key, or the same number in the table's column
    `isomorph`.

    Returns:
        A dict: `number` of architectures, `left_out` as isomorphic, `without` a number,
        `kendall_tau`, `spearman`, `precision_at_0.005`, `regret_of_top_10` (own units, 0 or more),
        `nll` (nats), `coverage` by level, `predicted_per_second`.

    Raises:
        ValueError: fewer than two architectures are new.
    """
    about, trained = trained.about, reading_in(trained, labels.space)
    graphs = [labels.space.graph(architecture) for architecture in labels.architectures]
    known_N = numpy.array([canonical_key(graph) in about.labels for graph in graphs], dtype=bool)
    if labels.classes_N is not None:
        known_N |= numpy.isin(labels.classes_N, labels.classes_N[known_N])
    finite_N = numpy.isfinite(labels.values_N)
    asked = numpy.flatnonzero(finite_N & ~known_N)
    if len(asked) < 2:
        raise ValueError(
            f"at least 2 architectures of {labels.source} must have a number in {labels.column} "
            f"and not be isomorphic to one that the predictor was fitted on; got {len(asked)}"
        )
    began = time.perf_counter()
    prediction = _in_batches(trained.fitted, [graphs[row] for row in asked])
    rate = len(asked) / (time.perf_counter() - began)
    true_N = labels.values_N[asked] * about.sign
    top = min(TOP_COUNT, len(asked))
    return {
        "number": len(asked),
        "left_out": int(known_N.sum()),
        "without": int((~finite_N & ~known_N).sum()),
        "kendall_tau": kendall_tau(prediction.mean, true_N),
        "spearman": spearman(prediction.mean, true_N),
        f"precision_at_{TOP_SHARE}": precision_at(prediction.mean, true_N, TOP_SHARE),
        f"regret_of_top_{TOP_COUNT}": regret_of_top(prediction.mean, true_N, top),
        "nll": negative_log_likelihood(prediction, true_N),
        "coverage": dict(zip(map(str, LEVELS), coverage(prediction, true_N), strict=True)),
        "predicted_per_second": rate,
    }


def _in_batches(fitted: Fitted, graphs: Sequence[Graph]) -> Prediction:
    several = [
        fitted.predict(graphs[start : start + BATCH]) for start in range(0, len(graphs), BATCH)
    ]
    columns = (
        [getattr(prediction, name) for prediction in several]
        for name in ("mean", "aleatoric", "epistemic")
    )
    return Prediction(*map(numpy.concatenate, columns))
