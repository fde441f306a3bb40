"""What BOSHNAS' climbs ascend, how far they may move, and the candidates nearest to their ends.

Shapes: N candidates, K starts of climbs, D numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy
from numpy import ndarray

from predictors.boshnas.surrogate import Surrogate

if TYPE_CHECKING:
    from torch import Tensor


def boxes(start_KD: ndarray, place_ND: ndarray, trust: float) -> tuple[ndarray, ndarray]:
    """(K, D) the lowest and (K, D) the highest value of each number of each start.

    A start stays in the box around all candidates, and moves along each side of the box by at most
    the share `trust` of its length.
    """
    low_D, high_D = place_ND.min(0), place_ND.max(0)
    reach_D = trust * (high_D - low_D)
    return numpy.maximum(low_D, start_KD - reach_D), numpy.minimum(high_D, start_KD + reach_D)


def bound(model: Surrogate, weights: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    """The function mean + weights[0] aleatoric + weights[1] epistemic of places (K, D), to (K,).

    Its values are in normal scores, the units that the surrogate is fitted in.
    """

    def value(x_KD: Tensor) -> Tensor:
        mean_K, aleatoric_K, epistemic_K = model.predict_at(x_KD)
        return mean_K + weights[0] * aleatoric_K + weights[1] * epistemic_K

    return value


def nearest_first(end_KD: ndarray, place_ND: ndarray, gain_N: ndarray) -> list[int]:
    """The indices of all candidates, those near to the ends of the climbs first.

    The nearest candidates to each end come first, of these the ones with the highest gain first.
    The second nearest to each end follow, and so on.
    """
    distances = [numpy.abs(end_D - place_ND).mean(1) for end_D in end_KD]
    order_KN = numpy.argsort(distances, axis=1, kind="stable")
    found: dict[int, None] = {}
    for nearest_K in order_KN.T:
        found |= dict.fromkeys(
            sorted(nearest_K.tolist(), key=lambda place: (-gain_N[place], place))
        )
    return list(found)
