"""Several objectives at once: which points no other beats, and how good a set of points is.

Shapes: N points, K objectives, higher is better in each (negate a cost).
"""

from __future__ import annotations

import numpy


def front(points_NK: numpy.ndarray) -> numpy.ndarray:
    """(N,) true for the points that no other dominates: none is at least as good in every objective
    and better in one. Equal points stand together.
    """
    points_NK = _points(points_NK)
    # From the best in the first objective on, a point can be dominated by an earlier one only, and
    # those on the front so far decide.
    order_N = numpy.lexsort(tuple(-column for column in points_NK.T[::-1]))
    result = numpy.zeros(len(points_NK), dtype=bool)
    kept = numpy.zeros((0, points_NK.shape[1]))
    for row in order_N:
        point_K = points_NK[row]
        if not ((kept >= point_K).all(1) & (kept > point_K).any(1)).any():
            result[row] = True
            kept = numpy.concatenate([kept, point_K[None]])
    return result


def layers(points_NK: numpy.ndarray) -> numpy.ndarray:
    """(N,) 0 for the points of the front, 1 for those of the front without them, and so on
    (non-dominated sorting, Deb et al. 2002).
    """
    points_NK = _points(points_NK)
    result = numpy.full(len(points_NK), -1)
    layer, left = 0, numpy.arange(len(points_NK))
    while len(left):
        best = front(points_NK[left])
        result[left[best]] = layer
        layer, left = layer + 1, left[~best]
    return result


def crowding(points_NK: numpy.ndarray) -> numpy.ndarray:
    """(N,) how much room there is around each point: the sum over objectives of the distance
    between its two neighbours, in shares of the range.

    The ends of each objective have an infinite amount (Deb et al. 2002).
    """
    points_NK = _points(points_NK)
    room_N = numpy.zeros(len(points_NK))
    for column_N in points_NK.T:
        order_N = numpy.argsort(column_N, kind="stable")
        ordered_N = column_N[order_N]
        room_N[order_N[[0, -1]]] = numpy.inf
        span = ordered_N[-1] - ordered_N[0]
        if span > 0:
            room_N[order_N[1:-1]] += (ordered_N[2:] - ordered_N[:-2]) / span
    return room_N


def ranked(points_NK: numpy.ndarray) -> numpy.ndarray:
    """(N,) the numbers of the points, the best first: by layer, within a layer those with the most
    room around them, then the first (Deb et al. 2002).
    """
    layer_N = layers(points_NK)
    room_N = numpy.zeros(len(layer_N))
    for layer in range(int(layer_N.max(initial=-1)) + 1):
        room_N[layer_N == layer] = crowding(points_NK[layer_N == layer])
    return numpy.lexsort((-room_N, layer_N))


def hypervolume(points_NK: numpy.ndarray, reference_K: numpy.ndarray) -> float:
    """The volume that the points dominate above the reference, exactly (Zitzler and Thiele 1999);
    points not above it in every objective add nothing.

    Sweeps along the last objective and adds up slices, so that time grows with N^(K-1): for fronts
    of thousands in two objectives, hundreds in four.
    """
    points_NK, reference_K = _points(points_NK), numpy.asarray(reference_K, dtype=numpy.float64)
    if reference_K.shape != points_NK.shape[1:]:
        raise ValueError(
            f"the reference must have one number for each of the {points_NK.shape[1]} "
            f"objectives; its shape is {reference_K.shape}"
        )
    return _volume(points_NK[(points_NK > reference_K).all(1)] - reference_K)


def inverted_generational_distance(points_NK: numpy.ndarray, front_MK: numpy.ndarray) -> float:
    """The mean Euclidean distance of the true front's points to the nearest of the points, each
    objective in shares of the front's range.
    """
    points_NK, front_MK = _points(points_NK), _points(front_MK)
    span_K = numpy.ptp(front_MK, axis=0)
    span_K = numpy.where(span_K > 0, span_K, 1.0)
    away_MNK = (front_MK[:, None] - points_NK[None]) / span_K
    return float(numpy.sqrt((away_MNK**2).sum(2)).min(1).mean())


def _volume(points_NK: numpy.ndarray) -> float:
    """Above the origin, all points being above it."""
    if len(points_NK) == 0:
        return 0.0
    if points_NK.shape[1] == 1:
        return float(points_NK.max())
    points_NK = points_NK[front(points_NK)]
    points_NK = points_NK[numpy.argsort(-points_NK[:, -1], kind="stable")]
    if points_NK.shape[1] == 2:
        # Along the front the first objective rises as the second falls.
        widths_N = numpy.maximum.accumulate(points_NK[:, 0])
        return float((widths_N * -numpy.diff(points_NK[:, 1], append=0.0)).sum())
    heights_N = -numpy.diff(points_NK[:, -1], append=0.0)
    return float(
        sum(
            height * _volume(points_NK[: place + 1, :-1])
            for place, height in enumerate(heights_N.tolist())
            if height > 0
        )
    )


def _points(points_NK: numpy.ndarray) -> numpy.ndarray:
    points_NK = numpy.asarray(points_NK, dtype=numpy.float64)
    if points_NK.ndim != 2 or points_NK.shape[1] < 1:
        raise ValueError(
            "points must be a matrix, a row for each and a column for each objective; the shape "
            f"is {points_NK.shape}"
        )
    if not numpy.isfinite(points_NK).all():
        raise ValueError("points must be finite numbers; leave failed evaluations out")
    return points_NK
