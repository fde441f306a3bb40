"""Predictions of the stored trees compared with scikit-learn's own."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

from predictors.learners.forest import forest_of


@pytest.fixture(scope="module")
def grown():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 5)).round(1).astype(np.float32)
    target = features[:, 0] * features[:, 1] + random.normal(size=60) * 0.1
    members = [
        GradientBoostingRegressor(n_estimators=20, random_state=part).fit(
            features[part::2], target[part::2]
        )
        for part in (0, 1)
    ]
    forest = forest_of(
        [[tree.tree_ for tree in member.estimators_[:, 0]] for member in members],
        0.1,
        [member.init_.constant_[0, 0] for member in members],
    )
    return members, forest, random.normal(size=(3000, 5)).round(1).astype(np.float32)


def test_predictions_equal_those_of_boosting_in_sklearn(grown):
    boosted, forest, features = grown
    expected = np.stack([member.predict(features) for member in boosted], axis=1)
    np.testing.assert_allclose(forest.predict(features), expected, rtol=1e-12, atol=1e-12)


def test_predictions_equal_those_of_a_forest_in_sklearn():
    random = np.random.default_rng(1)
    features, target = random.normal(size=(80, 4)).astype(np.float32), random.normal(size=80)
    grown = ExtraTreesRegressor(n_estimators=10, min_samples_leaf=2, random_state=0).fit(
        features, target
    )
    forest = forest_of([[tree.tree_ for tree in grown.estimators_]], 0.1, [0.0])
    np.testing.assert_allclose(forest.predict(features)[:, 0], grown.predict(features), rtol=1e-12)


def test_arrays_that_are_not_trees_are_refused(grown):
    _, forest, _ = grown
    forest.check(5)
    with pytest.raises(ValueError, match="features other than"):
        forest.check(2)
    with pytest.raises(ValueError, match="after their parent"):
        replace(forest, left_L=np.zeros_like(forest.left_L)).check(5)
    with pytest.raises(ValueError, match="lengths"):
        replace(forest, value_L=forest.value_L[1:]).check(5)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nodes_T", lambda array: array * 2**42),
        # The sum of these wraps around to the right one.
        ("nodes_T", lambda array: array + 2**63 // len(array) * 2),
        ("nodes_T", lambda array: array[:, None]),
        ("trees_K", lambda array: np.array([-1, array.sum() + 1])),
        ("feature_L", lambda array: array[:, None]),
        ("feature_L", lambda array: array.astype(np.float32)),
        ("right_L", lambda array: array[0]),
        ("value_L", lambda array: array.astype(np.complex64)),
    ],
)
def test_arrays_of_another_kind_are_refused_before_they_are_used(grown, name, change):
    _, forest, _ = grown
    with pytest.raises(ValueError, match=r"the arrays? .*of the trees"):
        replace(forest, **{name: change(getattr(forest, name))}).check(5)
