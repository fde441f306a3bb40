"""An expert is grown: randomised trees learn the normal scores of one column of labels.

Shapes: N networks that an expert learns from, W numbers of a network, K experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from predictors.frame.targets import learn_normal_scores
from predictors.learners.forest import Forest, forest_of
from predictors.prior.experts import LEVELS, Expert, Prior
from predictors.prior.stored import rounded

# Each tree is grown on so many networks of its table, which bounds its size.
MOST_OF_A_TREE = 3000
TREES_OF_A_SCORE, TREES_OF_A_COST = 120, 16
# The fewest networks of a leaf. With few labels larger leaves would leave stumps.
LEAST_OF_A_LEAF, LEAST_IF_FEW, FEW = 5, 2, 200


def expert_of(table: str, column: str, label_N: np.ndarray, *, cost: bool) -> Expert:
    """Where the expert of this column learns.

    Args:
        table: its name.
        column: the column's name.
        label_N: its labels, higher is better; those of a cost are negated.
        cost: whether they are costs.
    """
    values = learn_normal_scores(label_N).to_score(np.array(LEVELS)) * (-1 if cost else 1)
    return Expert(table, column, cost, len(label_N), tuple(values.tolist()))


def settings_of_trees(labels: int, *, cost: bool) -> dict[str, Any]:
    """What `expert_forest` tells `ExtraTreesRegressor`, but for the seed.

    Args:
        labels: N.
        cost: whether they are costs.
    """
    return {
        "n_estimators": TREES_OF_A_COST if cost else TREES_OF_A_SCORE,
        "min_samples_leaf": LEAST_IF_FEW if labels < FEW else LEAST_OF_A_LEAF,
        "max_features": 0.7,
        "bootstrap": True,
        "max_samples": min(MOST_OF_A_TREE, labels),
    }


def expert_forest(whole_NW: np.ndarray, label_N: np.ndarray, *, cost: bool, seed: int) -> Forest:
    """Extremely randomised trees of the normal scores, one member."""
    from sklearn.ensemble import ExtraTreesRegressor

    target = learn_normal_scores(label_N)
    settings = settings_of_trees(len(label_N), cost=cost)
    trees = ExtraTreesRegressor(**settings, random_state=seed)
    trees.fit(whole_NW, target.to_normal(label_N))
    each = [tree.tree_ for tree in trees.estimators_]
    return rounded(forest_of([each], 1 / len(each), [0.0]))


def joined(forests: Sequence[Forest]) -> Forest:
    """One forest whose members are those of all."""
    return Forest(
        *(
            np.concatenate([getattr(forest, item.name) for forest in forests])
            for item in fields(Forest)
        )
    )


def enlarged(prior: Prior, expert: Expert, forest: Forest, whole_NW: np.ndarray) -> Prior:
    """The prior with one more expert, its last.

    Args:
        prior: K experts; there may be none.
        expert: where the new one learnt.
        forest: its trees.
        whole_NW: the numbers of the networks that it learnt from.
    """
    # As it is stored, so that a stored prior is the same.
    center_W = whole_NW.mean(0).astype(np.float32).astype(np.float64)
    return Prior(
        (*prior.experts, expert),
        joined([prior.forest, forest]),
        np.vstack([prior.center_KW, center_W]),
        prior.spread_W,
        prior.networks,
        np.column_stack([prior.share_GK, np.zeros(len(prior.networks))]),
        prior.fade,
    )
