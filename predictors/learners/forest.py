"""Many decision trees as flat arrays: walked all at once, saved without pickling.

Shapes: M graphs, C features, K members, T trees of all members, L nodes of all trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Graphs times trees that are walked at once: their places stay in the processor's cache.
CELLS = 1 << 20


@dataclass(frozen=True)
class Forest:
    """The trees of K boosted ensembles as flat arrays. A child is counted from its tree's root; a
    leaf is its own child.

    Attributes:
        feature_L, threshold_L, left_L, right_L: a node's question: left where feature <= threshold.
        value_L: what a leaf adds, the shrinkage included.
        nodes_T: the nodes of each tree.
        trees_K: the trees of each member.
        initial_K: what each member predicts before its first tree.
    """

    feature_L: np.ndarray
    threshold_L: np.ndarray
    left_L: np.ndarray
    right_L: np.ndarray
    value_L: np.ndarray
    nodes_T: np.ndarray
    trees_K: np.ndarray
    initial_K: np.ndarray

    def predict(self, features_MC: np.ndarray) -> np.ndarray:
        """(M, K) every member's prediction, all trees walked at once."""
        root_T = np.cumsum(self.nodes_T) - self.nodes_T
        offset_L = np.repeat(root_T, self.nodes_T)
        children_L2 = np.stack([self.right_L + offset_L, self.left_L + offset_L], axis=1).ravel()
        first_K = np.cumsum(self.trees_K) - self.trees_K
        results = [np.zeros((0, len(self.initial_K)))]
        size = max(1, CELLS // len(root_T))
        for start in range(0, len(features_MC), size):
            chunk_MC = features_MC[start : start + size]
            row_M1 = (np.arange(len(chunk_MC)) * chunk_MC.shape[1])[:, None]
            node_MT = np.broadcast_to(root_T, (len(chunk_MC), len(root_T)))
            while True:
                left_MT = (
                    chunk_MC.ravel()[row_M1 + self.feature_L[node_MT]] <= self.threshold_L[node_MT]
                )
                child_MT = children_L2[2 * node_MT + left_MT]
                if np.array_equal(child_MT, node_MT):
                    break
                node_MT = child_MT
            results.append(self.initial_K + np.add.reduceat(self.value_L[node_MT], first_K, axis=1))
        return np.concatenate(results)

    def check(self, num_features: int) -> None:
        """Refuses arrays that would not end in leaves.

        Raises:
            ValueError: they are not a forest over this many features.
        """
        count = len(self.feature_L)
        one_length = all(
            len(array) == count
            for array in (self.threshold_L, self.left_L, self.right_L, self.value_L)
        )
        if (
            not one_length
            or self.nodes_T.sum() != count
            or self.trees_K.sum() != len(self.nodes_T)
            or len(self.trees_K) != len(self.initial_K)
        ):
            raise ValueError("the arrays of the trees are of different lengths")
        if not (
            (self.nodes_T > 0).all()
            and (self.trees_K > 0).all()
            and ((self.feature_L >= 0) & (self.feature_L < num_features)).all()
        ):
            raise ValueError(
                f"the trees ask about features other than the {num_features} there are"
            )
        place_L = np.arange(count) - np.repeat(np.cumsum(self.nodes_T) - self.nodes_T, self.nodes_T)
        leaf_L = (self.left_L == place_L) & (self.right_L == place_L)
        inner_L = (np.minimum(self.left_L, self.right_L) > place_L) & (
            np.maximum(self.left_L, self.right_L) < np.repeat(self.nodes_T, self.nodes_T)
        )
        if not (leaf_L | inner_L).all():
            raise ValueError("a tree's children must come after their parent")


def forest_of(trees: Sequence[Sequence[Any]], weight: float, initial: Sequence[float]) -> Forest:
    """The arrays of scikit-learn's trees (their `tree_`), one list a member: all that predicting
    needs. A leaf adds its value times the weight.
    """
    each = [tree for member in trees for tree in member]

    def child(tree: Any, side: np.ndarray) -> np.ndarray:
        return np.where(side < 0, np.arange(tree.node_count), side)

    return Forest(
        feature_L=np.concatenate([np.maximum(tree.feature, 0) for tree in each]).astype(np.int64),
        threshold_L=np.concatenate([tree.threshold for tree in each]),
        left_L=np.concatenate([child(tree, tree.children_left) for tree in each]),
        right_L=np.concatenate([child(tree, tree.children_right) for tree in each]),
        value_L=np.concatenate([tree.value[:, 0, 0] * weight for tree in each]),
        nodes_T=np.array([tree.node_count for tree in each]),
        trees_K=np.array([len(member) for member in trees]),
        initial_K=np.array(initial, dtype=np.float64),
    )
