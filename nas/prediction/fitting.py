"""Fitting a named predictor to labels, and checking it on held-out labels.

Predictors take scores that are higher-is-better. If lower labels are better (latency, loss), the
labels are negated before the fit, and the predictions after it.

Shapes: N architectures or labels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy

from nas.config.plug_ins import make_plug_in
from nas.config.sections import Named, RunConfig
from nas.prediction.labels import Labels, as_path
from nas.prediction.saved import About, SavedPredictor
from nas.record.environment import environment
from nas.record.shapes import shapes_to_json
from nas.record.trust import seal
from nas.seeds import derive
from nas.strategies.reading import reading
from predictors import PREDICTORS, Prediction
from predictors.calibration import coverage, folds_of
from predictors.predictor import Predictor
from predictors.ranking import spearman
from spaces import Graph
from spaces.canonical import canonical_key

DEFAULT: str = RunConfig.model_fields["predictor"].default.name
# A check with fewer labels than this is refused: its figures would mean nothing.
LEAST_FOR_CHECK = 20
FOLDS = 5


def named_predictor(name: str, settings: dict[str, Any]) -> Predictor:
    """The predictor of this name with these settings.

    Args:
        name: a built-in predictor, or the user's own (`my_file.py:Name`).
        settings: by name.

    Raises:
        ValueError: the name or a setting is unknown, or the user's own predictor has no `load`.
    """
    if "name" in settings:
        raise ValueError("a predictor is named by --predictor; `name` is not a setting of it")
    made = make_plug_in("predictor", PREDICTORS, Named(name=name, **settings))
    if name not in PREDICTORS and not hasattr(made, "load"):
        raise ValueError(
            f"the predictor {name!r} needs a static method load(directory), which reads back "
            "what its `save` wrote; it has none"
        )
    return made


def drawn(labels: Labels, count: int, seed: int) -> Labels:
    """`count` of the labels that are numbers, drawn at random without replacement.

    Raises:
        ValueError: `count` is below 2, or above the number of such labels.
    """
    rows = numpy.flatnonzero(numpy.isfinite(labels.values_N))
    if not 2 <= count <= len(rows):
        raise ValueError(
            f"{labels.source} has {len(rows)} numbers in {labels.column}, so a sample is 2 to "
            f"{len(rows)} of them; got {count}"
        )
    chosen = numpy.random.default_rng(seed).choice(rows, count, replace=False)
    classes_N = None if labels.classes_N is None else labels.classes_N[chosen]
    architectures = [labels.architectures[row] for row in chosen.tolist()]
    return replace(
        labels, architectures=architectures, values_N=labels.values_N[chosen], classes_N=classes_N
    )


def fit(
    labels: Labels,
    name: str = DEFAULT,
    settings: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    lower_is_better: bool = False,
    check: bool = False,
) -> SavedPredictor:
    """The predictor fitted to all labels that are numbers.

    Each row is a label of its own, as isomorphic architectures may differ (in latency).

    Args:
        labels: the training data.
        name, settings: see `named_predictor`.
        seed: of the fit.
        lower_is_better: whether a lower label is better.
        check: also fit five times without a fifth of the labels, and keep how well the held-out
            labels are predicted.

    Raises:
        ValueError: there are too few labels, or see `named_predictor`.
    """
    settings = settings or {}
    predictor = reading(named_predictor(name, settings), labels.space)
    rows = numpy.flatnonzero(numpy.isfinite(labels.values_N))
    graphs = [labels.space.graph(labels.architectures[row]) for row in rows.tolist()]
    label_of = _by_canonical_key(graphs, labels.values_N[rows])
    if check and len(label_of) < LEAST_FOR_CHECK:
        raise ValueError(
            f"a check holds out fifths of at least {LEAST_FOR_CHECK} labels of architectures "
            f"that are not isomorphic; got {len(label_of)}: leave it out"
        )
    scores_N = labels.values_N[rows] * (-1.0 if lower_is_better else 1.0)
    began = time.perf_counter()
    fitted = predictor.fit(graphs, scores_N, seed=seed)
    seconds = time.perf_counter() - began
    kept = as_path(name)
    about = About(
        predictor=kept,
        settings=settings,
        space=labels.where,
        space_name=labels.space.name,
        shapes=shapes_to_json(labels.space.shapes),
        source=labels.source,
        column=labels.column,
        lower_is_better=lower_is_better,
        seed=seed,
        rows=len(rows),
        labels=label_of,
        seconds=round(seconds, 3),
        check=_held_out(predictor, graphs, scores_N, seed) if check else None,
        environment=environment(),
        seal=seal({"space": labels.where, "predictor": kept}),
    )
    return SavedPredictor(fitted, about)


def _by_canonical_key(graphs: Sequence[Graph], values_N: numpy.ndarray) -> dict[str, float]:
    """The mean label of each class of isomorphic architectures."""
    values = dict[str, list[float]]()
    for graph, value in zip(graphs, values_N.tolist(), strict=True):
        values.setdefault(canonical_key(graph), []).append(value)
    return {key: sum(several) / len(several) for key, several in values.items()}


def _held_out(
    predictor: Predictor, graphs: Sequence[Graph], scores_N: numpy.ndarray, seed: int
) -> dict[str, float]:
    """Spearman's correlation and the coverage of 90 % intervals on held-out labels.

    Each fold is predicted by a fit on the other folds.
    """
    fold_N = folds_of(graphs, FOLDS, derive(seed, "check"))
    parts = numpy.zeros((3, len(graphs)))
    for fold in range(FOLDS):
        inside, outside = numpy.flatnonzero(fold_N != fold), numpy.flatnonzero(fold_N == fold)
        fitted = predictor.fit(
            [graphs[place] for place in inside.tolist()], scores_N[inside], seed=seed
        )
        predicted = fitted.predict([graphs[place] for place in outside.tolist()])
        parts[:, outside] = predicted.mean, predicted.aleatoric, predicted.epistemic
    prediction = Prediction(*parts)
    return {
        "spearman": spearman(prediction.mean, scores_N),
        "coverage_90": coverage(prediction, scores_N, (0.9,))[0],
    }
