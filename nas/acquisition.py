"""How good it would be to evaluate an architecture, from what the surrogate says of it. Pure functions; higher is better.

Shapes: N candidates; mean_N and std_N in score units. Randomness (Thompson) is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy
from scipy.stats import norm

Array = numpy.ndarray
Acquisition = Callable[[Array, Array, float, float, numpy.random.Generator], Array]


def upper_confidence_bound(mean_N: Array, std_N: Array, best: float, kappa: float, random: numpy.random.Generator) -> Array:
    """mean + kappa * std (Srinivas et al., 2010)."""
    return mean_N + kappa * std_N


def expected_improvement(mean_N: Array, std_N: Array, best: float, kappa: float, random: numpy.random.Generator) -> Array:
    """E[max(0, f - best)] of a Gaussian (Mockus, 1978): (mean - best) Phi(z) + std phi(z), z = (mean - best) / std."""
    std_N = numpy.maximum(std_N, 1e-12)
    gain_N = mean_N - best
    return gain_N * norm.cdf(gain_N / std_N) + std_N * norm.pdf(gain_N / std_N)


def thompson(mean_N: Array, std_N: Array, best: float, kappa: float, random: numpy.random.Generator) -> Array:
    """One draw from each candidate's Gaussian, independently (Thompson, 1933)."""
    return mean_N + std_N * random.standard_normal(len(mean_N))


ACQUISITIONS: Mapping[str, Acquisition] = {"ucb": upper_confidence_bound, "ei": expected_improvement, "thompson": thompson}
