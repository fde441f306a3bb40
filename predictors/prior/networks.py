"""Many coarse graphs as flat arrays, and the numbers of whole networks.

The numbers are physical: sizes, counts and lengths of paths, in the same units in every space. So
what one space teaches about them can hold in another.

Shapes: M networks, N nodes and E edges of all of them, F features of a node, V quantities that are
summed along a path, W numbers of a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from predictors.prior.coarse import CoarseGraph
from predictors.prior.node_features import COLUMN, FEATURES

# Quantities that are summed along the paths from the input to the output.
ALONG = ("weighted layers", "spatial layers", "receptive field", "nonlinearities", "pools")
WHOLE = (
    "log2 parameters",
    "log2 multiply-adds",
    "log2 activations",
    "log2 parameters without embeddings",
    "log2 multiply-adds over parameters",
    "weighted layers",
    "spatial layers",
    "nodes",
    "edges over nodes",
    "log paths",
    *(f"{statistic} {name} of a path" for name in ALONG for statistic in ("mean", "least", "most")),
    "share of multiply-adds in spatial layers",
    "share of parameters in spatial layers",
    "share of multiply-adds in grouped layers",
    "share of multiply-adds in attention",
    "share of multiply-adds in linear layers",
    "mean log2 channels of weighted layers",
    "most log2 channels of weighted layers",
    "mean log2 channels of first weighted layers",
    "mean log2 channels of late weighted layers",
    "mean log2 input channels of last weighted layers",
    "mean log2 positions by multiply-adds",
    "log2 channels at the end",
    "log2 positions at the end",
    "log2 positions of the input",
    "sums over nodes",
    "products over nodes",
    "concatenations over nodes",
    "max pools over nodes",
    "average pools over nodes",
    "normalisations over weighted layers",
    "smooth activations over nodes",
    "mean kernel of spatial layers",
)


@dataclass(frozen=True)
class Networks:
    """M coarse graphs, one after the other.

    Attributes:
        node_NF: the nodes' features (see `node_features.FEATURES`).
        graph_N: the network of each node, ascending.
        first_M, last_M: each network's input and output node.
        source_E, target_E: the edges, by numbers of nodes, in the order of the networks.
        size_M3: parameters, multiply-adds and activations of each network.
    """

    node_NF: np.ndarray
    graph_N: np.ndarray
    first_M: np.ndarray
    last_M: np.ndarray
    source_E: np.ndarray
    target_E: np.ndarray
    size_M3: np.ndarray

    def __len__(self) -> int:
        return len(self.first_M)

    def take(self, rows: Sequence[int] | np.ndarray) -> Networks:
        """The networks with these numbers, in this order."""
        return collate([self.graph(int(row)) for row in rows])

    def graph(self, row: int) -> CoarseGraph:
        """The network of that number."""
        first, last = int(self.first_M[row]), int(self.last_M[row])
        low, high = np.searchsorted(self.target_E, [first, last + 1])
        parameters, multiply_adds, activations = self.size_M3[row].tolist()
        return CoarseGraph(
            self.node_NF[first : last + 1],
            self.source_E[low:high] - first,
            self.target_E[low:high] - first,
            int(parameters),
            int(multiply_adds),
            int(activations),
        )


def collate(graphs: Sequence[CoarseGraph]) -> Networks:
    """The graphs one after the other."""
    nodes_M = np.array([len(graph) for graph in graphs], dtype=np.int64)
    last_M = np.cumsum(nodes_M) - 1
    first_M = last_M - nodes_M + 1
    edges_M = [len(graph.source_E) for graph in graphs]
    offset_E = np.repeat(first_M, edges_M)
    empty = np.zeros((0, len(FEATURES)), dtype=np.float32)
    sizes = [(graph.parameters, graph.multiply_adds, graph.activations) for graph in graphs]
    return Networks(
        np.concatenate([empty, *(graph.node_NF for graph in graphs)]),
        np.repeat(np.arange(len(graphs)), nodes_M),
        first_M,
        last_M,
        np.concatenate([np.zeros(0, np.int64), *(graph.source_E for graph in graphs)]) + offset_E,
        np.concatenate([np.zeros(0, np.int64), *(graph.target_E for graph in graphs)]) + offset_E,
        np.array(sizes, dtype=np.float64).reshape(-1, 3),
    )


def whole_numbers(networks: Networks) -> np.ndarray:
    """(M, W) the numbers of each whole network (see `WHOLE`), float64."""
    if len(networks) == 0:
        return np.zeros((0, len(WHOLE)))
    node = _Columns(networks)
    weighted_N, spatial_N = node.weighted, node.spatial
    macs_N, parameters_N = node.multiply_adds, node.parameters
    grouped_N = weighted_N & (node["log2 groups"] > 0.5)
    of = node.per_network
    all_macs_M, all_parameters_M = of(macs_N) + 1, of(parameters_N) + 1
    count_M = of(np.ones(len(macs_N)))
    layers_M, spatial_M = of(weighted_N), of(spatial_N)
    log_macs_M, log_parameters_M = np.log2(all_macs_M), np.log2(all_parameters_M)
    channels_N = node["log2 output channels"]
    log_paths_M, along_MV3, most_NV = _along_paths(networks, node.along_paths())
    edges_M = np.bincount(networks.graph_N[networks.target_E], minlength=len(networks))
    columns = [
        log_parameters_M,
        log_macs_M,
        np.log2(networks.size_M3[:, 2] + 1),
        np.log2(of(parameters_N * (node["embedding"] == 0)) + 1),
        log_macs_M - log_parameters_M,
        layers_M,
        spatial_M,
        count_M,
        edges_M / count_M,
        log_paths_M,
        *along_MV3.reshape(len(networks), -1).T,
        of(macs_N * spatial_N) / all_macs_M,
        of(parameters_N * spatial_N) / all_parameters_M,
        of(macs_N * grouped_N) / all_macs_M,
        of(macs_N * (node["attention"] > 0)) / all_macs_M,
        of(macs_N * (node["linear"] > 0)) / all_macs_M,
        of(channels_N * weighted_N) / np.maximum(layers_M, 1),
        node.most(np.where(weighted_N, channels_N, 0.0)),
        *node.first_and_late(channels_N, most_NV[:, 0]),
        node.of_last(node["log2 input channels"], most_NV[:, 0]),
        of(macs_N * node["log2 positions"]) / all_macs_M,
        node["log2 output channels"][networks.last_M],
        node["log2 positions"][networks.last_M],
        node["log2 positions"][networks.first_M],
        of(node["sum"]) / count_M,
        of(node["product"]) / count_M,
        of(node["concatenation"]) / count_M,
        of(node["max_pool"]) / count_M,
        of(node["average_pool"]) / count_M,
        of(node["normalisation"] * weighted_N) / np.maximum(layers_M, 1),
        of(node["smooth_activation"]) / count_M,
        of(node["kernel size"] * spatial_N) / np.maximum(spatial_M, 1),
    ]
    return np.stack(columns, axis=1)


class _Columns:
    """The features of the nodes by name, and sums of them over networks."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.multiply_adds = np.exp2(self["log2 multiply-adds"]) - 1
        self.parameters = np.exp2(self["log2 parameters"]) - 1
        self.weighted = (self["log2 multiply-adds"] > 0) | (self["recurrent"] > 0)
        self.spatial = self.weighted & (self["kernel size"] > 1.5)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.networks.node_NF[:, COLUMN[name]].astype(np.float64)

    def per_network(self, value_N: np.ndarray) -> np.ndarray:
        """(M,) the sum over the nodes of each network."""
        return np.add.reduceat(value_N.astype(np.float64), self.networks.first_M)

    def most(self, value_N: np.ndarray) -> np.ndarray:
        """(M,) the largest value among the nodes of each network."""
        return np.maximum.reduceat(value_N, self.networks.first_M)

    def first_and_late(
        self, value_N: np.ndarray, place_N: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(M,) each, means over the first weighted nodes, and over all, late ones counting more.

        A node's place is the largest number of weighted nodes on a path to it, itself included. It
        is first if that is 1, and counts by the square of it. 0 where there is no such node.
        """
        placed_N = self.weighted & np.isfinite(place_N)
        first_N = placed_N & (place_N < 1.5)
        late_N = np.where(placed_N, np.where(placed_N, place_N, 0.0) ** 2, 0.0)
        first, late = (
            self.per_network(value_N * by_N) / np.maximum(self.per_network(by_N), 1e-9)
            for by_N in (first_N, late_N)
        )
        return first, late

    def of_last(self, value_N: np.ndarray, place_N: np.ndarray) -> np.ndarray:
        """(M,) the mean over the weighted nodes that come last: what a classifier reads."""
        placed_N = np.where(self.weighted & np.isfinite(place_N), place_N, -1.0)
        last_N = (placed_N > 0) & (placed_N == self.most(placed_N)[self.networks.graph_N])
        return self.per_network(value_N * last_N) / np.maximum(self.per_network(last_N), 1)

    def along_paths(self) -> np.ndarray:
        """(N, V) what each node adds to the quantities of `ALONG`."""
        start_N = self["log2 positions"][self.networks.first_M][self.networks.graph_N]
        before_N = self["log2 positions"] + self["log2 input positions over positions"]
        # The stride from the input to the node, over the extent of the input: both are roots of
        # numbers of positions, so the product is that of the positions before the node.
        reach_N = (self["kernel size"] - 1) * np.exp2(-0.5 * np.minimum(before_N, start_N))
        pools_N = (self["max_pool"] + self["average_pool"]) > 0
        kernel_N = np.where(self["kernel size"] > 1.5, reach_N, 0.0)
        bent_N = self["rectifier"] + self["smooth_activation"] + self["gate"] + self["softmax"] > 0
        return np.stack([self.weighted, self.spatial, kernel_N, bent_N, pools_N], axis=1).astype(
            np.float64
        )


def _along_paths(
    networks: Networks, value_NV: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The logarithm of the number of paths (M,), and statistics of the sums along them (M, V, 3).

    The statistics are the mean over all paths from the input to the output, the least and the most.
    All are 0 for a network without such a path. Also the most of each node (N, V), from the input
    to the node, the node included.
    """
    count = len(value_NV)
    log_N = np.full(count, -np.inf)
    log_N[networks.first_M] = 0.0
    mean_NV = np.zeros_like(value_NV)
    least_NV, most_NV = np.full_like(value_NV, np.inf), np.full_like(value_NV, -np.inf)
    least_NV[networks.first_M] = most_NV[networks.first_M] = 0.0
    for edges in _in_order(networks):
        source, target = networks.source_E[edges], networks.target_E[edges]
        starts = np.flatnonzero(np.r_[True, target[1:] != target[:-1]])
        node = target[starts]
        peak = np.maximum.reduceat(log_N[source], starts)
        widths = np.diff(np.append(starts, len(source)))
        safe = np.where(np.isfinite(peak), peak, 0.0)
        share_E = np.exp(log_N[source] - np.repeat(safe, widths))
        total = np.add.reduceat(share_E, starts)
        log_N[node] = safe + np.log(np.where(total > 0, total, 1.0))
        log_N[node[total == 0]] = -np.inf
        weight_E = share_E / np.repeat(np.where(total > 0, total, 1.0), widths)
        mean_NV[node] = value_NV[node] + np.add.reduceat(
            weight_E[:, None] * mean_NV[source], starts, axis=0
        )
        least_NV[node] = value_NV[node] + np.minimum.reduceat(least_NV[source], starts, axis=0)
        most_NV[node] = value_NV[node] + np.maximum.reduceat(most_NV[source], starts, axis=0)
    last = networks.last_M
    stacked = np.stack([mean_NV[last], least_NV[last], most_NV[last]], axis=2)
    reached_M = np.isfinite(log_N[last])
    log_paths_M = np.where(reached_M, log_N[last], 0.0)
    return log_paths_M, np.where(reached_M[:, None, None], stacked, 0.0), most_NV


def _in_order(networks: Networks) -> Iterator[np.ndarray]:
    """The edges in groups by the place of their target in its network, ascending."""
    place_E = networks.target_E - networks.first_M[networks.graph_N[networks.target_E]]
    order_E = np.lexsort((networks.target_E, place_E))
    bounds = np.flatnonzero(np.diff(place_E[order_E])) + 1
    for low, high in pairwise([0, *bounds.tolist(), len(order_E)]):
        if high > low:
            yield order_E[low:high]
