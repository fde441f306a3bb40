"""Where graphs lie among each other: an embedding turns each into a few numbers, which a surrogate
reads and a search moves along.

Another embedding is one more entry of `EMBEDDINGS`.

Shapes: N training graphs, M graphs, C counted features, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from predictors.edits.embedding import FittedEmbedding, GraphEmbedding, restore_embedding
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding

# Standard deviations from the mean that a feature is taken to be, at most: one that a single
# training graph has would else outweigh all others.
MOST_DEVIATIONS = 3.0


class Embedding(Protocol):
    """What was learnt about embedding graphs."""

    def embed(self, encoded: Encoded) -> np.ndarray:
        """(M, D) float32 where each graph lies, which depends on that graph alone; over the
        training graphs the mean square of all numbers is about 1.
        """
        ...

    def state(self) -> dict[str, Any]:
        """What was learnt, as far as it is JSON."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learnt, as far as it is arrays, by name."""
        ...


@dataclass(frozen=True)
class Kind:
    """How an embedding comes about.

    Attributes:
        learn: of the training graphs, the most dimensions and a seed. What needs graphs and not
            their numbers gets them from `Encoded.graphs()`.
        restore: of the encoding, and what `state` and `arrays` said. Raises KeyError, TypeError or
            ValueError where they do not fit together.
    """

    learn: Callable[[Encoded, int, int], Embedding]
    restore: Callable[[Encoding, Mapping[str, Any], Mapping[str, np.ndarray]], Embedding]


@dataclass(frozen=True)
class Components:
    """The leading principal components of the counted features, all on one scale, so that a
    distance among them is one among the features.

    Attributes:
        center_C: the training graphs' mean.
        direction_CD: the components, each as long as the scale says.
    """

    center_C: np.ndarray
    direction_CD: np.ndarray

    def embed(self, encoded: Encoded) -> np.ndarray:
        """See `Embedding`."""
        return (_clipped(encoded) - self.center_C) @ self.direction_CD

    def state(self) -> dict[str, Any]:
        """See `Embedding`."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Embedding`."""
        return {"center": self.center_C, "direction": self.direction_CD}


def learn_components(encoded: Encoded, dimensions: int, seed: int) -> Components:
    """The components of the training graphs; fewer than were asked for where these span no more,
    and one at least. No seed enters.
    """
    feature_NC = _clipped(encoded)
    center_C = feature_NC.mean(0)
    _, length_R, direction_RC = np.linalg.svd(feature_NC - center_C, full_matrices=False)
    rank = max(
        1,
        min(dimensions, int((length_R > 1e-4 * max(float(length_R.max(initial=0.0)), 1e-6)).sum())),
    )
    direction_CD, length_D = direction_RC[:rank].T, length_R[:rank]
    if direction_CD.shape[1] == 0:
        return Components(center_C, np.zeros((len(center_C), 1), dtype=np.float32))
    # A component's largest coefficient is positive: the sign is else left to the library that
    # decomposes.
    sign_D = np.sign(direction_CD[np.abs(direction_CD).argmax(0), np.arange(rank)])
    scale = float(np.sqrt((length_D**2).mean() / len(feature_NC)))
    return Components(center_C, (direction_CD * sign_D / max(scale, 1e-6)).astype(np.float32))


def restore_components(
    encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Components:
    """The components that were saved.

    Raises:
        KeyError, ValueError: they are not of these features.
    """
    center_C, direction_CD = arrays["center"], arrays["direction"]
    if (
        center_C.shape != (encoding.num_counts,)
        or direction_CD.ndim != 2
        or len(direction_CD) != encoding.num_counts
    ):
        raise ValueError(f"the components are not those of {encoding.num_counts} features")
    return Components(center_C, direction_CD)


@dataclass(frozen=True)
class Distances:
    """Points whose distances are about the graphs' edit distances, on one scale.

    Attributes:
        fitted: the learnt map.
        center_D, scale: of the training graphs' points.
    """

    fitted: FittedEmbedding
    center_D: np.ndarray
    scale: float

    def embed(self, encoded: Encoded) -> np.ndarray:
        """See `Embedding`."""
        return ((self.fitted.embed(encoded.graphs()) - self.center_D) / self.scale).astype(
            np.float32
        )

    def state(self) -> dict[str, Any]:
        """See `Embedding`."""
        return {
            "dimensions": self.fitted.settings.dimensions,
            "scale": self.scale,
            "map": self.fitted.state(),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Embedding`."""
        return {"center": self.center_D, **self.fitted.arrays()}


def learn_distances(encoded: Encoded, dimensions: int, seed: int) -> Distances:
    """The map learnt from edit distances among the training graphs."""
    graphs = encoded.graphs()
    fitted = GraphEmbedding(dimensions).fit(graphs, seed)
    place_ND = fitted.embed(graphs)
    center_D = place_ND.mean(0)
    return Distances(
        fitted, center_D, max(float(np.sqrt(((place_ND - center_D) ** 2).mean())), 1e-6)
    )


def restore_distances(
    encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Distances:
    """The map that was saved.

    Raises:
        KeyError, TypeError, ValueError: its parts do not fit together.
    """
    fitted = restore_embedding(GraphEmbedding(int(state["dimensions"])), state["map"], arrays)
    if arrays["center"].shape != (fitted.settings.dimensions,) or not float(state["scale"]) > 0:
        raise ValueError(
            f"the embedding's center and scale are not those of {fitted.settings.dimensions} "
            "dimensions"
        )
    return Distances(fitted, arrays["center"], float(state["scale"]))


def _clipped(encoded: Encoded) -> np.ndarray:
    return np.clip(encoded.counts_MC, -MOST_DEVIATIONS, MOST_DEVIATIONS)


EMBEDDINGS: dict[str, Kind] = {
    "counts": Kind(learn_components, restore_components),
    "distance": Kind(learn_distances, restore_distances),
}
