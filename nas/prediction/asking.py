"""What a fitted predictor says of architectures, the best first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from nas.prediction.saved import Trained
from nas.seeds import derive
from spaces import Architecture, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.operators import domains, enumerate_all, sample_graph

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
        measured: the label that the predictor was fitted on, where it was one of them or isomorphic
            to one.
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
    """What is predicted, the best first, and how many architectures were looked at, isomorphic ones
    included.
    """

    best: tuple[Believed, ...]
    looked_at: int


def predict(
    trained: Trained, candidates: Iterable[tuple[Architecture, Graph]], *, distinct: bool = True
) -> Ranked:
    """What is predicted of each architecture, the best first; of isomorphic ones the first alone,
    unless `distinct` is False.

    Candidates are read a few thousand at a time, so that there may be more than memory holds graphs
    of.
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
            mean, aleatoric, epistemic = (
                float(values[place])
                for values in (prediction.mean, prediction.aleatoric, prediction.epistemic)
            )
            found.append(
                Believed(
                    architecture,
                    key,
                    about.sign * mean,
                    aleatoric,
                    epistemic,
                    about.labels.get(key),
                )
            )
    return Ranked(tuple(sorted(found, key=lambda believed: -about.sign * believed.mean)), looked_at)


def sampled(space: SearchSpace, count: int, seed: int) -> Iterator[tuple[Architecture, Graph]]:
    """So many random architectures, each with its graph."""
    random = Random(derive(seed, "predict"))
    return (sample_graph(space, random) for _ in range(count))


def enumerated(space: SearchSpace) -> Iterator[tuple[Architecture, Graph]]:
    """Every architecture with its graph.

    Raises:
        ValueError: a decision is a real number, or there are more than `LARGEST`, or from the first
            one it looks like many times as many.
    """
    first = next(enumerate_all(space))
    combinations = math.prod(domain.size or math.inf for domain in domains(space, first).values())
    if combinations > 10 * LARGEST:
        raise ValueError(
            f"the space {space.name!r} has some {combinations:.0e} combinations of decisions: "
            "draw some of them with --sample"
        )
    for place, architecture in enumerate(enumerate_all(space)):
        if place == LARGEST:
            raise ValueError(
                f"the space {space.name!r} has more than {LARGEST:,} architectures: draw some of "
                "them with --sample"
            )
        yield architecture, space.graph(architecture)


def read_architectures(path: Path) -> list[Architecture]:
    """The architecture in a JSON file, or the list of them: as `Architecture.to_json`, `nas space
    show --json` or `nas export` wrote it.

    Raises:
        ValueError: the file cannot be read or holds something else.
    """
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the architecture {path} cannot be read: {error}") from error
    items = loaded if isinstance(loaded, list) else [loaded]
    try:
        return [
            Architecture.from_json(
                json.dumps(item.get("architecture", item) if isinstance(item, dict) else item)
            )
            for item in items
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
