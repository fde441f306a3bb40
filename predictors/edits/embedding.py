"""A learnt map from graphs to points whose Euclidean distances approximate the edit distances.

FlexiBERT (Tuli et al., JAIR 2023) trains a free vector for each graph of a library, so a new graph
has no vector. Here a network maps the features of a graph to its point. It is trained on the edit
distances of some thousand pairs, and a new graph takes one forward pass. The features are the sum
of the vectors of the nodes (`node_vectors`), which account for most of an edit distance, and the
counted features that the other predictors use too.

Shapes: N training graphs, M graphs, P pairs, D dimensions, V numbers of a node, C counted features,
X = V + C, H hidden features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from predictors.edits.costs import EditCosts, suggest_costs
from predictors.edits.distance import edit_distances
from predictors.edits.node_vectors import NodeVectors, lay_out_labels
from predictors.edits.stress import draw_pairs
from predictors.frame.untrusted import number
from predictors.reading.features import Encoding, encoding_from_json, learn_encoding
from spaces.graph import Graph, node

# The weight of the counted features relative to the node vectors. Without counted features the map
# does not depend on the order of the operations; with a larger weight it overfits small sets.
COUNTS = 0.3
# Graphs that are embedded at a time.
CHUNK = 1024
LAYERS = ("skip", "first", "second", "last")


@dataclass(frozen=True)
class GraphEmbedding:
    """The settings with which an embedding is trained.

    Attributes:
        dimensions: D.
        most_graphs: the largest number of training graphs; they are drawn from the given ones.
        pairs: the number of pairs of training graphs whose edit distance is computed; all pairs if
            there are fewer.
        width: H.
        steps: steps of AdamW under a one-cycle schedule. Each uses all training graphs and at most
            4096 pairs.
        learning_rate: the largest learning rate.
        weight_decay: decoupled weight decay.

    Example::

        fitted = GraphEmbedding(dimensions=8).fit(graphs, seed=0)
        fitted.embed(other_graphs)  # (M, 8)
    """

    dimensions: int = 16
    most_graphs: int = 400
    pairs: int = 4000
    width: int = 64
    steps: int = 300
    learning_rate: float = 6e-3
    weight_decay: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (
            ("dimensions", 1),
            ("most_graphs", 2),
            ("pairs", 1),
            ("width", 1),
            ("steps", 10),
        ):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(
                    f"a graph embedding needs a whole number of {name}, at least {least}; got "
                    f"{getattr(self, name)!r}"
                )
        for name in ("learning_rate", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"a graph embedding needs {name} to be 0 or more; got {getattr(self, name)!r}"
                )

    def fit(
        self, graphs: Sequence[Graph], seed: int = 0, costs: EditCosts | None = None
    ) -> FittedEmbedding:
        """The map trained on the edit distances of these graphs.

        On one machine the same graphs, seed and costs give the same map.

        Args:
            graphs: at least two; duplicates are allowed.
            seed: seed of the drawn graphs and pairs, and of the initial weights.
            costs: costs of the edits; `suggest_costs(graphs)` by default.

        Raises:
            ValueError: there are fewer than two graphs, or a graph has a node that the costs do not
                contain.
        """
        if len(graphs) < 2:
            raise ValueError(
                "an embedding is learnt from the distances between graphs, so it needs at least 2 "
                f"graphs; got {len(graphs)}"
            )
        costs = suggest_costs(graphs) if costs is None else costs
        random = np.random.default_rng([seed, 1])
        kept = [graphs[row] for row in np.sort(random.permutation(len(graphs))[: self.most_graphs])]
        pair_P2 = draw_pairs(len(kept), self.pairs, random)
        distance_P = edit_distances(kept, pair_P2, costs)
        vectors = lay_out_labels(costs)
        summed_NV = vectors.summed(kept)
        # A single scale for all V numbers, so that their proportions stay those of the costs.
        scale = float(summed_NV.std(0).max(initial=0.0)) or 1.0
        reader = Reader(vectors, summed_NV.mean(0), scale, learn_encoding(kept))
        weights = _train(self, reader.read(kept), pair_P2, distance_P, seed)
        return FittedEmbedding(self, reader, weights)


@dataclass(frozen=True, eq=False)
class Reader:
    """Computes the network's input: the standardised sum of node vectors, and counted features.

    Attributes:
        vectors: the vectors of the labels.
        mean_V, scale: the sum of node vectors is standardised by these.
        encoding: computes the counted features.
    """

    vectors: NodeVectors
    mean_V: np.ndarray
    scale: float
    encoding: Encoding

    def read(self, graphs: Sequence[Graph]) -> np.ndarray:
        """(M, X) the input of the network for each graph."""
        summed_MV = (self.vectors.summed(graphs) - self.mean_V) / self.scale
        return np.concatenate([summed_MV, COUNTS * self.encoding.encode(graphs).counts_MC], axis=1)


@dataclass(frozen=True, eq=False)
class FittedEmbedding:
    """A trained map from graphs to points, z = skip(x) + last(silu(second(silu(first(x))))).

    Attributes:
        settings: the settings of its training.
        reader: computes x from a graph.
        weights: for each of the `LAYERS` a `.weight` (I, O) and a `.bias` (O,).
    """

    settings: GraphEmbedding
    reader: Reader
    weights: Mapping[str, np.ndarray]

    def embed(self, graphs: Sequence[Graph]) -> np.ndarray:
        """(M, D) the points of the graphs; their Euclidean distances approximate edit distances.

        The graphs may have labels and operations that the training graphs did not have.
        """
        points = [np.zeros((0, self.settings.dimensions))]
        for start in range(0, len(graphs), CHUNK):
            x_MX = self.reader.read(graphs[start : start + CHUNK])
            hidden_MH = _silu(self._linear("second", _silu(self._linear("first", x_MX))))
            points.append(self._linear("skip", x_MX) + self._linear("last", hidden_MH))
        return np.concatenate(points)

    def state(self) -> dict[str, Any]:
        """The JSON part of the trained map, without its arrays."""
        vectors = self.reader.vectors
        labels = [[label.op, dict(label.attributes)] for label in vectors.labels]
        return {
            "encoding": asdict(self.reader.encoding),
            "labels": labels,
            "ignored": sorted(vectors.ignored),
            "scale": self.reader.scale,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the trained map, by name."""
        return {
            "vectors": self.reader.vectors.vector_LV,
            "mean": self.reader.mean_V,
            **self.weights,
        }

    def _linear(self, layer: str, x_MI: np.ndarray) -> np.ndarray:
        return x_MI @ self.weights[f"{layer}.weight"] + self.weights[f"{layer}.bias"]


def restore_embedding(
    settings: GraphEmbedding, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> FittedEmbedding:
    """The embedding that was saved as `state` and `arrays`.

    Raises:
        KeyError, TypeError, ValueError: settings, state and arrays are inconsistent.
    """
    labels = tuple(node(str(op), **attributes) for op, attributes in state["labels"])
    vectors = NodeVectors(labels, frozenset(map(str, state["ignored"])), arrays["vectors"])
    scale = number(state, "scale")
    if scale <= 0:
        raise ValueError(f"the scale of an embedding must be above 0; it is {scale}")
    reader = Reader(vectors, arrays["mean"], scale, encoding_from_json(state["encoding"]))
    weight_shapes = _shapes(settings, len(reader.mean_V) + reader.encoding.num_counts)
    expected = {"vectors": (len(labels), len(reader.mean_V)), **weight_shapes}
    for name, shape in expected.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float64:
            raise ValueError(
                f"the embedding's array {name!r} should hold {shape} float64 numbers; it holds "
                f"{arrays[name].shape} {arrays[name].dtype}"
            )
    return FittedEmbedding(settings, reader, {name: arrays[name] for name in weight_shapes})


def _train(
    settings: GraphEmbedding,
    x_NX: np.ndarray,
    pair_P2: np.ndarray,
    distance_P: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """The weights, trained on the mean of (|z_i - z_j| - d_ij)^2.

    During the training the distances d are in units of their mean.
    """
    import torch

    from predictors.network.layers import one_thread

    unit = float(distance_P.mean()) or 1.0
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for name, shape in _shapes(settings, x_NX.shape[1]).items():
        bound = max(shape[0], 1) ** -0.5 if len(shape) == 2 else 0.0
        weights[name] = ((torch.rand(shape, generator=generator) * 2 - 1) * bound).requires_grad_()
    x, pairs = torch.from_numpy(x_NX).float(), torch.from_numpy(pair_P2)
    target_P = torch.from_numpy(distance_P / unit).float()

    def linear(layer: str, value: torch.Tensor) -> torch.Tensor:
        return torch.addmm(weights[f"{layer}.bias"], value, weights[f"{layer}.weight"])

    optimiser = torch.optim.AdamW(
        weights.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max(settings.learning_rate, 1e-12), total_steps=settings.steps + 1
    )
    silu = torch.nn.functional.silu
    with one_thread():
        for _ in range(settings.steps):
            hidden_NH = silu(linear("second", silu(linear("first", x))))
            z_ND = linear("skip", x) + linear("last", hidden_NH)
            row_B = torch.randint(0, len(pairs), (min(4096, len(pairs)),), generator=generator)
            apart_BD = z_ND[pairs[row_B, 0]] - z_ND[pairs[row_B, 1]]
            # Isomorphic graphs have distance 0, where the root has no derivative.
            length_B = (apart_BD.square().sum(1) + 1e-8).sqrt()
            loss = (length_B - target_P[row_B]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    learnt = {name: weight.detach().numpy().astype(np.float64) for name, weight in weights.items()}
    # Scale the outputs back to the units of the costs.
    return {
        name: array * unit if name.startswith(("skip", "last")) else array
        for name, array in learnt.items()
    }


def _shapes(settings: GraphEmbedding, inputs: int) -> dict[str, tuple[int, ...]]:
    width, dimensions = settings.width, settings.dimensions
    sizes = {
        "skip": (inputs, dimensions),
        "first": (inputs, width),
        "second": (width, width),
        "last": (width, dimensions),
    }
    return {
        name: shape
        for layer in LAYERS
        for name, shape in ((f"{layer}.weight", sizes[layer]), (f"{layer}.bias", sizes[layer][1:]))
    }


def _silu(x: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return x * expit(x)
