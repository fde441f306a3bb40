"""The map between scores and normal scores, and its inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.frame.targets import learn_normal_scores, normal_scores_from

SCORES = st.lists(
    st.floats(-1e3, 1e3).map(lambda value: round(value, 3)), min_size=2, max_size=30
).map(np.array)


@given(SCORES)
def test_to_score_inverts_to_normal(scores):
    target = learn_normal_scores(scores)
    np.testing.assert_allclose(
        target.to_score(target.to_normal(scores)), scores, rtol=1e-9, atol=1e-6
    )


@given(SCORES)
def test_the_map_increases_everywhere(scores):
    target = learn_normal_scores(scores)
    assert (np.diff(target.to_score(np.linspace(-6, 6, 200))) > 0).all()


@given(SCORES)
def test_equal_scores_are_equal_and_the_order_is_kept(scores):
    normal = learn_normal_scores(scores).to_normal(scores)
    assert ((normal[:, None] < normal[None, :]) == (scores[:, None] < scores[None, :])).all()


def test_quantiles_of_many_scores_are_normal():
    normal = learn_normal_scores(np.random.default_rng(0).gamma(1.0, size=2000)).to_normal
    values = normal(np.random.default_rng(0).gamma(1.0, size=2000))
    assert abs(values.mean()) < 1e-9
    assert abs(values.std() - 1) < 0.01


def test_standard_deviations_are_larger_where_scores_are_far_apart():
    target = learn_normal_scores(np.r_[np.linspace(10, 80, 20), np.linspace(90, 92, 60)])
    prediction = target.prediction(
        np.array([-1.5, 0.5]), np.array([0.3, 0.3]), np.array([0.4, 0.4])
    )
    assert prediction.std[0] > 10 * prediction.std[1]
    np.testing.assert_allclose(prediction.epistemic / prediction.aleatoric, 4 / 3)


def test_arrays_give_the_map_and_a_falling_map_is_refused():
    target = learn_normal_scores(np.array([3.0, 1.0, 2.0]))
    again = normal_scores_from(target.arrays())
    np.testing.assert_array_equal(again.score_J, target.score_J)
    assert again.upper_slope == target.upper_slope
    with pytest.raises(ValueError, match="increasing"):
        normal_scores_from({**target.arrays(), "target.score": target.score_J[::-1]})
