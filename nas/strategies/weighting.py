"""Four published rules for the weights of examples when a generative model is fitted to the good.

Scores are ranks, from 0 for the worst to 1 for the best. The mean of the weights is 1.

Shapes: N examples.
"""

from __future__ import annotations

import numpy

# The standard deviation of a score that `dbas` and `cbas` assume.
NOISE = 0.05
# The ratio of an example's density under the first model to that under the present one is clipped
# to this value.
MOST_RATIO = 20.0


def rwr(score_N: numpy.ndarray, temperature: float) -> numpy.ndarray:
    """Reward-weighted regression (Peters and Schaal, 2007): exp(y / temperature)."""
    return _normalised(numpy.exp((score_N - score_N.max()) / temperature))


def dbas(score_N: numpy.ndarray, quantile: float) -> numpy.ndarray:
    """Design by adaptive sampling (Brookes and Listgarten, 2018).

    The weight is the probability that the score is above the quantile of all scores. The threshold
    needs no schedule, because the quantile rises as better examples come in.
    """
    from scipy.special import ndtr

    return _normalised(ndtr((score_N - numpy.quantile(score_N, quantile)) / NOISE))


def cem(score_N: numpy.ndarray, quantile: float) -> numpy.ndarray:
    """The cross-entropy method by probability of improvement (CEM-PI).

    Examples whose probability is at the quantile or above have equal weights, the others 0. The
    probability grows with the score, so these are the examples with the best scores.
    """
    return _normalised((score_N >= numpy.quantile(score_N, quantile)).astype(float))


def cbas(score_N: numpy.ndarray, quantile: float, log_ratio_N: numpy.ndarray) -> numpy.ndarray:
    """Conditioning by adaptive sampling (Brookes et al., 2019).

    The weight is that of `dbas`, multiplied by the density ratio of the first model to the one that
    proposed the examples. `log_ratio_N` is the logarithm of this ratio.
    """
    ratio_N = numpy.exp(numpy.minimum(log_ratio_N, numpy.log(MOST_RATIO)))
    return _normalised(dbas(score_N, quantile) * ratio_N)


def _normalised(weight_N: numpy.ndarray) -> numpy.ndarray:
    return weight_N / weight_N.mean()
