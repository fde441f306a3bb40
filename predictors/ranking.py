"""How well a prediction ranks. All functions take predicted and true scores, (N,) each, higher is
better, and give one number.
"""

from __future__ import annotations

import math

import numpy as np


def kendall_tau(predicted: np.ndarray, true: np.ndarray) -> float:
    """Kendall's tau-b, which discounts ties; 0 where either side is constant, since nothing is
    ranked then.
    """
    from scipy.stats import kendalltau

    predicted, true = _checked(predicted, true)
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0
    return float(kendalltau(predicted, true)[0])  # type: ignore[arg-type]


def spearman(predicted: np.ndarray, true: np.ndarray) -> float:
    """The correlation of ranks, ties at their mean rank; 0 where either side is constant."""
    from scipy.stats import rankdata

    predicted, true = _checked(predicted, true)
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(predicted), rankdata(true))[0, 1])


def precision_at(predicted: np.ndarray, true: np.ndarray, share: float) -> float:
    """The share of the predicted best that is among the true best, both `share` of all, rounded up.

    Where equal predictions straddle the border each counts by the chance that it is taken; what is
    as good as the worst true best is among the best.

    Raises:
        ValueError: the share is not in (0, 1], or see `kendall_tau`.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share must be above 0 and at most 1; got {share}")
    predicted, true = _checked(predicted, true)
    # 0.07 * 100 is a little more than 7 in binary: that is no eighth.
    count = max(1, math.ceil(round(share * len(true), 9)))
    good = true >= np.sort(true)[-count]
    return float((_chance_of_choice(predicted, count) * good).sum() / count)


def regret_of_top(predicted: np.ndarray, true: np.ndarray, count: int) -> float:
    """The best true score less the best true score among the `count` of the best predictions, in
    score units, 0 or more.

    Among equal predictions at the border the worse are taken: the regret is what is certain.

    Raises:
        ValueError: count is not in 1 to N, or see `kendall_tau`.
    """
    predicted, true = _checked(predicted, true)
    if not 1 <= count <= len(true):
        raise ValueError(f"the count must be 1 to {len(true)}, the number of scores; got {count}")
    order = np.lexsort((true, -predicted))
    return float(true.max() - true[order[:count]].max())


def _chance_of_choice(predicted: np.ndarray, count: int) -> np.ndarray:
    border = np.sort(predicted)[-count]
    above, equal = predicted > border, predicted == border
    return above + equal * ((count - above.sum()) / equal.sum())


def _checked(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predicted, true = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            "predicted and true scores must be two lists of one length; got the shapes "
            f"{predicted.shape} and {true.shape}"
        )
    if len(true) < 2:
        raise ValueError(f"a ranking needs at least 2 scores; got {len(true)}")
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise ValueError("predicted and true scores must be finite; leave failed evaluations out")
    return predicted, true
