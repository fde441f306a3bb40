"""Multidimensional scaling: the stress of points, and the points of least stress for given graphs.

Unlike `embedding`, this finds points for the given graphs only, not a map for other graphs.

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
    """(N, D) points at a local minimum of the stress.

    The stress is the sum of (|z_i - z_j| - d_ij)^2 over the given pairs. It is minimised by SMACOF
    with weights 1 for the given pairs and 0 for all others (de Leeuw 1977; Borg and Groenen, Modern
    Multidimensional Scaling, 2005, ch. 8). The start is the classical scaling, with the length of
    the shortest path over given pairs as the distance of a pair that is not given. So the result
    does not depend on the order of the graphs. It needs memory for N^2 numbers.

    Args:
        count: N.
        pair_P2: pairs of different indices below N, each once; together they must connect all
            graphs.
        distance_P: their distances, 0 or more.
        dimensions: D.
        iterations: the largest number of iterations.
        least: the iterations end if the stress falls by less than this share of itself.

    Raises:
        ValueError: the pairs do not connect all graphs.
    """
    from scipy.sparse.csgraph import shortest_path

    weight_NN, distance_NN = np.zeros((count, count)), np.full((count, count), np.inf)
    first, second = pair_P2.T
    weight_NN[first, second] = weight_NN[second, first] = 1.0
    distance_NN[first, second] = distance_NN[second, first] = distance_P
    # Scipy reads a 0 in the matrix of a graph as no edge.
    edge_NN = np.where(weight_NN > 0, np.maximum(distance_NN, 1e-9), 0.0)
    path_NN = shortest_path(edge_NN, directed=False)
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
    """(P, 2) distinct pairs of different indices below `count`: `most` of them, or all if fewer."""
    total = count * (count - 1) // 2
    if total <= most:
        chosen = np.arange(total)
    else:
        chosen = np.sort(random.choice(total, most, replace=False))
    # `chosen` numbers the positions of the strict lower triangle, row by row.
    larger = ((1 + np.sqrt(1 + 8 * chosen)) / 2).astype(np.int64)
    larger -= larger * (larger - 1) // 2 > chosen
    return np.stack([chosen - larger * (larger - 1) // 2, larger], axis=1)


def kruskal_stress(embedded_P: np.ndarray, true_P: np.ndarray) -> float:
    """Kruskal's stress-1 of embedded distances; 0 is perfect.

    It is the root of the sum of the squared errors over the sum of the squared embedded distances.
    """
    squares = float((embedded_P**2).sum())
    if squares > 0:
        return float(np.sqrt(((embedded_P - true_P) ** 2).sum() / squares))
    return float(np.any(true_P > 0))


def lengths(point_ND: np.ndarray, pair_P2: np.ndarray) -> np.ndarray:
    """(P,) the Euclidean distances of pairs of points."""
    return np.linalg.norm(point_ND[pair_P2[:, 0]] - point_ND[pair_P2[:, 1]], axis=1)


def _classical(distance_NN: np.ndarray, dimensions: int) -> np.ndarray:
    """(N, D) the principal coordinates (Torgerson 1952), padded with columns of 0 if N < D."""
    inner_NN = distance_NN**2
    inner_NN = -(inner_NN - inner_NN.mean(0) - inner_NN.mean(1)[:, None] + inner_NN.mean()) / 2
    value_N, basis_NN = np.linalg.eigh(inner_NN)
    largest = np.argsort(-value_N)[:dimensions]
    point_ND = np.zeros((len(distance_NN), dimensions))
    point_ND[:, : len(largest)] = basis_NN[:, largest] * np.sqrt(np.maximum(value_N[largest], 0.0))
    return point_ND


def _squared(point_ND: np.ndarray) -> np.ndarray:
    """(N, N) the squared distances between all points."""
    square_N = (point_ND**2).sum(1)
    return square_N[:, None] + square_N - 2 * point_ND @ point_ND.T
