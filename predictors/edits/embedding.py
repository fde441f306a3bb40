"""Architectures as points whose distances are their edit distances: FlexiBERT's embedding (Tuli et
al., JAIR 2023), but as a map, not a table.

The authors train a free vector for each graph of a library; a new graph has none. Here a network
learns to map what can be counted on a graph to its point, from the edit distances of some thousand
pairs; a new graph is one pass through it. It reads each node as a vector, laid out so that the
costs of changes become lengths, summed over the nodes: what an edit distance is mostly made of; and
beside it the counts that the other predictors read.

Shapes: N training graphs, M graphs, P pairs, D dimensions, K distinct nodes, L labels, V numbers of
a node, C counts, X = V + C.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from predictors.edits.costs import EditCosts, label_of, suggest_costs
from predictors.edits.distance import edit_distances
from predictors.edits.stress import draw_pairs
from predictors.reading.batch import flatten
from predictors.reading.features import Encoding, encoding_from_json, learn_encoding
from spaces.graph import Graph, Node, node

# The counts' weight beside the vectors: without them orders of operations are not seen, and with
# more, small sets of graphs are learnt by heart.
COUNTS = 0.3
# Graphs that are read at a time.
CHUNK = 1024
LAYERS = ("skip", "first", "second", "last")


@dataclass(frozen=True)
class GraphEmbedding:
    """How the embedding is learnt.

    Attributes:
        dimensions: D.
        most_graphs: graphs that it is learnt from, drawn from those given.
        pairs: pairs of them whose edit distance is computed; all where there are fewer.
        width: hidden features.
        steps: of AdamW under a one-cycle schedule, each on all of those graphs and at most 4096
            pairs.
        learning_rate, weight_decay: its largest rate, and its decoupled decay.
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
        """The map learnt from edit distances among these graphs; the same graphs, seed and costs
        give the same map on one machine.

        Args:
            graphs: at least two; that some are the same does no harm.
            seed: draws graphs, pairs and weights.
            costs: of edits; by default what `suggest_costs` finds for the graphs.

        Raises:
            ValueError: there are fewer than two graphs, or they have nodes without a price.
        """
        if len(graphs) < 2:
            raise ValueError(
                "an embedding is learnt from distances between graphs, so it needs at least 2 "
                f"of them; got {len(graphs)}"
            )
        costs = suggest_costs(graphs) if costs is None else costs
        random = np.random.default_rng([seed, 1])
        kept = [graphs[row] for row in np.sort(random.permutation(len(graphs))[: self.most_graphs])]
        pair_P2 = draw_pairs(len(kept), self.pairs, random)
        distance_P = edit_distances(kept, pair_P2, costs)
        vectors = lay_out_labels(costs)
        summed_NV = vectors.summed(kept)
        # One scale for all of a node's numbers, so that their proportions stay those of the costs.
        reader = Reader(
            vectors,
            summed_NV.mean(0),
            float(summed_NV.std(0).max(initial=0.0)) or 1.0,
            learn_encoding(kept),
        )
        return FittedEmbedding(
            self, reader, _train(self, reader.read(kept), pair_P2, distance_P, seed)
        )


@dataclass(frozen=True, eq=False)
class NodeVectors:
    """A vector for each label, such that squared lengths are the costs of changes and, from 0, of
    nodes: as nearly as vectors can.

    Attributes:
        labels: the L labels.
        ignored: attributes that do not count.
        vector_LV: their vectors.
    """

    labels: tuple[Node, ...]
    ignored: frozenset[str]
    vector_LV: np.ndarray

    def of(self, kinds: Sequence[Node]) -> np.ndarray:
        """(K, V) of nodes; one with a new label has that of the nearest known one of its operation,
        one of a new operation is no node at all.
        """
        rows = {label: row for row, label in enumerate(self.labels)}
        vectors = np.vstack([self.vector_LV, np.zeros((1, self.vector_LV.shape[1]))])
        labels = [label_of(kind, self.ignored) for kind in kinds]
        return vectors[[rows[label] if label in rows else self._nearest(label) for label in labels]]

    def summed(self, graphs: Sequence[Graph]) -> np.ndarray:
        """(M, V) the sum over each graph's nodes."""
        flat = flatten(graphs)
        count_MK = np.zeros((len(graphs), len(flat.kinds)))
        np.add.at(count_MK, (flat.graph_N, flat.kind_N), 1.0)
        return count_MK @ self.of(flat.kinds)

    def _nearest(self, label: Node) -> int:
        alike = [row for row, known in enumerate(self.labels) if known.op == label.op]
        return min(
            alike, key=lambda row: _unlike(self.labels[row], label), default=len(self.labels)
        )


def lay_out_labels(costs: EditCosts) -> NodeVectors:
    """Classical scaling (Torgerson 1952) of the square roots of the costs, a blank at the origin.
    For labels in a row it is exact.
    """
    node_L = np.array(costs.node)
    # The inner products of vectors with these squared lengths.
    inner_LL = (node_L[:, None] + node_L - np.array(costs.change)) / 2
    value_L, basis_LL = np.linalg.eigh(inner_LL)
    positive = value_L > 1e-9
    return NodeVectors(
        costs.labels, costs.ignored, basis_LL[:, positive] * np.sqrt(value_L[positive])
    )


@dataclass(frozen=True, eq=False)
class Reader:
    """What the network reads of a graph: the sum of its nodes' vectors, less `mean_V` and by
    `scale`, and its counts.
    """

    vectors: NodeVectors
    mean_V: np.ndarray
    scale: float
    encoding: Encoding

    def read(self, graphs: Sequence[Graph]) -> np.ndarray:
        """(M, X)."""
        summed_MV = (self.vectors.summed(graphs) - self.mean_V) / self.scale
        return np.concatenate([summed_MV, COUNTS * self.encoding.encode(graphs).counts_MC], axis=1)


@dataclass(frozen=True, eq=False)
class FittedEmbedding:
    """A map from graphs to points.

    Attributes:
        settings: with which it was learnt.
        reader: turns graphs into numbers.
        weights: `LAYERS`, each with its `.weight` (I, O) and `.bias` (O,): z = skip(x) +
            last(silu(second(silu(first(x))))).
    """

    settings: GraphEmbedding
    reader: Reader
    weights: Mapping[str, np.ndarray]

    def embed(self, graphs: Sequence[Graph]) -> np.ndarray:
        """(M, D) the graphs' points, whose Euclidean distances are about the edit distances; of any
        graphs, new labels and operations included.
        """
        points = [np.zeros((0, self.settings.dimensions))]
        for start in range(0, len(graphs), CHUNK):
            x_MX = self.reader.read(graphs[start : start + CHUNK])
            hidden_MH = _silu(self._linear("second", _silu(self._linear("first", x_MX))))
            points.append(self._linear("skip", x_MX) + self._linear("last", hidden_MH))
        return np.concatenate(points)

    def state(self) -> dict[str, Any]:
        """What was learnt, as far as it is JSON."""
        vectors = self.reader.vectors
        labels = [[label.op, dict(label.attributes)] for label in vectors.labels]
        return {
            "encoding": asdict(self.reader.encoding),
            "labels": labels,
            "ignored": sorted(vectors.ignored),
            "scale": self.reader.scale,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learnt, as far as it is arrays, by name."""
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
    """The embedding whose `state` went through JSON and whose `arrays` were kept.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    labels = tuple(node(str(op), **attributes) for op, attributes in state["labels"])
    vectors = NodeVectors(labels, frozenset(map(str, state["ignored"])), arrays["vectors"])
    reader = Reader(
        vectors, arrays["mean"], float(state["scale"]), encoding_from_json(state["encoding"])
    )
    inputs = len(reader.mean_V) + reader.encoding.num_counts
    for name, shape in {
        "vectors": (len(labels), len(reader.mean_V)),
        **_shapes(settings, inputs),
    }.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float64:
            raise ValueError(
                f"the embedding's array {name!r} should hold {shape} float64 numbers; it holds "
                f"{arrays[name].shape} {arrays[name].dtype}"
            )
    return FittedEmbedding(
        settings, reader, {name: arrays[name] for name in _shapes(settings, inputs)}
    )


def _train(
    settings: GraphEmbedding,
    x_NX: np.ndarray,
    pair_P2: np.ndarray,
    distance_P: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """The weights that minimise the mean of (|z_i - z_j| - d_ij)^2, with distances in units of
    their mean.
    """
    import torch

    from predictors.network.layers import one_thread

    unit = float(distance_P.mean()) or 1.0
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for name, shape in _shapes(settings, x_NX.shape[1]).items():
        bound = max(shape[0], 1) ** -0.5 if len(shape) == 2 else 0.0
        weights[name] = ((torch.rand(shape, generator=generator) * 2 - 1) * bound).requires_grad_()
    x, pairs, target_P = (
        torch.from_numpy(x_NX).float(),
        torch.from_numpy(pair_P2),
        torch.from_numpy(distance_P / unit).float(),
    )

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
            z_ND = linear("skip", x) + linear(
                "last", silu(linear("second", silu(linear("first", x))))
            )
            row_B = torch.randint(0, len(pairs), (min(4096, len(pairs)),), generator=generator)
            apart_BD = z_ND[pairs[row_B, 0]] - z_ND[pairs[row_B, 1]]
            # Isomorphic graphs coincide, where a root has no derivative.
            loss = ((apart_BD.square().sum(1) + 1e-8).sqrt() - target_P[row_B]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    learnt = {name: weight.detach().numpy().astype(np.float64) for name, weight in weights.items()}
    # The points come out in units of the costs.
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


def _unlike(known: Node, asked: Node) -> tuple[int, float, str]:
    """How many attributes differ; by how much, those that are numbers; and the known node as text,
    so that the choice is certain.
    """
    values = dict(asked.attributes)
    differing = [
        (value, values.get(name)) for name, value in known.attributes if value != values.get(name)
    ]
    numbers = [
        (float(first), float(second))
        for first, second in differing
        if isinstance(first, int | float) and isinstance(second, int | float)
    ]
    return (
        len(differing),
        sum(abs(first - second) / max(abs(first) + abs(second), 1e-9) for first, second in numbers),
        json.dumps(str(known)),
    )
