"""Counts of Weisfeiler-Lehman subtrees (Shervashidze et al. 2011) in graphs.

A subtree is a pattern of a node with its ancestors, or with its descendants, up to a depth.

Shapes: M graphs, N nodes, E edges, K distinct nodes, W subtrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from predictors.reading.batch import MEASURED, WHOLE, Flat
from spaces.graph import Node

# At most this many subtrees, the most frequent ones, are counted for each depth and direction.
MOST_SUBTREES = 200
# A saved predictor counts no deeper ones: each depth is a pass over all edges.
MOST_DEPTH = 1000


@dataclass(frozen=True)
class Subtrees:
    """The subtrees that are counted, and how their counts are standardised.

    Attributes:
        depth: the largest number of steps from a subtree's root.
        label_W: a hash of 64 bits that identifies each subtree; ascending within a group.
        group_W: 0 for single nodes; then one group for each direction and depth.
        mean_W: the mean of each count over the training graphs.
        scale_W: the factor by which each count is divided. It is the same in a whole group, so that
            frequent subtrees weigh more than rare ones.
    """

    depth: int
    label_W: np.ndarray
    group_W: np.ndarray
    mean_W: np.ndarray
    scale_W: np.ndarray

    @property
    def num_features(self) -> int:
        """W: the number of subtrees that are counted."""
        return len(self.label_W)

    def consecutive(self) -> np.ndarray:
        """(W,) the group of each subtree, with the groups that occur numbered without gaps."""
        return np.unique(self.group_W, return_inverse=True)[1]

    def count(self, flat: Flat) -> np.ndarray:
        """(M, W) the standardised counts, float32."""
        counts = []
        for group, label_N in enumerate(_labels(flat, self.depth)):
            known = self.label_W[self.group_W == group]
            if len(known):
                place_N = np.minimum(np.searchsorted(known, label_N), len(known) - 1)
                counted_N = known[place_N] == label_N
                counts.append(
                    _count(flat.graph_N[counted_N], place_N[counted_N], flat.num_graphs, len(known))
                )
        if not counts:
            return np.zeros((flat.num_graphs, 0), dtype=np.float32)
        return ((np.concatenate(counts, axis=1) - self.mean_W) / self.scale_W).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All attributes but the depth as arrays by name, for safetensors."""
        return {
            "subtree.label": self.label_W,
            "subtree.group": self.group_W,
            "subtree.mean": self.mean_W,
            "subtree.scale": self.scale_W,
        }


def learn_subtrees(flat: Flat, depth: int) -> Subtrees:
    """The subtrees whose counts vary over the training graphs.

    With depth 0 there are none, since single nodes are counted by `Encoding` too.
    """
    labels, groups, means, scales = [], [], [], []
    for group, label_N in enumerate(_labels(flat, depth) if depth else ()):
        seen, place_N, times = np.unique(label_N, return_inverse=True, return_counts=True)
        common = np.sort(np.lexsort((seen, -times))[:MOST_SUBTREES])
        column = np.full(len(seen), -1)
        column[common] = np.arange(len(common))
        kept_N = column[place_N] >= 0
        count_MW = _count(
            flat.graph_N[kept_N], column[place_N][kept_N], flat.num_graphs, len(common)
        )
        varies = count_MW.std(axis=0) > 1e-9
        if varies.any():
            labels.append(seen[common][varies])
            groups.append(np.full(int(varies.sum()), group))
            means.append(count_MW.mean(axis=0)[varies])
            scales.append(np.full(int(varies.sum()), np.sqrt(count_MW.var(axis=0)[varies].mean())))
    if not labels:
        return Subtrees(
            depth, np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
        )
    return Subtrees(depth, *(np.concatenate(parts) for parts in (labels, groups, means, scales)))


def subtrees_from(depth: Any, arrays: Mapping[str, np.ndarray]) -> Subtrees:
    """The subtrees that `Subtrees.arrays` turned into these arrays.

    Raises:
        KeyError, ValueError: they are not such arrays.
    """
    label_W, group_W, mean_W, scale_W = (
        arrays[f"subtree.{name}"] for name in ("label", "group", "mean", "scale")
    )
    if type(depth) is not int or not 0 <= depth <= MOST_DEPTH:
        raise ValueError(
            f"the depth of subtrees should be a whole number from 0 to {MOST_DEPTH}; it is {depth}"
        )
    if [array.dtype.kind for array in (label_W, group_W, mean_W, scale_W)] != ["u", "i", "f", "f"]:
        raise ValueError("the counted subtrees are of other types than were saved")
    if (
        not label_W.shape == group_W.shape == mean_W.shape == scale_W.shape
        or label_W.ndim != 1
        or not (scale_W > 0).all()
    ):
        raise ValueError("the counted subtrees, their means and scales are of different lengths")
    return Subtrees(depth, label_W, group_W, mean_W, scale_W)


def _count(graph: np.ndarray, column: np.ndarray, num_graphs: int, num_columns: int) -> np.ndarray:
    """(num_graphs, num_columns) how often each pair of a graph and a column occurs."""
    cell = graph * num_columns + column
    return np.bincount(cell, minlength=num_graphs * num_columns).reshape(num_graphs, num_columns)


def _labels(flat: Flat, depth: int) -> Iterator[np.ndarray]:
    """For each group of subtrees (N,) the label of the subtree at each node.

    The first group is the nodes alone. Then follow their ancestors up to 1, 2, ... `depth` steps
    away, then their descendants.
    """
    label_N = np.array([_label(node) for node in flat.kinds], dtype=np.uint64)[flat.kind_N]
    yield label_N
    for source_E, target_E in ((flat.source_E, flat.target_E), (flat.target_E, flat.source_E)):
        deeper_N = label_N
        for _ in range(depth):
            # A sum of hashes does not depend on the order of the neighbours. Unsigned integers wrap
            # around when they overflow.
            around_N = np.zeros(len(deeper_N), dtype=np.uint64)
            np.add.at(around_N, target_E, _mixed(deeper_N)[source_E])
            deeper_N = _mixed(deeper_N * np.uint64(3) + around_N)
            yield deeper_N


def _label(node: Node) -> int:
    """A hash of the node's operation and of the attributes that the architecture declares.

    Attributes that are computed or measured are ignored, since they would make nearly every node
    distinct.
    """
    declared = [
        (name, value) for name, value in node.attributes if not name.startswith((MEASURED, WHOLE))
    ]
    return int.from_bytes(
        blake2b(repr((node.op, declared)).encode(), digest_size=8).digest(), "little"
    )


def _mixed(number: np.ndarray) -> np.ndarray:
    """The numbers after the finaliser of MurmurHash3 (Appleby, public domain), which mixes bits."""
    number = number ^ (number >> np.uint64(33))
    number = number * np.uint64(0xFF51AFD7ED558CCD)
    number = number ^ (number >> np.uint64(33))
    number = number * np.uint64(0xC4CEB9FE1A85EC53)
    return number ^ (number >> np.uint64(33))
