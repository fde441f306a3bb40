"""The weights of a stack's learners, and the prediction of their mixture.

Shapes: N training graphs, M graphs, L learners, P pairs of training graphs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predictors.frame.learner import Belief, Learnt

# A learner with a smaller weight is dropped, so it costs nothing at prediction.
LEAST_WEIGHT = 0.02
# The factor on the whole epistemic standard deviation of a mixture: on the learners' own epistemic
# parts as well as on their disagreement. The calibrated scale comes from held-out predictions.
# There the learners are trained on fewer labels and disagree more than the final models do on new
# graphs, so with a factor of 1 the calibrated intervals on new graphs would be too narrow. The
# factor was chosen by coverage on Macro and Graph (docs/predictors.md).
EPISTEMIC_FACTOR = 0.5
# The weights are chosen on at most this many pairs of labels.
MOST_PAIRS = 50_000


def mixture(weights: Sequence[float], beliefs: Sequence[Belief]) -> Belief:
    """The prediction of a mixture of L predictions with these weights, which sum to 1.

    Its aleatoric variance is the weighted mean of the aleatoric variances. The epistemic variance
    of a mixture is the weighted mean of the epistemic variances plus the variance of the means; its
    root is multiplied by `EPISTEMIC_FACTOR`.
    """
    weight_L1 = np.array(weights)[:, None]
    mean_LM = np.stack([belief.mean for belief in beliefs])
    mean_M = (weight_L1 * mean_LM).sum(0)
    aleatoric_LM = np.stack([belief.aleatoric for belief in beliefs])
    aleatoric_M = np.sqrt((weight_L1 * aleatoric_LM**2).sum(0))
    epistemic_LM = np.stack([belief.epistemic for belief in beliefs])
    epistemic_M = np.sqrt((weight_L1 * (epistemic_LM**2 + (mean_LM - mean_M) ** 2)).sum(0))
    return Belief(mean_M, aleatoric_M, EPISTEMIC_FACTOR * epistemic_M)


def stack_weights(
    learnt: Sequence[Learnt],
    normal_N: np.ndarray,
    expected_L: np.ndarray,
    caution: float,
    seed: int,
) -> np.ndarray:
    """(L,) the weights of the learners, at least 0 and summing to 1; small ones are set to 0.

    They minimise `ranking_loss` of the held-out predictions, up to the approximation of its
    gradient, over pairs of labels that the seed draws if there are more than `MOST_PAIRS`. If all
    labels are equal, the weights are the expected ones.
    """
    from scipy.optimize import minimize

    mean_LN = np.stack([each.left_out.mean for each in learnt])
    first, second = _pairs(normal_N, seed)
    if len(first) == 0:
        return expected_L
    margin_LP = mean_LN[:, first] - mean_LN[:, second]
    excess_L = np.array([each.excess for each in learnt])
    pull = caution / len(normal_N)
    sums_to_one = {
        "type": "eq",
        "fun": lambda weight_L: weight_L.sum() - 1,
        "jac": lambda weight_L: np.ones_like(weight_L),
    }
    solution = minimize(
        lambda weight_L: ranking_loss(weight_L, margin_LP, excess_L, expected_L, pull),
        expected_L,
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * len(learnt),
        constraints=[sums_to_one],
        options={"ftol": 1e-10},
    )
    weight_L = np.where(solution.x < LEAST_WEIGHT, 0.0, solution.x)
    return weight_L / weight_L.sum()


def ranking_loss(
    weight_L: np.ndarray,
    margin_LP: np.ndarray,
    excess_L: np.ndarray,
    expected_L: np.ndarray,
    pull: float,
) -> tuple[float, np.ndarray]:
    r"""The loss that the weights minimise, and its approximate gradient (L,).

    With f_i the held-out means (L,) of label i, the margin of a pair of labels i better than j is
    m = w . (f_i - f_j), and its ranking loss is log(1 + exp(-m)) (RankNet, Burges et al. 2005). The
    weights minimise

    .. math::
        \mathrm{mean}_{ij} \log(1 + e^{-m_{ij}}) - c \sum_l w_l^2 v_l + \frac{b}{2} |w - w^0|^2,
        \qquad c = \mathrm{mean}_{ij} \, s(m_{ij}) (1 - s(m_{ij}))

    where v_l is the excess of learner l, w^0 its expected weight, b the pull and s the logistic
    function.

    The second term corrects for noise in the held-out means. The held-out mean of a label averages
    fewer members than the final model does, so it is the final mean plus noise of variance v_l.
    If this noise is independent between labels and between learners, a margin has noise of variance
    2 sum_l w_l^2 v_l. By a Taylor expansion to second order, it increases the expected loss of a
    pair by half this variance times the second derivative of the loss, s(m) (1 - s(m)). The mean
    increase over the pairs is subtracted. Otherwise a learner with noisy members would get too
    small a weight, although its final model averages much of the noise away.

    The gradient treats the curvature c as constant. It is exact if all excesses are 0; otherwise it
    lacks the derivative of c times the sum.

    Args:
        weight_L: the weights.
        margin_LP: f_i - f_j for each learner and pair.
        excess_L: the excess variance of each learner's held-out means (see `learner.Learnt`).
        expected_L: the weights without held-out labels.
        pull: how strongly the weights are drawn to the expected ones.
    """
    from scipy.special import expit

    wrong_P = expit(-(weight_L @ margin_LP))
    curvature, away_L = float((wrong_P * (1 - wrong_P)).mean()), weight_L - expected_L
    value = (
        -np.log1p(-wrong_P).mean()
        - curvature * weight_L**2 @ excess_L
        + 0.5 * pull * away_L @ away_L
    )
    gradient_L = (
        -(margin_LP @ wrong_P) / len(wrong_P) - 2 * curvature * weight_L * excess_L + pull * away_L
    )
    return float(value), gradient_L


def _pairs(normal_N: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the better and the worse label of all pairs that differ, or of a sample."""
    random = np.random.default_rng([seed, 3])
    count = len(normal_N)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        first, second = np.triu_indices(count, 1)
    else:
        first, second = random.integers(count, size=(2, MOST_PAIRS))
    better = normal_N[first] > normal_N[second]
    differs = normal_N[first] != normal_N[second]
    return np.where(better, first, second)[differs], np.where(better, second, first)[differs]
