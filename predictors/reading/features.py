"""Graphs as features: an encoding, learnt from the training graphs, turns graphs into numbers.

The features of a graph are counts. Trees and the ridge regression read nothing else; the graph
network reads them beside the graph itself. Every number is the same for isomorphic graphs.

Shapes: M graphs, N nodes, E edges, O operations, A columns of attributes, C features of a graph, K
distinct nodes, R pairs or runs of nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from predictors.frame.untrusted import checked
from predictors.reading.batch import WHOLE, Encoded, Flat, flatten
from predictors.reading.counts import graph_counts, node_places
from predictors.reading.node_columns import NodeColumns, learn_node_columns
from predictors.reading.paths import Sweeps, reached, runs_of_three, sweep
from spaces.graph import Graph, Node

# At most this many of the most frequent nodes, pairs and runs are counted one by one.
MOST_KINDS = 48
MOST_PAIRS = 64
MOST_RUNS = 128


@dataclass(frozen=True)
class Encoding:
    """What is counted on graphs and how the counts are standardised, learnt from training graphs.

    Attributes:
        nodes: the vocabulary of operations, and the columns of attributes.
        kinds: the distinct nodes (as text) that are counted one by one.
        pairs: the pairs of operations (as numbers) that are counted one by one, both as edges and
            as one node that reaches another.
        runs: the runs of three operations, each feeding the next, that are counted one by one;
            ascending.
        kept: the columns among all counts that vary over the training graphs.
        mean, scale: mean and standard deviation of each kept column over the training graphs.
        groups: the name of each kept column's group, which says what kind of thing it counts.
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
        """O: the number of operations, the unknown one included."""
        return len(self.nodes.ops)

    @property
    def num_node_features(self) -> int:
        """The number of features of a node: the attributes and the seven of `node_places`."""
        return self.nodes.num_features + 7

    @property
    def num_counts(self) -> int:
        """C: the number of features of a graph."""
        return len(self.kept)

    def encode(self, graphs: Sequence[Graph]) -> Encoded:
        """The graphs as numbers.

        Operations, attributes and sizes that did not occur in training are allowed.
        """
        flat = flatten(graphs)
        op_N = self.nodes.op_numbers(flat.kinds)[flat.kind_N]
        attributes_NA = self.nodes.attributes(flat.kinds)[flat.kind_N]
        sweeps = sweep(flat, op_N, self.num_ops)
        groups = _all_counts(self, flat, op_N, attributes_NA, sweeps)
        counts_MC = np.concatenate(list(groups.values()), axis=1)[:, list(self.kept)]
        standard_MC = np.clip((counts_MC - np.array(self.mean)) / np.array(self.scale), -10.0, 10.0)
        return Encoded(
            flat,
            op_N,
            np.concatenate([attributes_NA, node_places(flat, sweeps)], axis=1),
            standard_MC.astype(np.float32),
        )


def learn_encoding(graphs: Sequence[Graph]) -> Encoding:
    """The encoding learnt from these training graphs.

    It counts what is most frequent in them, and keeps the counts that vary.
    """
    flat = flatten(graphs)
    nodes = learn_node_columns(flat.kinds)
    op_N = nodes.op_numbers(flat.kinds)[flat.kind_N]
    times: Counter[str] = Counter()
    for node, count in zip(flat.kinds, np.bincount(flat.kind_N).tolist(), strict=True):
        times[_kind(node)] += count
    # If every operation has only one set of attributes, the counts of distinct nodes equal those of
    # the operations.
    kinds: tuple[str, ...] = ()
    if len(times) > len(nodes.ops) - 1:
        ranked = sorted(times.items(), key=lambda item: (-item[1], item[0]))
        kinds = tuple(sorted(text for text, _ in ranked[:MOST_KINDS]))
    source_R, target_R = reached(flat)
    pair_R = op_N[source_R] * len(nodes.ops) + op_N[target_R]
    seen, often = np.unique(pair_R, return_counts=True)
    frequent = seen[np.lexsort((seen, -often))[:MOST_PAIRS]]
    pairs = tuple(sorted(divmod(pair, len(nodes.ops)) for pair in frequent.tolist()))
    run_R, _ = runs_of_three(flat, op_N, len(nodes.ops))
    seen, often = np.unique(run_R, return_counts=True)
    common = np.sort(seen[np.lexsort((seen, -often))[:MOST_RUNS]])
    runs = tuple(
        (run // len(nodes.ops) ** 2, run // len(nodes.ops) % len(nodes.ops), run % len(nodes.ops))
        for run in common.tolist()
    )
    draft = Encoding(nodes, kinds, pairs, runs, (), (), (), ())
    attributes_NA = nodes.attributes(flat.kinds)[flat.kind_N]
    counts = _all_counts(draft, flat, op_N, attributes_NA, sweep(flat, op_N, len(nodes.ops)))
    groups = [name for name, columns in counts.items() for _ in range(columns.shape[1])]
    counts_MC = np.concatenate(list(counts.values()), axis=1)
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
    """The encoding that `dataclasses.asdict` and JSON turned into this value.

    Raises:
        KeyError, TypeError, ValueError: the value is not such an encoding.
    """
    node = loaded["nodes"]
    numbers = tuple(map(str, node["numbers"]))
    categories = tuple((str(name), str(value)) for name, value in node["categories"])
    means, scales = _numbers(node["number_mean"]), _scales(node["number_scale"])
    nodes = NodeColumns(tuple(map(str, node["ops"])), numbers, means, scales, categories)
    kinds, kept = tuple(map(str, loaded["kinds"])), tuple(loaded["kept"])
    if any(type(column) is not int or column < 0 for column in kept):
        raise ValueError("the columns that an encoding keeps must be whole numbers from 0")
    pairs = tuple((int(first), int(second)) for first, second in loaded["pairs"])
    runs = tuple((int(first), int(second), int(third)) for first, second, third in loaded["runs"])
    mean, scale = _numbers(loaded["mean"]), _scales(loaded["scale"])
    groups = tuple(map(str, loaded["groups"]))
    result = Encoding(nodes, kinds, pairs, runs, kept, mean, scale, groups)
    same_numbers = len(numbers) == len(means) == len(scales)
    same_kept = len(kept) == len(mean) == len(scale) == len(groups)
    if not same_numbers or not same_kept:
        raise ValueError("the encoding's columns, means and scales are of different lengths")
    if any(not 0 <= op < len(nodes.ops) for counted in (*pairs, *runs) for op in counted):
        raise ValueError("the encoding counts a pair or a run of operations that it does not have")
    return result


def _numbers(loaded: Sequence[Any]) -> tuple[float, ...]:
    return tuple(checked(value, "a number of the encoding") for value in loaded)


def _scales(loaded: Sequence[Any]) -> tuple[float, ...]:
    scales = _numbers(loaded)
    if not all(scale > 0 for scale in scales):
        raise ValueError("the encoding must divide by scales above 0")
    return scales


def _all_counts(
    encoding: Encoding, flat: Flat, op_N: np.ndarray, attributes_NA: np.ndarray, sweeps: Sweeps
) -> dict[str, np.ndarray]:
    """All counts of the graphs before columns are chosen and standardised, by group."""
    general = graph_counts(
        flat, op_N, attributes_NA, encoding.nodes.whole, sweeps, encoding.num_ops
    )
    numbers = {text: number for number, text in enumerate(encoding.kinds)}
    kind_K = np.array([numbers.get(_kind(node), -1) for node in flat.kinds], dtype=np.int64)
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
    """(M, num_columns) how often each pair of a graph and a column occurs; column -1 is ignored.

    Args:
        graph, column: of equal length, one entry for each occurrence.
    """
    known = column >= 0
    return np.bincount(
        graph[known] * num_columns + column[known], minlength=num_graphs * num_columns
    ).reshape(num_graphs, num_columns)


def _kind(node: Node) -> str:
    """The node as text, without numbers of the whole network: with them each input is its own."""
    kept = tuple(part for part in node.attributes if not part[0].startswith(WHOLE))
    return str(node if len(kept) == len(node.attributes) else replace(node, attributes=kept))
