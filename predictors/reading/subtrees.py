"""Weisfeiler-Lehman subtrees (Shervashidze et al. 2011): how often each pattern of a node with its
ancestors, or its descendants, occurs in a graph.

Shapes: M graphs, N nodes, E edges, K distinct nodes, W subtrees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from predictors.reading.batch import MEASURED, WHOLE, Flat
from spaces.graph import Node

# Of each depth and direction, the commonest are counted.
MOST_SUBTREES = 200


@dataclass(frozen=True)
class Subtrees:
    """The subtrees that the training graphs have, and how their counts are standardised.

    Attributes:
        depth: steps from the root.
        label_W: the subtree's number, a hash of 64 bits; within a group ascending.
        group_W: 0 for single nodes; then one group for each direction and depth.
        mean_W, scale_W: over the training graphs; the scale is one for a whole group, so that
            common subtrees weigh more than rare ones.
    """

    depth: int
    label_W: np.ndarray
    group_W: np.ndarray
    mean_W: np.ndarray
    scale_W: np.ndarray

    @property
    def num_features(self) -> int:
        """W."""
        return len(self.label_W)

    def consecutive(self) -> np.ndarray:
        """(W,) the groups that occur, numbered without gaps."""
        return np.unique(self.group_W, return_inverse=True)[1]

    def count(self, flat: Flat) -> np.ndarray:
        """(M, W) the standardised counts, float32."""
        counts = []
        for group, label_N in enumerate(_labels(flat, self.depth)):
            known = self.label_W[self.group_W == group]
            if len(known):
                place_N = np.minimum(np.searchsorted(known, label_N), len(known) - 1)
                counted_N = known[place_N] == label_N
                cell = flat.graph_N[counted_N] * len(known) + place_N[counted_N]
                counts.append(
                    np.bincount(cell, minlength=flat.num_graphs * len(known)).reshape(
                        flat.num_graphs, len(known)
                    )
                )
        if not counts:
            return np.zeros((flat.num_graphs, 0), dtype=np.float32)
        return ((np.concatenate(counts, axis=1) - self.mean_W) / self.scale_W).astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it but the depth, by name, for safetensors."""
        return {
            "subtree.label": self.label_W,
            "subtree.group": self.group_W,
            "subtree.mean": self.mean_W,
            "subtree.scale": self.scale_W,
        }


def learn_subtrees(flat: Flat, depth: int) -> Subtrees:
    """The subtrees of the training graphs whose counts vary. Depth 0 counts none: single nodes
    alone are counted elsewhere.
    """
    labels, groups, means, scales = [], [], [], []
    for group, label_N in enumerate(_labels(flat, depth) if depth else ()):
        seen, place_N, times = np.unique(label_N, return_inverse=True, return_counts=True)
        common = np.sort(np.lexsort((seen, -times))[:MOST_SUBTREES])
        column = np.full(len(seen), -1)
        column[common] = np.arange(len(common))
        kept_N = column[place_N] >= 0
        cell = flat.graph_N[kept_N] * len(common) + column[place_N][kept_N]
        count_MW = np.bincount(cell, minlength=flat.num_graphs * len(common)).reshape(
            flat.num_graphs, len(common)
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


def subtrees_from(depth: int, arrays: Mapping[str, np.ndarray]) -> Subtrees:
    """The subtrees whose `arrays()` these are.

    Raises:
        KeyError, ValueError: they are not.
    """
    label_W, group_W, mean_W, scale_W = (
        arrays[f"subtree.{name}"] for name in ("label", "group", "mean", "scale")
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


def _labels(flat: Flat, depth: int) -> Iterator[np.ndarray]:
    """(N,) the nodes' labels: the nodes alone, then with ever more of their ancestors, then with
    ever more of their descendants.
    """
    label_N = np.array([_label(node) for node in flat.kinds], dtype=np.uint64)[flat.kind_N]
    yield label_N
    for source_E, target_E in ((flat.source_E, flat.target_E), (flat.target_E, flat.source_E)):
        deeper_N = label_N
        for _ in range(depth):
            # A sum of hashes is the same in any order of the neighbours; unsigned integers wrap
            # around.
            around_N = np.zeros(len(deeper_N), dtype=np.uint64)
            np.add.at(around_N, target_E, _mixed(deeper_N)[source_E])
            deeper_N = _mixed(deeper_N * np.uint64(3) + around_N)
            yield deeper_N


def _label(node: Node) -> int:
    """A hash of what the architecture says about the node: what was computed or measured would make
    every node one of its own.
    """
    declared = [
        (name, value) for name, value in node.attributes if not name.startswith((MEASURED, WHOLE))
    ]
    return int.from_bytes(
        blake2b(repr((node.op, declared)).encode(), digest_size=8).digest(), "little"
    )


def _mixed(number: np.ndarray) -> np.ndarray:
    """Bits well mixed: the finaliser of MurmurHash3 (Appleby, in the public domain)."""
    number = number ^ (number >> np.uint64(33))
    number = number * np.uint64(0xFF51AFD7ED558CCD)
    number = number ^ (number >> np.uint64(33))
    number = number * np.uint64(0xC4CEB9FE1A85EC53)
    return number ^ (number >> np.uint64(33))
