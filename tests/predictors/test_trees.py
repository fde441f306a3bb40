"""The walk over stored trees against scikit-learn's own."""

from dataclasses import replace

import numpy as np
import pytest

from predictors import Trees
from predictors.trees import forest_of, grow


@pytest.fixture(scope="module")
def grown():
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 5)).round(1).astype(np.float32)
    target = features[:, 0] * features[:, 1] + random.normal(size=60) * 0.1
    boosted = [grow(Trees(rounds=20), features[part::2], target[part::2], seed=part) for part in (0, 1)]
    return boosted, forest_of(boosted), random.normal(size=(3000, 5)).round(1).astype(np.float32)


def test_the_walk_equals_sklearn(grown):
    boosted, forest, features = grown
    expected = np.stack([member.predict(features) for member in boosted], axis=1)
    np.testing.assert_allclose(forest.predict(features), expected, rtol=1e-12, atol=1e-12)


def test_a_forest_that_would_not_end_is_refused(grown):
    _, forest, _ = grown
    forest.check(5)
    with pytest.raises(ValueError, match="features other than"):
        forest.check(2)
    with pytest.raises(ValueError, match="after their parent"):
        replace(forest, left_L=np.zeros_like(forest.left_L)).check(5)
    with pytest.raises(ValueError, match="lengths"):
        replace(forest, value_L=forest.value_L[1:]).check(5)
