"""What is counted on a graph: operations, paths, degrees and attributes.

All numbers are the same for isomorphic graphs.

Shapes: M graphs, N nodes, O operations, A columns of attributes.
"""

from __future__ import annotations

import numpy as np

from predictors.reading.batch import Flat
from predictors.reading.paths import Sweeps


def node_places(flat: Flat, sweeps: Sweeps) -> np.ndarray:
    """(N, 7) the place of each node in its graph.

    The columns are the logarithms of depth and height, the relative depth, the logarithms of the
    degrees, the share of paths through the node, and whether it lies on a path from the input to
    the output.
    """
    live_N = np.isfinite(sweeps.log_in_N) & np.isfinite(sweeps.log_out_N)
    total_N = sweeps.depth_N[flat.last_M][flat.graph_N]
    in_N = np.bincount(flat.target_E, minlength=flat.num_nodes)
    out_N = np.bincount(flat.source_E, minlength=flat.num_nodes)
    relative_N = np.where(live_N, sweeps.depth_N / np.maximum(total_N, 1), 0.5)
    columns = [
        np.log1p(sweeps.depth_N + 1),
        np.log1p(sweeps.height_N + 1),
        relative_N,
        np.log1p(in_N),
        np.log1p(out_N),
        _share(flat, sweeps),
        live_N,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _share(flat: Flat, sweeps: Sweeps) -> np.ndarray:
    """(N,) the share of the paths from the input to the output that lead through each node."""
    through_N = sweeps.log_in_N + sweeps.log_out_N
    total_N = sweeps.log_in_N[flat.last_M][flat.graph_N]
    return np.exp(through_N - np.where(np.isfinite(total_N), total_N, 0.0))


def graph_counts(
    flat: Flat,
    op_N: np.ndarray,
    attributes_NA: np.ndarray,
    whole_A: np.ndarray,
    sweeps: Sweeps,
    num_ops: int,
) -> dict[str, np.ndarray]:
    """The counts that do not depend on the training graphs, in groups of columns.

    Args:
        flat: the graphs.
        op_N: the number of each node's operation.
        attributes_NA: each node's attributes as numbers (see `batch.NodeColumns`).
        whole_A: true for the columns that describe the whole network.
        sweeps: the paths of each node.
        num_ops: the number of operations.

    Returns:
        For each group's name its columns (M, size of the group), which count the same kind of
        thing.
    """
    nodes_M = flat.last_M - flat.first_M + 1.0
    edges_M = np.bincount(flat.graph_N[flat.target_E], minlength=flat.num_graphs)
    in_N = np.bincount(flat.target_E, minlength=flat.num_nodes)
    out_N = np.bincount(flat.source_E, minlength=flat.num_nodes)
    paths_M = np.logaddexp(0.0, sweeps.log_in_N[flat.last_M])
    least_M = np.where(np.isfinite(sweeps.least_N[flat.last_M]), sweeps.least_N[flat.last_M], -1.0)
    size = [
        nodes_M,
        np.log(nodes_M),
        edges_M,
        np.log1p(edges_M),
        sweeps.depth_N[flat.last_M],
        least_M,
        paths_M,
        edges_M / nodes_M,
    ]
    size += [np.maximum.reduceat(degree_N, flat.first_M) for degree_N in (in_N, out_N)]
    size += [in_N[flat.last_M], out_N[flat.first_M]]
    share_N = _share(flat, sweeps)
    through_N = np.logaddexp(0.0, sweeps.log_in_N + sweeps.log_out_N)
    cell_N = flat.graph_N * num_ops + op_N

    def by_op(weight_N: np.ndarray | None) -> np.ndarray:
        """(M, O) the sums of the weights, or the numbers, of the nodes of each operation."""
        return np.bincount(cell_N, weights=weight_N, minlength=flat.num_graphs * num_ops).reshape(
            flat.num_graphs, num_ops
        )

    counts_MO = by_op(None)
    depth_MO = by_op(np.maximum(sweeps.depth_N, 0)) / np.maximum(counts_MO, 1)
    return {
        "size": np.stack(size, axis=1),
        "operations": counts_MO,
        "share of paths": by_op(share_N),
        "paths through": by_op(through_N),
        "depth of operations": depth_MO,
        "most on a path": sweeps.most_NO[flat.last_M],
        "attributes": _attribute_counts(flat, attributes_NA[:, ~whole_A], sweeps),
        "whole network": attributes_NA[flat.first_M][:, whole_A],
    }


def _attribute_counts(flat: Flat, attributes_NA: np.ndarray, sweeps: Sweeps) -> np.ndarray:
    """(M, 4A) four statistics of each attribute's column over the nodes of a graph.

    They are the sum, the sum weighted by relative depth (-1 at the input, 1 at the output), the
    largest value and the smallest.
    """
    if attributes_NA.shape[1] == 0:
        return np.zeros((flat.num_graphs, 0))
    total_N = np.maximum(sweeps.depth_N[flat.last_M], 1)[flat.graph_N]
    lateness_N1 = (2 * np.maximum(sweeps.depth_N, 0) / total_N - 1)[:, None]
    sums = [
        np.add.reduceat(values_NA, flat.first_M, axis=0)
        for values_NA in (attributes_NA, attributes_NA * lateness_N1)
    ]
    return np.concatenate(
        [
            *sums,
            np.maximum.reduceat(attributes_NA, flat.first_M, axis=0),
            np.minimum.reduceat(attributes_NA, flat.first_M, axis=0),
        ],
        axis=1,
    )
