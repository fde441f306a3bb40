"""How well points keep distances, and the points that keep those of one library best, without a map
for other graphs.

Shapes: N graphs, P pairs, D dimensions.
"""

from __future__ import annotations

import numpy as np


def least_stress(
    count: int,
    pair_P2: np.ndarray,
    distance_P: np.ndarray,
    dimensions: int,
    *,
    iterations: int = 300,
    least: float = 1e-5,
) -> np.ndarray:
    """(N, D) points that bring the stress, the sum of (|z_i - z_j| - d_ij)^2 over the given pairs,
    to a local minimum.

    SMACOF with weights 1 and 0 (de Leeuw 1977; Borg and Groenen, Modern Multidimensional Scaling,
    2005, ch. 8), started from the classical scaling of the distances, where a pair is not given,
    along the shortest path over those that are. So no distance is made up from the order of the
    graphs. It takes memory for N^2 numbers.

    Args:
        count: N.
        pair_P2: pairs of different numbers below N, each once; together they must connect all
            graphs.
        distance_P: their distances, 0 or more.
        dimensions: D.
        iterations: at most.
        least: it ends when the stress falls by less than this share of itself.

    Raises:
        ValueError: some graphs are not connected by pairs.
    """
    from scipy.sparse.csgraph import shortest_path

    weight_NN, distance_NN = np.zeros((count, count)), np.full((count, count), np.inf)
    first, second = pair_P2.T
    weight_NN[first, second] = weight_NN[second, first] = 1.0
    distance_NN[first, second] = distance_NN[second, first] = distance_P
    # A graph format of scipy takes 0 for no edge.
    path_NN = shortest_path(
        np.where(weight_NN > 0, np.maximum(distance_NN, 1e-9), 0.0), directed=False
    )
    if not np.isfinite(path_NN).all():
        raise ValueError(
            f"the {len(pair_P2)} pairs do not connect all of the {count} graphs: give more of them"
        )
    point_ND = _classical(path_NN, dimensions)
    distance_NN = np.where(weight_NN > 0, distance_NN, 0.0)
    inverse_NN = np.linalg.pinv(np.diag(weight_NN.sum(1)) - weight_NN, hermitian=True)
    stress = np.inf
    for _ in range(iterations):
        length_NN = np.sqrt(np.maximum(_squared(point_ND), 0.0))
        now = float((weight_NN * (length_NN - distance_NN) ** 2).sum())
        if stress - now <= least * stress and np.isfinite(stress):
            break
        stress = now
        pull_NN = -np.divide(
            weight_NN * distance_NN,
            length_NN,
            out=np.zeros_like(length_NN),
            where=length_NN > 1e-12,
        )
        np.fill_diagonal(pull_NN, 0.0)
        np.fill_diagonal(pull_NN, -pull_NN.sum(1))
        point_ND = inverse_NN @ (pull_NN @ point_ND)
    return point_ND


def draw_pairs(count: int, most: int, random: np.random.Generator) -> np.ndarray:
    """(P, 2) pairs of different numbers below `count`, each once: all, or as many as asked for."""
    total = count * (count - 1) // 2
    chosen = (
        np.arange(total) if total <= most else np.sort(random.choice(total, most, replace=False))
    )
    # The numbers of the strict lower triangle, row by row.
    larger = ((1 + np.sqrt(1 + 8 * chosen)) / 2).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > chosen
    return np.stack([chosen - larger * (larger - 1) // 2, larger], axis=1)


def kruskal_stress(embedded_P: np.ndarray, true_P: np.ndarray) -> float:
    """Kruskal's stress-1 of embedded distances: the root of their squared errors' sum over their
    squares' sum; 0 is perfect.
    """
    squares = float((embedded_P**2).sum())
    return (
        float(np.sqrt(((embedded_P - true_P) ** 2).sum() / squares))
        if squares > 0
        else float(np.any(true_P > 0))
    )


def lengths(point_ND: np.ndarray, pair_P2: np.ndarray) -> np.ndarray:
    """(P,) the Euclidean distances of pairs of points."""
    return np.linalg.norm(point_ND[pair_P2[:, 0]] - point_ND[pair_P2[:, 1]], axis=1)


def _classical(distance_NN: np.ndarray, dimensions: int) -> np.ndarray:
    """(N, D) the principal coordinates (Torgerson 1952); columns of 0 where there are fewer."""
    inner_NN = distance_NN**2
    inner_NN = -(inner_NN - inner_NN.mean(0) - inner_NN.mean(1)[:, None] + inner_NN.mean()) / 2
    value_N, basis_NN = np.linalg.eigh(inner_NN)
    largest = np.argsort(-value_N)[:dimensions]
    point_ND = np.zeros((len(distance_NN), dimensions))
    point_ND[:, : len(largest)] = basis_NN[:, largest] * np.sqrt(np.maximum(value_N[largest], 0.0))
    return point_ND


def _squared(point_ND: np.ndarray) -> np.ndarray:
    square_N = (point_ND**2).sum(1)
    return square_N[:, None] + square_N - 2 * point_ND @ point_ND.T
