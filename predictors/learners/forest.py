"""Decision trees as flat arrays, which are evaluated all at once and saved without pickling.

Shapes: M graphs, C features, K members, T trees of all members, L nodes of all trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

# The number of graphs times trees that are evaluated at once. The current nodes of this many pairs
# fit into the processor's cache.
CELLS = 1 << 20


@dataclass(frozen=True)
class Forest:
    """The trees of K ensembles as flat arrays, one tree after the other.

    Attributes:
        feature_L: the feature that a node compares with its threshold.
        threshold_L: the threshold; the left child is next if feature <= threshold.
        left_L: the left child's number within its tree, 0 being the root; a leaf's is its own.
        right_L: the same for the right child.
        value_L: what a leaf adds to the prediction, the learning rate or the averaging included.
        nodes_T: the number of nodes of each tree.
        trees_K: the number of trees of each member.
        initial_K: each member's prediction before its trees are added.
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
        """(M, K) every member's prediction from the features (M, C)."""
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

    def only(self, members: Sequence[int]) -> Forest:
        """The members with these numbers, in this order."""
        end_K, tree_end_T = np.cumsum(self.trees_K), np.cumsum(self.nodes_T)
        trees = [
            tree
            for member in members
            for tree in range(int(end_K[member] - self.trees_K[member]), int(end_K[member]))
        ]
        places = [
            np.arange(tree_end_T[tree] - self.nodes_T[tree], tree_end_T[tree]) for tree in trees
        ]
        node_L = np.concatenate([np.zeros(0, dtype=np.int64), *places])
        return Forest(
            self.feature_L[node_L],
            self.threshold_L[node_L],
            self.left_L[node_L],
            self.right_L[node_L],
            self.value_L[node_L],
            self.nodes_T[trees],
            self.trees_K[list(members)],
            self.initial_K[list(members)],
        )

    def check(self, num_features: int) -> None:
        """Check that the arrays are trees, so that evaluation ends at leaves.

        Raises:
            ValueError: the arrays do not describe trees over this many features.
        """
        for field in fields(self):
            array = getattr(self, field.name)
            kinds = "f" if field.name in ("threshold_L", "value_L", "initial_K") else "iu"
            if array.ndim != 1 or array.dtype.kind not in kinds:
                raise ValueError(
                    f"the array {field.name} of the trees should be one row of "
                    f"{'numbers' if kinds == 'f' else 'whole numbers'}; it is of the type "
                    f"{array.dtype} and the shape {array.shape}"
                )
        count = len(self.feature_L)
        nodes = (self.threshold_L, self.left_L, self.right_L, self.value_L)
        if (
            any(len(array) != count for array in nodes)
            or not _are_parts(self.nodes_T, count)
            or not _are_parts(self.trees_K, len(self.nodes_T))
            or len(self.trees_K) != len(self.initial_K)
        ):
            raise ValueError("the arrays of the trees are of different lengths")
        if not ((self.feature_L >= 0) & (self.feature_L < num_features)).all():
            raise ValueError(f"the trees read features other than the {num_features} there are")
        place_L = np.arange(count) - np.repeat(np.cumsum(self.nodes_T) - self.nodes_T, self.nodes_T)
        leaf_L = (self.left_L == place_L) & (self.right_L == place_L)
        inner_L = (np.minimum(self.left_L, self.right_L) > place_L) & (
            np.maximum(self.left_L, self.right_L) < np.repeat(self.nodes_T, self.nodes_T)
        )
        if not (leaf_L | inner_L).all():
            raise ValueError("a tree's children must come after their parent")


def _are_parts(sizes: np.ndarray, whole: int) -> bool:
    """Whether parts of these sizes make up the whole; a part has at least one element."""
    # The largest is looked at as well, for a sum of huge numbers may wrap around.
    return bool(((sizes > 0) & (sizes <= whole)).all()) and int(sizes.sum()) == whole


def forest_of(trees: Sequence[Sequence[Any]], weight: float, initial: Sequence[float]) -> Forest:
    """The arrays of scikit-learn's trees, which are all that prediction needs.

    Args:
        trees: for each member the `tree_` attributes of its trees.
        weight: the factor on the values of the leaves.
        initial: each member's prediction before its trees are added.
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
