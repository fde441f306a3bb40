"""The predictions for many architectures, the best first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Protocol

from nas.prediction.saved import SavedPredictor, reading_in
from nas.seeds import derive
from predictors import Prediction
from spaces import Architecture, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.operators import every_one_of, sample_graph

# A space with more architectures than this must be sampled instead of enumerated.
LARGEST = 2_000_000
# The number of graphs that are predicted, and held in memory, at a time.
BATCH = 4096


@dataclass(frozen=True)
class PredictedArchitecture:
    """The prediction for one architecture, in the labels' own units.

    Attributes:
        canonical: the canonical key of the architecture's graph.
        mean, aleatoric, epistemic: see `predictors.Prediction`.
        measured: the label of the architecture, or of an isomorphic one, if the predictor was
            fitted on it; else None.
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


class Predicts(Protocol):
    """What predicts graphs: a fitted predictor, or what a prior says of a space."""

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """The prediction for each graph."""
        ...


@dataclass(frozen=True)
class Ranked:
    """Predictions, the best first.

    Attributes:
        best: all predictions in order.
        looked_at: the number of architectures that were read, isomorphic ones included.
    """

    best: tuple[PredictedArchitecture, ...]
    looked_at: int


def predict(
    trained: SavedPredictor,
    space: SearchSpace,
    candidates: Iterable[tuple[Architecture, Graph]],
    *,
    distinct: bool = True,
) -> Ranked:
    """The predictions of a saved predictor, the best first.

    Args:
        trained: the predictor.
        space: of the candidates, whose networks it may read.
        candidates, distinct: as for `ranked`.
    """
    about, fitted = trained.about, reading_in(trained, space).fitted
    return ranked(fitted, candidates, sign=about.sign, labels=about.labels, distinct=distinct)


def ranked(
    predictor: Predicts,
    candidates: Iterable[tuple[Architecture, Graph]],
    *,
    sign: float = 1.0,
    labels: Mapping[str, float] = MappingProxyType({}),
    distinct: bool = True,
) -> Ranked:
    """The predictions for all candidates, the best first.

    Candidates are read in batches, so their graphs need not fit into memory together.

    Args:
        predictor: predicts numbers of which higher is better.
        candidates: architectures with their graphs.
        sign: the factor, 1 or -1, from these numbers to the labels' own.
        labels: those that are known, by canonical key.
        distinct: of isomorphic architectures only the first is predicted.
    """
    candidates = iter(candidates)
    seen, found, looked_at = set[str](), list[PredictedArchitecture](), 0
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
        prediction = predictor.predict([graph for _, graph, _ in asked])
        for place, (architecture, _, key) in enumerate(asked):
            mean, aleatoric, epistemic = (
                float(values[place])
                for values in (prediction.mean, prediction.aleatoric, prediction.epistemic)
            )
            mean, measured = sign * mean, labels.get(key)
            found.append(
                PredictedArchitecture(architecture, key, mean, aleatoric, epistemic, measured)
            )
    best = sorted(found, key=lambda predicted: -sign * predicted.mean)
    return Ranked(tuple(best), looked_at)


def sampled(space: SearchSpace, count: int, seed: int) -> Iterator[tuple[Architecture, Graph]]:
    """`count` random architectures, each with its graph."""
    random = Random(derive(seed, "predict"))
    return (sample_graph(space, random) for _ in range(count))


def enumerated(space: SearchSpace) -> Iterator[tuple[Architecture, Graph]]:
    """Every architecture with its graph.

    Raises:
        ValueError: a decision is a real number, or there are more than `LARGEST` architectures. If
            the decisions of the first one have more than 10 * `LARGEST` combinations, the error
            comes at once.
    """
    for architecture in every_one_of(space, LARGEST, "draw some of them with --sample"):
        yield architecture, space.graph(architecture)


def read_architectures(path: Path) -> list[Architecture]:
    """The architectures in a JSON file, which holds one or a list of them.

    Each is as `Architecture.to_json`, `nas space show --json` or `nas export` wrote it.

    Raises:
        ValueError: the file cannot be read or holds something else.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the architecture {path} cannot be read: {error}") from error
    items = loaded if isinstance(loaded, list) else [loaded]
    if not items:
        raise ValueError(f"{path} holds an empty list of architectures")
    # `nas space show --json` has the architecture under its own key.
    stated = [item.get("architecture", item) if isinstance(item, dict) else item for item in items]
    try:
        return [Architecture.from_json(json.dumps(item)) for item in stated]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
