"""The embeddings of graphs that BOSHNAS' surrogate uses: principal components, or edit distances.

An embedding maps a graph to a few numbers. They are the surrogate's input, and gradient ascent
moves in their space. A further embedding is one more entry of `EMBEDDINGS`.

Shapes: N training graphs, M graphs, C counted features, D numbers of an embedding, R principal
components of the training graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from predictors.edits.embedding import FittedEmbedding, GraphEmbedding, restore_embedding
from predictors.frame.untrusted import number
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding

# Features are clipped to this number of standard deviations. Otherwise a feature that only one
# training graph has would outweigh all others.
MOST_DEVIATIONS = 3.0


class Embedding(Protocol):
    """A trained embedding of graphs."""

    def embed(self, encoded: Encoded) -> np.ndarray:
        """(M, D) float32 the point of each graph, which depends only on that graph.

        Over the training graphs the mean square of all numbers is about 1.
        """
        ...

    def state(self) -> dict[str, Any]:
        """The JSON part of the trained embedding, without its arrays."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the trained embedding, by name."""
        ...


@dataclass(frozen=True)
class Kind:
    """The functions that train and restore one kind of embedding.

    Attributes:
        learn: makes an embedding from the training graphs, the largest number of dimensions and a
            seed. If it needs the graphs themselves, it gets them from `Encoded.graphs()`.
        restore: makes an embedding from the encoding and the results of `state` and `arrays`. It
            raises KeyError, TypeError or ValueError if they are inconsistent.
    """

    learn: Callable[[Encoded, int, int], Embedding]
    restore: Callable[[Encoding, Mapping[str, Any], Mapping[str, np.ndarray]], Embedding]


@dataclass(frozen=True)
class Components:
    """The leading principal components of the counted features.

    All components have one scale, so distances between points are proportional to distances between
    feature vectors.

    Attributes:
        center_C: the mean features of the training graphs.
        direction_CD: the directions of the components, divided by the scale.
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
    """The principal components of the training graphs: at most `dimensions`, and at least one.

    There are fewer than `dimensions` if the features of the training graphs have a lower rank. The
    seed is not used.
    """
    feature_NC = _clipped(encoded)
    center_C = feature_NC.mean(0)
    _, length_R, direction_RC = np.linalg.svd(feature_NC - center_C, full_matrices=False)
    longest = max(float(length_R.max(initial=0.0)), 1e-6)
    rank = max(1, min(dimensions, int((length_R > 1e-4 * longest).sum())))
    direction_CD, length_D = direction_RC[:rank].T, length_R[:rank]
    if direction_CD.shape[1] == 0:
        return Components(center_C, np.zeros((len(center_C), 1), dtype=np.float32))
    # Make the largest coefficient of each component positive. Otherwise the sign would depend on
    # the linear algebra library.
    sign_D = np.sign(direction_CD[np.abs(direction_CD).argmax(0), np.arange(rank)])
    scale = float(np.sqrt((length_D**2).mean() / len(feature_NC)))
    return Components(center_C, (direction_CD * sign_D / max(scale, 1e-6)).astype(np.float32))


def restore_components(
    encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Components:
    """The saved components.

    Raises:
        KeyError, ValueError: the arrays are not components of these features.
    """
    center_C, direction_CD = arrays["center"], arrays["direction"]
    if (
        center_C.shape != (encoding.num_counts,)
        or direction_CD.ndim != 2
        or len(direction_CD) != encoding.num_counts
    ):
        raise ValueError(
            f"the components should be of {encoding.num_counts} features; they have the shape "
            f"{direction_CD.shape}, and their center {center_C.shape}"
        )
    return Components(center_C, direction_CD)


@dataclass(frozen=True)
class Distances:
    """Points whose distances are proportional to approximate edit distances.

    Attributes:
        fitted: the trained map.
        center_D, scale: the points are standardised by these.
    """

    fitted: FittedEmbedding
    center_D: np.ndarray
    scale: float

    def embed(self, encoded: Encoded) -> np.ndarray:
        """See `Embedding`."""
        point_MD = self.fitted.embed(encoded.graphs())
        return ((point_MD - self.center_D) / self.scale).astype(np.float32)

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
    """The map trained on the edit distances of the training graphs."""
    graphs = encoded.graphs()
    fitted = GraphEmbedding(dimensions).fit(graphs, seed)
    place_ND = fitted.embed(graphs)
    center_D = place_ND.mean(0)
    scale = float(np.sqrt(((place_ND - center_D) ** 2).mean()))
    return Distances(fitted, center_D, max(scale, 1e-6))


def restore_distances(
    encoding: Encoding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Distances:
    """The saved map.

    Raises:
        KeyError, TypeError, ValueError: state and arrays are inconsistent.
    """
    fitted = restore_embedding(GraphEmbedding(int(state["dimensions"])), state["map"], arrays)
    if arrays["center"].shape != (fitted.settings.dimensions,) or number(state, "scale") <= 0:
        raise ValueError(
            f"the embedding's center and scale are not those of {fitted.settings.dimensions} "
            "dimensions"
        )
    return Distances(fitted, arrays["center"], number(state, "scale"))


def _clipped(encoded: Encoded) -> np.ndarray:
    return np.clip(encoded.counts_MC, -MOST_DEVIATIONS, MOST_DEVIATIONS)


EMBEDDINGS: dict[str, Kind] = {
    "counts": Kind(learn_components, restore_components),
    "distance": Kind(learn_distances, restore_distances),
}
