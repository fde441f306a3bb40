"""Numbers and lengths of paths through a graph, and which node reaches which along its edges.

The numbers come from sweeps over the edges in topological order, at a cost that is linear in the
number of edges. The number of paths grows exponentially with depth, so its logarithm is stored.

Shapes: M graphs, N nodes, E edges, O operations, W words of 64 bits, R pairs or runs of nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from predictors.reading.batch import Flat, ranges

# The matrix that says which node reaches which is unpacked in parts of at most this many entries.
MOST_CELLS = 1 << 22


@dataclass(frozen=True)
class Sweeps:
    """Numbers and lengths of every node's paths from the input and to the output.

    Attributes:
        depth_N, height_N: the number of edges on the longest path from the input, and to the
            output; -1 if there is no path.
        log_in_N, log_out_N: the logarithm of the number of paths from the input, and to the output;
            -inf if there is no path.
        most_NO: the largest number of nodes of each operation on one path from the input to the
            node, the node included; -1 if there is no path.
        least_N: the number of edges on the shortest path from the input; infinite if there is no
            path.
    """

    depth_N: np.ndarray
    height_N: np.ndarray
    log_in_N: np.ndarray
    log_out_N: np.ndarray
    most_NO: np.ndarray
    least_N: np.ndarray


def sweep(flat: Flat, op_N: np.ndarray, num_ops: int) -> Sweeps:
    """The paths of all nodes, from one sweep forwards over the edges and one backwards."""
    count = flat.num_nodes
    depth_N, height_N = np.full(count, -np.inf), np.full(count, -np.inf)
    log_in_N, log_out_N = np.full(count, -np.inf), np.full(count, -np.inf)
    least_N = np.full(count, np.inf)
    most_NO = np.full((count, num_ops), -np.inf, dtype=np.float32)
    depth_N[flat.first_M] = log_in_N[flat.first_M] = least_N[flat.first_M] = 0
    height_N[flat.last_M] = log_out_N[flat.last_M] = 0
    most_NO[flat.first_M] = 0
    most_NO[flat.first_M, op_N[flat.first_M]] = 1
    for edges in _in_order(flat, flat.target_E):
        source, target = flat.source_E[edges], flat.target_E[edges]
        starts = np.flatnonzero(np.r_[True, target[1:] != target[:-1]])
        node = target[starts]
        depth_N[node] = np.maximum.reduceat(depth_N[source], starts) + 1
        least_N[node] = np.minimum.reduceat(least_N[source], starts) + 1
        log_in_N[node] = np.logaddexp.reduceat(log_in_N[source], starts)
        best = np.maximum.reduceat(most_NO[source], starts, axis=0)
        best[np.arange(len(node)), op_N[node]] += 1
        most_NO[node] = best
    for edges in _in_order(flat, flat.source_E, backwards=True):
        source, target = flat.source_E[edges], flat.target_E[edges]
        starts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]])
        node = source[starts]
        height_N[node] = np.maximum.reduceat(height_N[target], starts) + 1
        log_out_N[node] = np.logaddexp.reduceat(log_out_N[target], starts)
    return Sweeps(
        np.maximum(depth_N, -1),
        np.maximum(height_N, -1),
        log_in_N,
        log_out_N,
        np.maximum(most_NO, -1),
        least_N,
    )


def _in_order(flat: Flat, end_E: np.ndarray, backwards: bool = False) -> Iterator[np.ndarray]:
    """The edges in groups by the place of their end `end_E` in its graph, ascending by default.

    Nodes are in topological order, so when the edges of a place are visited, the nodes at all
    earlier places are finished.
    """
    place_E = end_E - flat.first_M[flat.graph_N[end_E]]
    order_E = np.lexsort((end_E, -place_E if backwards else place_E))
    bounds = np.flatnonzero(np.diff(place_E[order_E])) + 1
    return (edges for edges in np.split(order_E, bounds) if len(edges))


def reached(flat: Flat) -> tuple[np.ndarray, np.ndarray]:
    """(R,) each, all pairs of a node and one that it reaches along edges, as batch numbers."""
    place_N = np.arange(flat.num_nodes) - flat.first_M[flat.graph_N]
    # For each node there is one bit for each place in its graph: whether that place reaches it.
    word_N, bit_N = place_N // 64, np.left_shift(np.uint64(1), (place_N % 64).astype(np.uint64))
    before_NW = np.zeros((flat.num_nodes, int(word_N.max(initial=0)) + 1), dtype="<u8")
    for edges in _in_order(flat, flat.target_E):
        source, target = flat.source_E[edges], flat.target_E[edges]
        starts = np.flatnonzero(np.r_[True, target[1:] != target[:-1]])
        passed_EW = before_NW[source]
        passed_EW[np.arange(len(source)), word_N[source]] |= bit_N[source]
        before_NW[target[starts]] = np.bitwise_or.reduceat(passed_EW, starts, axis=0)
    sources, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    rows = max(1, MOST_CELLS // (64 * before_NW.shape[1]))
    for start in range(0, flat.num_nodes, rows):
        target, place = np.nonzero(
            np.unpackbits(before_NW[start : start + rows].view(np.uint8), axis=1, bitorder="little")
        )
        sources.append(flat.first_M[flat.graph_N[start + target]] + place)
        targets.append(start + target)
    return np.concatenate(sources), np.concatenate(targets)


def runs_of_three(flat: Flat, op_N: np.ndarray, num_ops: int) -> tuple[np.ndarray, np.ndarray]:
    """All runs of three nodes a, b, c with edges from a to b and from b to c.

    Returns:
        (R,) each, the number (op_a O + op_b) O + op_c of the run's operations, and its graph.
    """
    order_E = np.argsort(flat.source_E, kind="stable")
    out_N = np.bincount(flat.source_E, minlength=flat.num_nodes)
    start_N = np.cumsum(out_N) - out_N
    times_E = out_N[flat.target_E]
    first_R = np.repeat(np.arange(len(times_E)), times_E)
    third_R = flat.target_E[order_E][ranges(start_N[flat.target_E], times_E)]
    pair_E = op_N[flat.source_E] * num_ops + op_N[flat.target_E]
    return pair_E[first_R] * num_ops + op_N[third_R], flat.graph_N[third_R]
