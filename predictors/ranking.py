"""How well predicted scores rank the true ones: Kendall's tau and other measures.

All functions take predicted and true scores, (N,) each, where higher is better, and return one
number.
"""

from __future__ import annotations

import math

import numpy as np


def kendall_tau(predicted: np.ndarray, true: np.ndarray) -> float:
    """Kendall's tau-b, which corrects for ties; 0 if either side is constant.

        >>> kendall_tau(np.array([0.1, 0.3, 0.2]), np.array([60.0, 80.0, 70.0]))
        1.0

    Raises:
        ValueError: the scores are not finite, their shapes differ, or there are fewer than two.
    """
    from scipy.stats import kendalltau

    predicted, true = _checked(predicted, true)
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0
    return float(kendalltau(predicted, true)[0])  # type: ignore[arg-type]


def spearman(predicted: np.ndarray, true: np.ndarray) -> float:
    """Spearman's correlation of ranks, where ties share their mean rank; 0 if a side is constant.

    Raises:
        ValueError: see `kendall_tau`.
    """
    from scipy.stats import rankdata

    predicted, true = _checked(predicted, true)
    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(predicted), rankdata(true))[0, 1])


def precision_at(predicted: np.ndarray, true: np.ndarray, share: float) -> float:
    """The share of the best by prediction that are among the best by true score.

    Both sets have ceil(share * N) members. If equal predictions compete for the last places, each
    counts by the probability that a random choice takes it. Every score that equals the worst true
    score of the best set counts as one of the best.

    Raises:
        ValueError: the share is not in (0, 1], or see `kendall_tau`.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share must be above 0 and at most 1; got {share}")
    predicted, true = _checked(predicted, true)
    # In binary 0.07 * 100 is slightly above 7; without rounding, `ceil` would give 8.
    count = max(1, math.ceil(round(share * len(true), 9)))
    good = true >= np.sort(true)[-count]
    return float((_chance_of_choice(predicted, count) * good).sum() / count)


def regret_of_top(predicted: np.ndarray, true: np.ndarray, count: int) -> float:
    """The best true score minus the best true score among the `count` best predictions.

    It is in score units and at least 0. If equal predictions compete for the last places, those
    with the worse true scores are taken, so this is the largest regret that the ties allow.

    Raises:
        ValueError: the count is not in 1 to N, or see `kendall_tau`.
    """
    predicted, true = _checked(predicted, true)
    if not 1 <= count <= len(true):
        raise ValueError(f"the count must be 1 to {len(true)}, the number of scores; got {count}")
    order = np.lexsort((true, -predicted))
    return float(true.max() - true[order[:count]].max())


def _chance_of_choice(predicted: np.ndarray, count: int) -> np.ndarray:
    """(N,) the probability of being among the `count` best if ties are broken at random."""
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
