"""The predictors `trees` and `extra_trees`: ensembles of decision trees on counted features.

Shapes: N training graphs, M graphs, C features, K members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from predictors.frame.fitted import FittedModel
from predictors.frame.fitting import fit
from predictors.frame.learner import Belief, Learnt, Training, ignorance, left_out_by_members
from predictors.frame.untrusted import number
from predictors.learners.forest import Forest, forest_of
from predictors.reading.batch import Encoded
from predictors.reading.features import Encoding
from spaces.graph import Graph

# With fewer training graphs than this, every tree is grown on all of them.
LEAST_FOR_SAMPLING = 20


@dataclass(frozen=True)
class Trees:
    """Stochastic gradient boosting (Friedman 2002) of normal scores on counted features.

    The features are the counts of `predictors.reading.counts`.

    Attributes:
        members: the number of boosted ensembles; each holds out one fold.
        rounds: the number of trees of a member.
        depth: the largest depth of a tree.
        learning_rate: the shrinkage of each tree.
        share: the share of the training graphs that each tree is grown on.
        features: the share of the features that are considered for a split.
    """

    name: ClassVar[str] = "trees"

    members: int = 5
    rounds: int = 120
    depth: int = 4
    learning_rate: float = 0.08
    share: float = 0.7
    features: float = 0.3

    def __post_init__(self) -> None:
        _check(
            self, {"members": 2, "rounds": 1, "depth": 1}, ("learning_rate", "share", "features")
        )

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The trees grown on these graphs and scores.

        The seed draws the folds and all random choices of the trees.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        return _learn(training, self.members, seed, self.grow)

    def grow(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], seeds: Sequence[int]) -> Forest:
        """Boosted trees of scikit-learn, one member for each part of the training graphs.

        A part is a pair of features (N, C) and normal scores (N,).
        """
        from sklearn.ensemble import GradientBoostingRegressor

        members = [
            GradientBoostingRegressor(
                n_estimators=self.rounds,
                learning_rate=self.learning_rate,
                max_depth=self.depth,
                subsample=self.share if len(normal_N) >= LEAST_FOR_SAMPLING else 1.0,
                max_features=self.features,
                min_samples_leaf=min(3, max(1, len(normal_N) // 8)),
                random_state=seed,
            ).fit(feature_NC, normal_N)
            for (feature_NC, normal_N), seed in zip(parts, seeds, strict=True)
        ]
        trees = [[tree.tree_ for tree in member.estimators_[:, 0]] for member in members]
        return forest_of(
            trees, self.learning_rate, [float(normal_N.mean()) for _, normal_N in parts]
        )


@dataclass(frozen=True)
class ExtraTrees:
    """Extremely randomised trees (Geurts et al. 2006) of normal scores on counted features.

    They split at random thresholds and are averaged, not boosted. The features are those of
    `Trees`.

    Attributes:
        members: the number of forests; each holds out one fold.
        trees: the number of trees of a member.
        features: the share of the features that are considered for a split.
        least: the smallest number of training graphs in a leaf.
    """

    name: ClassVar[str] = "extra_trees"

    members: int = 5
    trees: int = 60
    features: float = 0.5
    least: int = 2

    def __post_init__(self) -> None:
        _check(self, {"members": 2, "trees": 1, "least": 1}, ("features",))

    def fit(
        self, graphs: Sequence[Graph], scores: Sequence[float] | np.ndarray, *, seed: int = 0
    ) -> FittedModel:
        """The trees grown on these graphs and scores.

        The seed draws the folds and all random choices of the trees.

        Raises:
            ValueError: see `predictor.check_training`.
        """
        return fit(self, graphs, scores, seed)

    def learn(self, training: Training, seed: int) -> Learnt:
        """See `learner.Learner`."""
        return _learn(training, self.members, seed, self.grow)

    def grow(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], seeds: Sequence[int]) -> Forest:
        """Forests of scikit-learn, one member for each part of the training graphs.

        A part is a pair of features (N, C) and normal scores (N,).
        """
        from sklearn.ensemble import ExtraTreesRegressor

        members = [
            ExtraTreesRegressor(
                n_estimators=self.trees,
                max_features=self.features,
                min_samples_leaf=self.least,
                random_state=seed,
            ).fit(feature_NC, normal_N)
            for (feature_NC, normal_N), seed in zip(parts, seeds, strict=True)
        ]
        return forest_of(
            [[tree.tree_ for tree in member.estimators_] for member in members],
            1 / self.trees,
            [0.0] * len(members),
        )


@dataclass(frozen=True)
class GrownTrees:
    """The grown trees of all members.

    Attributes:
        forest: the trees.
        aleatoric: the aleatoric standard deviation, in normal scores; it is one number for all
            graphs, since trees do not predict where their errors are larger.
    """

    forest: Forest
    aleatoric: float

    def predict(self, encoded: Encoded) -> Belief:
        """See `learner.Model`; the members' disagreement is the epistemic part."""
        mean_MK = self.forest.predict(_features(encoded))
        return Belief(
            mean_MK.mean(1), np.full(len(encoded), self.aleatoric), mean_MK.std(1, ddof=1)
        )

    def state(self) -> dict[str, Any]:
        """See `learner.Model`."""
        return {"aleatoric": self.aleatoric}

    def arrays(self) -> dict[str, np.ndarray]:
        """See `learner.Model`."""
        return {field.name: getattr(self.forest, field.name) for field in fields(Forest)}


def restore_trees(
    settings: Trees | ExtraTrees,
    encoding: Encoding,
    state: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> GrownTrees:
    """The saved model.

    Raises:
        KeyError, TypeError, ValueError: the parts do not fit together.
    """
    forest = Forest(*(arrays[field.name] for field in fields(Forest)))
    forest.check(encoding.num_counts + 1)
    return GrownTrees(forest, number(state, "aleatoric", least=0))


def _learn(training: Training, members: int, seed: int, grow: Any) -> Learnt:
    """The trees that `grow` makes, with held-out predictions if there are folds."""
    feature_NC, normal_N = _features(training.encoded), training.normal_N
    left_out_NK = training.left_out(members)
    seeds = np.random.SeedSequence(seed).generate_state(members).tolist()
    forest = grow([(feature_NC[~out_N], normal_N[~out_N]) for out_N in left_out_NK.T], seeds)
    if not training.has_folds:
        return Learnt(GrownTrees(forest, 1.0), ignorance(len(normal_N)))
    left_out, excess = left_out_by_members(
        forest.predict(feature_NC), left_out_NK, normal_N, members
    )
    return Learnt(GrownTrees(forest, float(left_out.aleatoric[0])), left_out, excess)


def _features(encoded: Encoded) -> np.ndarray:
    """(M, C + 1) the counted features, and a constant, so that there is always a feature."""
    return np.concatenate([encoded.counts_MC, np.ones((len(encoded), 1), dtype=np.float32)], axis=1)


def _check(settings: Trees | ExtraTrees, least: Mapping[str, int], shares: Sequence[str]) -> None:
    """Check that settings are whole numbers of at least `least`, or shares above 0 and at most 1.

    Raises:
        ValueError: names the first setting that is not.
    """
    for name, smallest in least.items():
        if not isinstance(getattr(settings, name), int) or getattr(settings, name) < smallest:
            raise ValueError(
                f"the predictor {settings.name} needs a whole number of {name}, at least "
                f"{smallest}; got {getattr(settings, name)!r}"
            )
    for name in shares:
        if not 0 < getattr(settings, name) <= 1:
            raise ValueError(
                f"the predictor {settings.name} needs {name} above 0 and at most 1; got "
                f"{getattr(settings, name)!r}"
            )
