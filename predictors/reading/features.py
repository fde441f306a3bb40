"""What can be counted on a graph: operations, paths, degrees and attributes; the trees' and the
ridge's whole view, and a part of the GNN's.

Shapes: M graphs, N nodes, E edges, O operations, A attributes' columns, C features of a graph.

Every number is the same for isomorphic graphs. Path numbers come from sweeps over the edges in
topological order, so their cost is linear in the edges; numbers of paths are kept as logarithms,
since they grow exponentially with depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictors.reading.batch import Encoded, Flat, NodeColumns, flatten, learn_node_columns, ranges
from spaces.graph import Graph

MOST_KINDS = 48
MOST_PAIRS = 64
MOST_RUNS = 128
# Numbers in the matrix of who reaches whom that are looked at together.
MOST_CELLS = 1 << 22


@dataclass(frozen=True)
class Sweeps:
    """Path numbers of every node, from the input forwards and from the output backwards.

    Attributes:
        depth_N, height_N: edges on the longest path from the input, and to the output; -1 where
            there is no path.
        log_in_N, log_out_N: logarithm of the number of paths from the input, and to the output;
            -inf where there is none.
        most_NO: the most nodes of each operation on one path from the input, the node itself
            included; -1 where there is no path.
        least_N: edges on the shortest path from the input; infinite where there is no path.
    """

    depth_N: np.ndarray
    height_N: np.ndarray
    log_in_N: np.ndarray
    log_out_N: np.ndarray
    most_NO: np.ndarray
    least_N: np.ndarray


def sweep(flat: Flat, op_N: np.ndarray, num_ops: int) -> Sweeps:
    """The path numbers of all nodes; each edge is looked at once forwards and once backwards."""
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
    """The edges whose end is each graph's second node, then its third, ...: at each step all
    earlier nodes are finished.
    """
    place_E = end_E - flat.first_M[flat.graph_N[end_E]]
    order_E = np.lexsort((end_E, -place_E if backwards else place_E))
    bounds = np.flatnonzero(np.diff(place_E[order_E])) + 1
    return (edges for edges in np.split(order_E, bounds) if len(edges))


def reached(flat: Flat) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a node and one that it reaches along edges, by number in the batch."""
    place_N = np.arange(flat.num_nodes) - flat.first_M[flat.graph_N]
    # A bit for each place in the graph: from which the node is reached.
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
    """For all pairs of an edge and one that goes on from its end: the number (a O + b) O + c of
    their three operations, and the graph.
    """
    order_E = np.argsort(flat.source_E, kind="stable")
    out_N = np.bincount(flat.source_E, minlength=flat.num_nodes)
    start_N = np.cumsum(out_N) - out_N
    times_E = out_N[flat.target_E]
    first_R = np.repeat(np.arange(len(times_E)), times_E)
    third_R = flat.target_E[order_E][ranges(start_N[flat.target_E], times_E)]
    pair_E = op_N[flat.source_E] * num_ops + op_N[flat.target_E]
    return pair_E[first_R] * num_ops + op_N[third_R], flat.graph_N[third_R]


def node_places(flat: Flat, sweeps: Sweeps) -> np.ndarray:
    """(N, 7) where a node stands: logarithms of depth and height, its relative depth, degrees,
    share of all paths, whether it is on a path.
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
    """(N,) the share of the paths from input to output that lead through a node."""
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
    """What is counted on every graph whatever the training graphs were, in groups of (M, C')
    columns that count the same kind of thing.
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
    size += [np.maximum.reduceat(degree_N, flat.first_M) for degree_N in (in_N, out_N)] + [
        in_N[flat.last_M],
        out_N[flat.first_M],
    ]
    share_N = _share(flat, sweeps)
    through_N = np.logaddexp(0.0, sweeps.log_in_N + sweeps.log_out_N)
    cell_N = flat.graph_N * num_ops + op_N

    def by_op(weight_N: np.ndarray | None) -> np.ndarray:
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
    """(M, 4A) sum, largest, smallest of each attribute's column over the nodes, and its sum in the
    graph's later half less that in its earlier.
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


@dataclass(frozen=True)
class Encoding:
    """What was learnt from the training graphs about turning graphs into numbers.

    Attributes:
        nodes: the operations and attributes' columns.
        kinds: the distinct nodes (as text) that are counted one by one.
        pairs: the pairs of operations (numbers) whose edges are counted one by one.
        runs: the runs of three operations, one feeding the next, that are counted one by one;
            ascending.
        kept: the columns of all counted numbers that vary over the training graphs, and their mean
            and scale.
        groups: the name of the group of each kept column: what kind of thing it counts.
    """

    nodes: NodeColumns
    kinds: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    runs: tuple[tuple[int, int, int], ...]
    kept: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    groups: tuple[str, ...]

    @property
    def num_ops(self) -> int:
        """How many operations there are, the unknown one included."""
        return len(self.nodes.ops)

    @property
    def num_node_features(self) -> int:
        """A: the attributes' columns and the seven of `node_places`."""
        return self.nodes.num_features + 7

    @property
    def num_counts(self) -> int:
        """C."""
        return len(self.kept)

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """The graphs as numbers; never fails on operations, attributes or sizes that training did
        not show.
        """
        flat = flatten(graphs)
        op_N = self.nodes.op_numbers(flat.kinds)[flat.kind_N]
        attributes_NA = self.nodes.attributes(flat.kinds)[flat.kind_N]
        sweeps = sweep(flat, op_N, self.num_ops)
        counts_MC = np.concatenate(
            list(_all_counts(self, flat, op_N, attributes_NA, sweeps).values()), axis=1
        )[:, list(self.kept)]
        standard_MC = np.clip((counts_MC - np.array(self.mean)) / np.array(self.scale), -10.0, 10.0)
        return Encoded(
            flat,
            op_N,
            np.concatenate([attributes_NA, node_places(flat, sweeps)], axis=1),
            standard_MC.astype(np.float32),
        )


def learn_encoding(graphs: Sequence[Graph]) -> Encoding:
    """The encoding that the training graphs suggest."""
    flat = flatten(graphs)
    nodes = learn_node_columns(flat.kinds)
    op_N = nodes.op_numbers(flat.kinds)[flat.kind_N]
    times_K = np.bincount(flat.kind_N, minlength=len(flat.kinds))
    # Where every operation comes with one set of attributes, the counts by operation say the same.
    kinds = (
        _common([str(node) for node in flat.kinds], times_K, MOST_KINDS)
        if len(flat.kinds) > len(nodes.ops) - 1
        else ()
    )
    source_R, target_R = reached(flat)
    pair_E = op_N[source_R] * len(nodes.ops) + op_N[target_R]
    seen, times = np.unique(pair_E, return_counts=True)
    pairs = tuple(
        sorted(
            divmod(int(seen[row]), len(nodes.ops))
            for row in np.lexsort((seen, -times))[:MOST_PAIRS]
        )
    )
    run_R, _ = runs_of_three(flat, op_N, len(nodes.ops))
    seen, times = np.unique(run_R, return_counts=True)
    common = np.sort(seen[np.lexsort((seen, -times))[:MOST_RUNS]])
    runs = tuple(
        (run // len(nodes.ops) ** 2, run // len(nodes.ops) % len(nodes.ops), run % len(nodes.ops))
        for run in common.tolist()
    )
    draft = Encoding(nodes, kinds, pairs, runs, (), (), (), ())
    attributes_NA = nodes.attributes(flat.kinds)[flat.kind_N]
    counts = _all_counts(draft, flat, op_N, attributes_NA, sweep(flat, op_N, len(nodes.ops)))
    groups, counts_MC = (
        [name for name, columns in counts.items() for _ in range(columns.shape[1])],
        np.concatenate(list(counts.values()), axis=1),
    )
    scale_C = counts_MC.std(axis=0)
    kept = np.flatnonzero(scale_C > 1e-6)
    mean, scale = counts_MC.mean(axis=0)[kept], scale_C[kept]
    return Encoding(
        nodes,
        kinds,
        pairs,
        runs,
        tuple(kept.tolist()),
        tuple(mean.tolist()),
        tuple(scale.tolist()),
        tuple(groups[column] for column in kept),
    )


def encoding_from_json(loaded: Any) -> Encoding:
    """The encoding whose `dataclasses.asdict` went through JSON.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    node = loaded["nodes"]
    numbers, categories = (
        tuple(map(str, node["numbers"])),
        tuple((str(name), str(value)) for name, value in node["categories"]),
    )
    means, scales = tuple(map(float, node["number_mean"])), tuple(map(float, node["number_scale"]))
    nodes = NodeColumns(tuple(map(str, node["ops"])), numbers, means, scales, categories)
    kinds, kept = tuple(map(str, loaded["kinds"])), tuple(map(int, loaded["kept"]))
    pairs = tuple((int(first), int(second)) for first, second in loaded["pairs"])
    runs = tuple((int(first), int(second), int(third)) for first, second, third in loaded["runs"])
    mean, scale, groups = (
        tuple(map(float, loaded["mean"])),
        tuple(map(float, loaded["scale"])),
        tuple(map(str, loaded["groups"])),
    )
    result = Encoding(nodes, kinds, pairs, runs, kept, mean, scale, groups)
    if not len(numbers) == len(means) == len(scales) or not len(kept) == len(mean) == len(
        scale
    ) == len(groups):
        raise ValueError("the encoding's columns, means and scales are of different lengths")
    if any(not 0 <= op < len(nodes.ops) for counted in (*pairs, *runs) for op in counted):
        raise ValueError("the encoding counts a pair or a run of operations that it does not have")
    return result


def _all_counts(
    encoding: Encoding, flat: Flat, op_N: np.ndarray, attributes_NA: np.ndarray, sweeps: Sweeps
) -> dict[str, np.ndarray]:
    general = graph_counts(
        flat, op_N, attributes_NA, encoding.nodes.whole, sweeps, encoding.num_ops
    )
    numbers = {text: number for number, text in enumerate(encoding.kinds)}
    kind_K = np.array([numbers.get(str(node), -1) for node in flat.kinds], dtype=np.int64)
    kinds_MC = _counted(flat.graph_N, kind_K[flat.kind_N], flat.num_graphs, len(encoding.kinds))
    table = np.full((encoding.num_ops, encoding.num_ops), -1)
    for number, pair in enumerate(encoding.pairs):
        table[pair] = number
    pairs_MC = _counted(
        flat.graph_N[flat.target_E],
        table[op_N[flat.source_E], op_N[flat.target_E]],
        flat.num_graphs,
        len(encoding.pairs),
    )
    source_R, target_R = reached(flat)
    apart_MC = _counted(
        flat.graph_N[target_R],
        table[op_N[source_R], op_N[target_R]],
        flat.num_graphs,
        len(encoding.pairs),
    )
    run_R, graph_R = runs_of_three(flat, op_N, encoding.num_ops)
    known_R = np.array(
        [
            (first * encoding.num_ops + second) * encoding.num_ops + third
            for first, second, third in encoding.runs
        ],
        dtype=np.int64,
    )
    place_R = np.searchsorted(known_R, run_R).clip(max=max(len(known_R) - 1, 0))
    counted_R = known_R[place_R] == run_R if len(known_R) else np.zeros(len(run_R), dtype=bool)
    runs_MC = _counted(
        graph_R, np.where(counted_R, place_R, -1), flat.num_graphs, len(encoding.runs)
    )
    return {
        **general,
        "kinds of nodes": kinds_MC,
        "pairs of operations": pairs_MC,
        "operations before others": apart_MC,
        "runs of three operations": runs_MC,
    }


def _counted(
    graph: np.ndarray, column: np.ndarray, num_graphs: int, num_columns: int
) -> np.ndarray:
    """(M, num_columns) how often each column stands beside each graph; the column -1 is not
    counted.
    """
    known = column >= 0
    return np.bincount(
        graph[known] * num_columns + column[known], minlength=num_graphs * num_columns
    ).reshape(num_graphs, num_columns)


def _common(texts: Sequence[str], times: np.ndarray, most: int) -> tuple[str, ...]:
    ranked = sorted(zip(texts, times.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return tuple(sorted(text for text, _ in ranked[:most]))
