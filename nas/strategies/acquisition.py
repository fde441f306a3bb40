"""Acquisition functions: how worthwhile the evaluation of each candidate is; higher is better.

They are pure functions of the surrogate's predictions, and of a random generator.

Shapes: N candidates, M observed, K objectives, S draws, C chosen, L directions. Means and standard
deviations are in units of the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy
from scipy.stats import norm

from nas.objectives.constraints import Constraint
from predictors.predictor import Prediction

Array = numpy.ndarray
# How many draws `noisy_ei` and `top` average over.
OUTCOMES = 256


@dataclass(frozen=True)
class Outlook:
    """The surrogate's predictions of one objective, higher being better.

    Attributes:
        mean_N, std_N: for the candidates.
        known_mean_M, known_std_M: for the observed architectures, by the surrogate that was fitted
            to them.
        best: the best observed value.
    """

    mean_N: Array
    std_N: Array
    known_mean_M: Array
    known_std_M: Array
    best: float


# From an outlook, kappa, the number of candidates to be chosen and a generator to (N,) gains.
Acquisition = Callable[[Outlook, float, int, numpy.random.Generator], Array]


def upper_confidence_bound(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """mean + kappa * std (Srinivas et al., 2010)."""
    return outlook.mean_N + kappa * outlook.std_N


def expected_improvement(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """E[max(0, f - best)] of a Gaussian f (Mockus, 1978).

    That is (mean - best) Phi(z) + std phi(z) with z = (mean - best) / std.
    """
    return _improvement(outlook.mean_N, outlook.std_N, numpy.array([outlook.best]))


def noisy_expected_improvement(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """The expected improvement over the best true value, if observations are noisy.

    The true values of the observed architectures are drawn from their predictions, and the
    improvement over the best of them is averaged over the draws (Letham et al., 2019).
    """
    draw_SM = outlook.known_mean_M + outlook.known_std_M * random.standard_normal(
        (OUTCOMES, len(outlook.known_mean_M))
    )
    return _improvement(outlook.mean_N, outlook.std_N, draw_SM.max(1))


def thompson(outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator) -> Array:
    """One draw from each candidate's Gaussian, independently (Thompson, 1933)."""
    return outlook.mean_N + outlook.std_N * random.standard_normal(len(outlook.mean_N))


def among_the_best(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """The probability of being one of the `count` best candidates.

    This is top-k selection, a generalisation of top-two selection (Russo, 2016).
    """
    draw_SN = outlook.mean_N + outlook.std_N * random.standard_normal(
        (OUTCOMES, len(outlook.mean_N))
    )
    best_SC = numpy.argpartition(-draw_SN, min(count, draw_SN.shape[1]) - 1, axis=1)[:, :count]
    share_N = numpy.bincount(best_SC.ravel(), minlength=draw_SN.shape[1]) / OUTCOMES
    # Candidates that are among the best in no draw come last, in the order of their means.
    return share_N + 1e-6 * numpy.argsort(numpy.argsort(outlook.mean_N)) / len(share_N)


def _improvement(mean_N: Array, std_N: Array, best_S: Array) -> Array:
    std_N1 = numpy.maximum(std_N, 1e-12)[:, None]
    gain_NS = mean_N[:, None] - best_S
    return (gain_NS * norm.cdf(gain_NS / std_N1) + std_N1 * norm.pdf(gain_NS / std_N1)).mean(1)


ACQUISITIONS: Mapping[str, Acquisition] = {
    "ucb": upper_confidence_bound,
    "ei": expected_improvement,
    "noisy_ei": noisy_expected_improvement,
    "thompson": thompson,
    "top": among_the_best,
}


def likely_kept(predictions: Mapping[str, Prediction], constraints: Sequence[Constraint]) -> Array:
    """(N,) the probability that a candidate keeps all constraints (Gardner et al. 2014).

    The constrained numbers are taken for independent Gaussians.

    Args:
        predictions: of the N candidates, by the name of the number; at least one.
        constraints: bounds on numbers that are predicted.
    """
    likely_N = numpy.ones(len(next(iter(predictions.values())).mean))
    for constraint in constraints:
        prediction = predictions[constraint.name]
        room_N = constraint.bound - prediction.mean
        if constraint.sense == ">=":
            room_N = -room_N
        # A value at the bound keeps the constraint, even if its standard deviation is 0.
        tolerance = 1e-9 * abs(constraint.bound)
        likely_N *= norm.cdf((room_N + tolerance) / numpy.maximum(prediction.std, 1e-12))
    return likely_N


# Directions in which the growth of a front is measured, and draws of the candidates' objectives.
DIRECTIONS, DRAWS = 512, 16


def possible(
    acquisition: str, mean_NK: Array, std_NK: Array, kappa: float, random: numpy.random.Generator
) -> Array:
    """(S, N, K) possible objectives of the candidates, as the acquisition assumes them.

    `ucb` assumes their upper confidence bounds, `thompson` one draw, the others several draws.
    """
    if acquisition == "ucb":
        return (mean_NK + kappa * std_NK)[None]
    draws = 1 if acquisition == "thompson" else DRAWS
    return mean_NK + std_NK * random.standard_normal((draws, *mean_NK.shape))


def front_extensions(
    possible_SNK: Array, observed_MK: Array, count: int, random: numpy.random.Generator
) -> list[int]:
    """The indices of `count` candidates that together add much hypervolume to the front.

    They are chosen greedily: each adds the most to the front of the observed points and of the
    candidates chosen before it.

    Each objective is scaled by its observed range, and the hypervolume is measured above the worst
    observed values. Up to a constant, it is the mean over directions on the positive sphere of max
    over points of min over objectives of (value / direction) ** K (Zhang and Golovin 2020,
    arXiv 2006.04655). So all candidates are compared by array operations, for any K. If no
    candidate adds hypervolume, the one that comes nearest to it in some direction is chosen.

    Args:
        possible_SNK: draws of the candidates' objectives.
        observed_MK: the observed objectives.
        count: how many candidates to choose, at most.
        random: draws the directions.
    """
    objectives = observed_MK.shape[1]
    low_K, span_K = observed_MK.min(0), numpy.ptp(observed_MK, axis=0)
    span_K = numpy.where(span_K > 0, span_K, 1.0)
    direction_LK = numpy.abs(random.standard_normal((DIRECTIONS, objectives))) + 1e-6
    direction_LK /= numpy.linalg.norm(direction_LK, axis=1, keepdims=True)

    def reach(points: Array) -> Array:
        share = (points - low_K) / span_K
        length = numpy.min(share[..., None, :] / direction_LK, axis=-1)
        return numpy.sign(length) * numpy.abs(length) ** objectives

    reached_L = reach(observed_MK).max(0)
    reached_SL = numpy.repeat(reached_L[None], len(possible_SNK), axis=0)
    reach_SNL = reach(possible_SNK)
    chosen: list[int] = []
    for _ in range(min(count, possible_SNK.shape[1])):
        more_SNL = reach_SNL - reached_SL[:, None]
        gain_N = numpy.maximum(more_SNL, 0).mean((0, 2))
        nearest_N = more_SNL.max(2).mean(0)
        rank = numpy.lexsort((-nearest_N, -gain_N))
        best = int(next(place for place in rank if place not in chosen))
        chosen.append(best)
        reached_SL = numpy.maximum(reached_SL, reach_SNL[:, best])
    return chosen
