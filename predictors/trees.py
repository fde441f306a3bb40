"""Boosted trees on counted features: several boosted ensembles, each without a fold of the labels.

Shapes: N training graphs, M graphs, C features, K members, T trees of all members, L nodes of all trees, J distinct scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from predictors.calibration import fit_scale, leave_out
from predictors.features import Encoding, encoding_from_json, learn_encoding
from predictors.predictor import Prediction, check_graphs, check_training
from predictors.store import Stored, write
from predictors.targets import NormalScores, learn_normal_scores, normal_scores_from
from predictors.terms import readable
from spaces.graph import Graph

CHUNK = 2048
# With fewer training graphs every tree sees them all.
LEAST_FOR_SAMPLING = 20


@dataclass(frozen=True)
class Trees:
    """Gradient boosting (Friedman 2002, stochastic) of normal scores on operation, path, degree and attribute counts.

    Attributes:
        members: boosted ensembles; each leaves out its own fold.
        rounds: trees of a member.
        depth: of a tree.
        learning_rate: shrinkage of each tree.
        share: of the training graphs that a tree sees.
        features: share of the features that a split sees.
    """

    members: int = 5
    rounds: int = 120
    depth: int = 4
    learning_rate: float = 0.08
    share: float = 0.7
    features: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (("members", 2), ("rounds", 1), ("depth", 1)):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise ValueError(f"the predictor trees needs a whole number of {name}, at least {least}; got {getattr(self, name)!r}")
        for name in ("learning_rate", "share", "features"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"the predictor trees needs {name} above 0 and at most 1; got {getattr(self, name)!r}")

    def fit(self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0) -> FittedTrees:
        """Grow the members' trees.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        score_N = check_training(graphs, scores)
        read = [readable(graph) for graph in graphs]
        encoding, target = learn_encoding(read), learn_normal_scores(score_N)
        features_NC, normal_N = _features(encoding, read), target.to_normal(score_N)
        left_out_NK = leave_out(read, self.members, seed)
        seeds = np.random.SeedSequence(seed).generate_state(self.members).tolist()
        boosted = [grow(self, features_NC[~out_N], normal_N[~out_N], number) for number, out_N in zip(seeds, left_out_NK.T, strict=True)]
        forest = forest_of(boosted)
        aleatoric, scale = _spread(forest.predict(features_NC), normal_N, left_out_NK)
        return FittedTrees(self, encoding, target, forest, aleatoric, scale)


@dataclass(frozen=True)
class Forest:
    """The trees of K boosted ensembles as flat arrays. A child is counted from its tree's root; a leaf is its own child.

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
        for start in range(0, len(features_MC), CHUNK):
            chunk_MC = features_MC[start : start + CHUNK]
            row_M1 = (np.arange(len(chunk_MC)) * chunk_MC.shape[1])[:, None]
            node_MT = np.broadcast_to(root_T, (len(chunk_MC), len(root_T)))
            while True:
                left_MT = chunk_MC.ravel()[row_M1 + self.feature_L[node_MT]] <= self.threshold_L[node_MT]
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
        one_length = all(len(array) == count for array in (self.threshold_L, self.left_L, self.right_L, self.value_L))
        if not one_length or self.nodes_T.sum() != count or self.trees_K.sum() != len(self.nodes_T) or len(self.trees_K) != len(self.initial_K):
            raise ValueError("the arrays of the trees are of different lengths")
        if not ((self.nodes_T > 0).all() and (self.trees_K > 0).all() and ((self.feature_L >= 0) & (self.feature_L < num_features)).all()):
            raise ValueError(f"the trees ask about features other than the {num_features} there are")
        place_L = np.arange(count) - np.repeat(np.cumsum(self.nodes_T) - self.nodes_T, self.nodes_T)
        leaf_L = (self.left_L == place_L) & (self.right_L == place_L)
        inner_L = (np.minimum(self.left_L, self.right_L) > place_L) & (np.maximum(self.left_L, self.right_L) < np.repeat(self.nodes_T, self.nodes_T))
        if not (leaf_L | inner_L).all():
            raise ValueError("a tree's children must come after their parent")


def grow(settings: Trees, features_NC: np.ndarray, normal_N: np.ndarray, seed: int) -> Any:
    """One member: scikit-learn's boosted trees."""
    from sklearn.ensemble import GradientBoostingRegressor

    boosted = GradientBoostingRegressor(
        n_estimators=settings.rounds,
        learning_rate=settings.learning_rate,
        max_depth=settings.depth,
        subsample=settings.share if len(normal_N) >= LEAST_FOR_SAMPLING else 1.0,
        max_features=settings.features,
        min_samples_leaf=min(3, max(1, len(normal_N) // 8)),
        random_state=seed,
    )
    return boosted.fit(features_NC, normal_N)


def forest_of(boosted: Sequence[Any]) -> Forest:
    """The arrays of scikit-learn's boosted ensembles, all of it that predicting needs."""
    trees = [(member.estimators_[number, 0].tree_, member.learning_rate) for member in boosted for number in range(len(member.estimators_))]

    def child(tree: Any, side: np.ndarray) -> np.ndarray:
        return np.where(side < 0, np.arange(tree.node_count), side)

    return Forest(
        feature_L=np.concatenate([np.maximum(tree.feature, 0) for tree, _ in trees]).astype(np.int64),
        threshold_L=np.concatenate([tree.threshold for tree, _ in trees]),
        left_L=np.concatenate([child(tree, tree.children_left) for tree, _ in trees]),
        right_L=np.concatenate([child(tree, tree.children_right) for tree, _ in trees]),
        value_L=np.concatenate([tree.value[:, 0, 0] * rate for tree, rate in trees]),
        nodes_T=np.array([tree.node_count for tree, _ in trees]),
        trees_K=np.array([len(member.estimators_) for member in boosted]),
        initial_K=np.array([float(member.init_.constant_[0, 0]) for member in boosted]),
    )


@dataclass(frozen=True)
class FittedTrees:
    """The grown trees. `aleatoric` is one number, in normal scores: trees do not say where they err more."""

    settings: Trees
    encoding: Encoding
    target: NormalScores
    forest: Forest
    aleatoric: float
    scale: float

    def predict(self, graphs: Sequence[Graph]) -> Prediction:
        """Mean and standard deviations of M graphs in score units; the members' disagreement is the epistemic part.

        Raises:
            ValueError: a value is no graph.
        """
        check_graphs(graphs)
        if len(graphs) == 0:
            return Prediction(np.zeros(0), np.zeros(0), np.zeros(0))
        mean_MK = self.forest.predict(_features(self.encoding, [readable(graph) for graph in graphs]))
        aleatoric_M = np.full(len(graphs), self.aleatoric * self.scale)
        return self.target.prediction(mean_MK.mean(1), aleatoric_M, mean_MK.std(1, ddof=1) * self.scale)

    def save(self, directory: str | Path) -> None:
        """Write the predictor so that `load_predictor` reads it."""
        arrays = {f"forest.{field.name}": getattr(self.forest, field.name) for field in fields(Forest)}
        state = {"encoding": asdict(self.encoding), "aleatoric": self.aleatoric, "scale": self.scale}
        write(directory, Stored("trees", asdict(self.settings), state, arrays | self.target.arrays()))


def restore_trees(stored: Stored) -> FittedTrees:
    """The predictor that was saved.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    settings = Trees(**{field.name: stored.settings[field.name] for field in fields(Trees)})
    encoding = encoding_from_json(stored.state["encoding"])
    forest = Forest(*(stored.arrays[f"forest.{field.name}"] for field in fields(Forest)))
    forest.check(encoding.num_counts + 1)
    aleatoric, scale = float(stored.state["aleatoric"]), float(stored.state["scale"])
    return FittedTrees(settings, encoding, normal_scores_from(stored.arrays), forest, aleatoric, scale)


def _features(encoding: Encoding, read: Sequence[Graph]) -> np.ndarray:
    """(M, C + 1) the counted features and a constant, so that there is a feature even where nothing varies."""
    counts_MC = encoding.encode(read).counts_MC
    return np.concatenate([counts_MC, np.ones((len(counts_MC), 1), dtype=np.float32)], axis=1)


def _spread(mean_NK: np.ndarray, normal_N: np.ndarray, left_out_NK: np.ndarray) -> tuple[float, float]:
    """The aleatoric standard deviation and the factor on both, from the left-out labels; without folds, that of the scores themselves."""
    if not left_out_NK.any():
        return 1.0, 1.0
    residual_N, epistemic_N = normal_N - mean_NK[left_out_NK], mean_NK.std(1, ddof=1)
    aleatoric = float(np.sqrt(max(np.mean(residual_N**2) - np.mean(epistemic_N**2), 1e-4)))
    return aleatoric, fit_scale(residual_N, np.hypot(aleatoric, epistemic_N))
