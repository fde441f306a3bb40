"""A predictor without a search: fitted to labels, kept with what it was fitted on, judged on others, and asked which architectures are best.

Scores are higher-is-better inside. Where the labels' lower is better (latency, loss), they are negated on the way in and predictions on the way out.

    N  architectures or labels
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy

from nas.config import Named, RunConfig, settings_of
from nas.environment import environment
from nas.labels import Labels, as_path
from nas.seeds import derive
from nas.shapes import shapes_to_json
from nas.trained import About, Trained
from nas.trust import seal
from predictors import PREDICTORS, Fitted, Prediction
from predictors.calibration import LEVELS, coverage, folds_of, negative_log_likelihood
from predictors.predictor import Predictor
from predictors.ranking import kendall_tau, precision_at, regret_of_top, spearman
from spaces import Architecture, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.operators import domains, enumerate_all, sample_graph

DEFAULT: str = RunConfig.model_fields["predictor"].default.name
# Fewer labels than this are not held out in folds: the figures would say nothing.
LEAST_FOR_CHECK = 20
FOLDS = 5
TOP_SHARE, TOP_COUNT = 0.005, 10
# More architectures than this are sampled, not enumerated.
LARGEST = 2_000_000
# How many graphs are held at a time.
BATCH = 4096


@dataclass(frozen=True)
class Believed:
    """What is predicted of an architecture, in the labels' own units.

    Attributes:
        mean, aleatoric, epistemic: see `predictors.Prediction`.
        canonical: the canonical key of its graph.
        measured: the label that the predictor was fitted on, where it was one of them or isomorphic to one.
    """

    architecture: Architecture
    canonical: str
    mean: float
    aleatoric: float
    epistemic: float
    measured: float | None

    @property
    def std(self) -> float:
        """The standard deviation of a new score."""
        return math.hypot(self.aleatoric, self.epistemic)


@dataclass(frozen=True)
class Ranked:
    """What is predicted, the best first, and how many architectures were looked at, isomorphic ones included."""

    best: tuple[Believed, ...]
    looked_at: int


def named_predictor(name: str, settings: dict[str, Any]) -> Predictor:
    """The predictor of this name, built in or the user's own (`my_file.py:Name`), made with its settings.

    Raises:
        ValueError: the name or a setting is unknown, or one of the user's own could not be read back from where it is saved.
    """
    if "name" in settings:
        raise ValueError("a predictor is named by --predictor; `name` is none of its settings")
    made = settings_of("predictor", PREDICTORS, Named(name=name, **settings))
    if name not in PREDICTORS and not hasattr(made, "load"):
        raise ValueError(f"the predictor {name!r} needs a static method load(directory), which reads back what its `save` wrote; it has none")
    return made


def drawn(labels: Labels, count: int, seed: int) -> Labels:
    """So many of the labels that are numbers, drawn at random.

    Raises:
        ValueError: there are not so many.
    """
    rows = numpy.flatnonzero(numpy.isfinite(labels.values_N))
    if not 2 <= count <= len(rows):
        raise ValueError(f"{labels.source} has {len(rows)} numbers in {labels.column}, so a sample is 2 to {len(rows)} of them; got {count}")
    chosen = numpy.random.default_rng(seed).choice(rows, count, replace=False)
    classes_N = None if labels.classes_N is None else labels.classes_N[chosen]
    architectures = [labels.architectures[row] for row in chosen.tolist()]
    return replace(labels, architectures=architectures, values_N=labels.values_N[chosen], classes_N=classes_N)


def fit(
    labels: Labels,
    name: str = DEFAULT,
    settings: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    lower_is_better: bool = False,
    check: bool = False,
) -> Trained:
    """The predictor fitted to the labels that are numbers, every row a label: isomorphic architectures need not share it (a latency).

    Args:
        labels: what it learns from.
        name, settings: see `named_predictor`.
        seed: of the fit.
        lower_is_better: of the labels' own units.
        check: also fit five times without a fifth of the labels, and say how what was left out is predicted.

    Raises:
        ValueError: there are too few labels, or see `named_predictor`.
    """
    settings = settings or {}
    predictor = named_predictor(name, settings)
    rows = numpy.flatnonzero(numpy.isfinite(labels.values_N))
    graphs = [labels.space.graph(labels.architectures[row]) for row in rows.tolist()]
    label_of = _by_canonical_key(graphs, labels.values_N[rows])
    if check and len(label_of) < LEAST_FOR_CHECK:
        raise ValueError(
            f"a check holds out fifths of at least {LEAST_FOR_CHECK} labels of architectures that are not isomorphic; got {len(label_of)}: leave it out"
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
    return Trained(fitted, about)


def evaluate(trained: Trained, labels: Labels) -> dict[str, Any]:
    """How the predictor ranks the labels that are not isomorphic to one it was fitted on, and whether its intervals are true.

    Isomorphic is what has a canonical key of a label, or what the table's column `isomorph` numbers like such a row.

    Returns:
        `number` of architectures, `left_out` as isomorphic, `without` a number, `kendall_tau`, `spearman`, `precision_at_0.005`,
        `regret_of_top_10` (own units, 0 or more), `nll` (nats), `coverage` by level, `predicted_per_second`.

    Raises:
        ValueError: fewer than two are left.
    """
    about = trained.about
    graphs = [labels.space.graph(architecture) for architecture in labels.architectures]
    known_N = numpy.array([canonical_key(graph) in about.labels for graph in graphs], dtype=bool)
    if labels.classes_N is not None:
        known_N |= numpy.isin(labels.classes_N, labels.classes_N[known_N])
    finite_N = numpy.isfinite(labels.values_N)
    asked = numpy.flatnonzero(finite_N & ~known_N)
    if len(asked) < 2:
        raise ValueError(
            f"at least 2 architectures of {labels.source} must have a number in {labels.column} and not be isomorphic to one that the predictor was "
            f"fitted on; got {len(asked)}"
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


def predict(trained: Trained, candidates: Iterable[tuple[Architecture, Graph]], *, distinct: bool = True) -> Ranked:
    """What is predicted of each architecture, the best first; of isomorphic ones the first alone, unless `distinct` is False.

    Candidates are read a few thousand at a time, so that there may be more than memory holds graphs of.
    """
    about, candidates = trained.about, iter(candidates)
    seen, found, looked_at = set[str](), list[Believed](), 0
    while batch := list(islice(candidates, BATCH)):
        looked_at += len(batch)
        asked = list[tuple[Architecture, Graph, str]]()
        for architecture, graph in batch:
            key = canonical_key(graph)
            if not distinct or key not in seen:
                seen.add(key)
                asked.append((architecture, graph, key))
        if not asked:
            continue
        prediction = trained.fitted.predict([graph for _, graph, _ in asked])
        for place, (architecture, _, key) in enumerate(asked):
            mean, aleatoric, epistemic = (float(values[place]) for values in (prediction.mean, prediction.aleatoric, prediction.epistemic))
            found.append(Believed(architecture, key, about.sign * mean, aleatoric, epistemic, about.labels.get(key)))
    return Ranked(tuple(sorted(found, key=lambda believed: -about.sign * believed.mean)), looked_at)


def sampled(space: SearchSpace, count: int, seed: int) -> Iterator[tuple[Architecture, Graph]]:
    """So many random architectures, each with its graph."""
    random = Random(derive(seed, "predict"))
    return (sample_graph(space, random) for _ in range(count))


def enumerated(space: SearchSpace) -> Iterator[tuple[Architecture, Graph]]:
    """Every architecture with its graph.

    Raises:
        ValueError: a decision is a real number, or there are more than `LARGEST`, or from the first one it looks like many times as many.
    """
    first = next(enumerate_all(space))
    combinations = math.prod(domain.size or math.inf for domain in domains(space, first).values())
    if combinations > 10 * LARGEST:
        raise ValueError(f"the space {space.name!r} has some {combinations:.0e} combinations of decisions: draw some of them with --sample")
    for place, architecture in enumerate(enumerate_all(space)):
        if place == LARGEST:
            raise ValueError(f"the space {space.name!r} has more than {LARGEST:,} architectures: draw some of them with --sample")
        yield architecture, space.graph(architecture)


def read_architectures(path: Path) -> list[Architecture]:
    """The architecture in a JSON file, or the list of them: as `Architecture.to_json`, `nas space show --json` or `nas export` wrote it.

    Raises:
        ValueError: the file cannot be read or holds something else.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the architecture {path} cannot be read: {error}") from error
    items = loaded if isinstance(loaded, list) else [loaded]
    try:
        return [Architecture.from_json(json.dumps(item.get("architecture", item) if isinstance(item, dict) else item)) for item in items]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _by_canonical_key(graphs: Sequence[Graph], values_N: numpy.ndarray) -> dict[str, float]:
    """The mean label of each class of isomorphic architectures."""
    values = dict[str, list[float]]()
    for graph, value in zip(graphs, values_N.tolist(), strict=True):
        values.setdefault(canonical_key(graph), []).append(value)
    return {key: sum(several) / len(several) for key, several in values.items()}


def _held_out(predictor: Predictor, graphs: Sequence[Graph], scores_N: numpy.ndarray, seed: int) -> dict[str, float]:
    """Spearman's correlation and the coverage of 90 % intervals of predictions by fits that had not the fold's labels."""
    fold_N = folds_of(graphs, FOLDS, derive(seed, "check"))
    parts = numpy.zeros((3, len(graphs)))
    for fold in range(FOLDS):
        inside, outside = numpy.flatnonzero(fold_N != fold), numpy.flatnonzero(fold_N == fold)
        fitted = predictor.fit([graphs[place] for place in inside.tolist()], scores_N[inside], seed=seed)
        predicted = fitted.predict([graphs[place] for place in outside.tolist()])
        parts[:, outside] = predicted.mean, predicted.aleatoric, predicted.epistemic
    prediction = Prediction(*parts)
    return {"spearman": spearman(prediction.mean, scores_N), "coverage_90": coverage(prediction, scores_N, (0.9,))[0]}


def _in_batches(fitted: Fitted, graphs: Sequence[Graph]) -> Prediction:
    several = [fitted.predict(graphs[start : start + BATCH]) for start in range(0, len(graphs), BATCH)]
    columns = ([getattr(prediction, name) for prediction in several] for name in ("mean", "aleatoric", "epistemic"))
    return Prediction(*map(numpy.concatenate, columns))
