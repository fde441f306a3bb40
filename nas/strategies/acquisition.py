"""How good it would be to evaluate an architecture, from what the surrogate says of it. Pure
functions; higher is better.

Shapes: N candidates, M observed, K objectives, S draws, L directions; mean_N and std_N in score
units. Randomness (Thompson) is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy
from scipy.stats import norm

from nas.objectives.constraints import Constraint
from predictors.predictor import Prediction

Array = numpy.ndarray
# Draws that `noisy_ei` and `top` average over.
OUTCOMES = 256


@dataclass(frozen=True)
class Outlook:
    """What the surrogate says of one objective.

    Attributes:
        mean_N, std_N: of the candidates.
        known_mean_M, known_std_M: of what was observed, now that it has learnt from that.
        best: the best value observed.
    """

    mean_N: Array
    std_N: Array
    known_mean_M: Array
    known_std_M: Array
    best: float


# Of an outlook, kappa, how many candidates are to be chosen, and the generator: (N,) gains.
Acquisition = Callable[[Outlook, float, int, numpy.random.Generator], Array]


def upper_confidence_bound(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """mean + kappa * std (Srinivas et al., 2010)."""
    return outlook.mean_N + kappa * outlook.std_N


def expected_improvement(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """E[max(0, f - best)] of a Gaussian (Mockus, 1978): (mean - best) Phi(z) + std phi(z), z =
    (mean - best) / std.
    """
    return _improvement(outlook.mean_N, outlook.std_N, numpy.array([outlook.best]))


def noisy_expected_improvement(
    outlook: Outlook, kappa: float, count: int, random: numpy.random.Generator
) -> Array:
    """The expected improvement over the best of what the observed may really be worth, their scores
    being noisy (Letham et al., 2019).
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
    """The probability of being one of the `count` best candidates: expected top-k (as in top-two
    and top-k selection, Russo, 2016).
    """
    draw_SN = outlook.mean_N + outlook.std_N * random.standard_normal(
        (OUTCOMES, len(outlook.mean_N))
    )
    best_SC = numpy.argpartition(-draw_SN, min(count, draw_SN.shape[1]) - 1, axis=1)[:, :count]
    share_N = numpy.bincount(best_SC.ravel(), minlength=draw_SN.shape[1]) / OUTCOMES
    # Those that are among the best in no draw stand behind, in the order of their means.
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


def likely_kept(told: Mapping[str, Prediction], constraints: Sequence[Constraint]) -> Array:
    """(N,) the probability that a candidate keeps all constraints, as if their numbers were
    independent Gaussians (Gardner et al. 2014).
    """
    likely_N = numpy.ones(len(next(iter(told.values())).mean))
    for constraint in constraints:
        said = told[constraint.name]
        room_N = (
            constraint.bound - said.mean
            if constraint.sense == "<="
            else said.mean - constraint.bound
        )
        # A value at the bound keeps it, also where it is known for certain.
        likely_N *= norm.cdf(
            (room_N + 1e-9 * abs(constraint.bound)) / numpy.maximum(said.std, 1e-12)
        )
    return likely_N


# Directions in which a front's growth is measured, and draws of what candidates may turn out to be.
DIRECTIONS, DRAWS = 512, 16


def possible(
    acquisition: str, mean_NK: Array, std_NK: Array, kappa: float, random: numpy.random.Generator
) -> Array:
    """(S, N, K) what candidates may turn out to be, as the acquisition sees them: at their upper
    bound (`ucb`), in one draw (`thompson`), or in many.
    """
    if acquisition == "ucb":
        return (mean_NK + kappa * std_NK)[None]
    draws = 1 if acquisition == "thompson" else DRAWS
    return mean_NK + std_NK * random.standard_normal((draws, *mean_NK.shape))


def front_extensions(
    possible_SNK: Array, observed_MK: Array, count: int, random: numpy.random.Generator
) -> list[int]:
    """The numbers of `count` candidates, one after the other the one that together with those
    before adds most hypervolume to the front.

    The hypervolume above the worst observed values, each objective in shares of the observed range,
    is the mean over directions on the positive sphere of max over points of min over objectives of
    (value / direction) ** K, up to a constant (Zhang and Golovin 2020, arXiv 2006.04655). So one
    product of matrices judges all candidates, for any K. Where nothing adds to it, the candidate
    that comes nearest to doing so in some direction is taken.
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
