"""How much each example counts when a generative model of good ones is fitted: four published
rules. Shapes: N examples.

Scores are ranks, from 0, the worst, to 1, the best. Weights are 1 on average.
"""

from __future__ import annotations

import numpy

# What `dbas` and `cbas` take a score's deviation to be.
NOISE = 0.05
# An example's density under the first model, over that under the present one, counts up to here.
MOST_RATIO = 20.0


def rwr(score_N: numpy.ndarray, temperature: float) -> numpy.ndarray:
    """Reward-weighted regression (Peters and Schaal, 2007): exp(y / temperature)."""
    return _normalised(numpy.exp((score_N - score_N.max()) / temperature))


def dbas(score_N: numpy.ndarray, quantile: float) -> numpy.ndarray:
    """Design by adaptive sampling (Brookes and Listgarten, 2018): the probability that the score is
    above the quantile of all scores.

    The quantile of all scores runs by itself as better ones come in.
    """
    from scipy.special import ndtr

    return _normalised(ndtr((score_N - numpy.quantile(score_N, quantile)) / NOISE))


def cem(score_N: numpy.ndarray, quantile: float) -> numpy.ndarray:
    """The cross-entropy method by probability of improvement (CEM-PI): only those whose probability
    is at the quantile or above, all alike.

    The probability grows with the score, so these are the best by score.
    """
    return _normalised((score_N >= numpy.quantile(score_N, quantile)).astype(float))


def cbas(score_N: numpy.ndarray, quantile: float, log_ratio_N: numpy.ndarray) -> numpy.ndarray:
    """Conditioning by adaptive sampling (Brookes et al., 2019): `dbas` times the density ratio of
    the first model to the one that proposed the examples.
    """
    return _normalised(
        dbas(score_N, quantile) * numpy.exp(numpy.minimum(log_ratio_N, numpy.log(MOST_RATIO)))
    )


def _normalised(weight_N: numpy.ndarray) -> numpy.ndarray:
    return weight_N / weight_N.mean()
