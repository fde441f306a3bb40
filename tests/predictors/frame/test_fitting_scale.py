"""The factor on standard deviations is fitted on scores that the map has not seen."""

from __future__ import annotations

import numpy as np

from predictors.frame.fitting import _scale
from predictors.frame.learner import Belief
from predictors.frame.targets import learn_normal_scores


def test_a_held_out_score_may_be_beyond_all_others() -> None:
    score_N = np.r_[np.linspace(-100, -70, 4), np.linspace(0, 1, 16)]
    normal_N = learn_normal_scores(score_N).to_normal(score_N)
    small_N = np.full(20, 1e-3)
    exact = Belief(normal_N, small_N, small_N)
    # The bad ones are held out together, so the other folds do not show how bad a score can be.
    together_N = np.r_[np.zeros(4, int), 1 + np.arange(16) % 4]
    assert _scale(exact, together_N, score_N) > 50
    # Held out apart, each fold's map knows the others.
    apart_N = np.arange(20) % 5
    assert _scale(exact, apart_N, score_N) < _scale(exact, together_N, score_N)
