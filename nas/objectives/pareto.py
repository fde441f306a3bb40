"""Pareto fronts of several objectives: dominance, crowding, hypervolume and distance.

Shapes: N points, M points of a reference front, K objectives. Higher is better in each objective,
so a cost has to be negated.
"""

from __future__ import annotations

import numpy


def front(points_NK: numpy.ndarray) -> numpy.ndarray:
    """(N,) true for the points that no other point dominates.

    A point dominates another if it is at least as good in every objective and better in one. Of
    equal points all are on the front, or none.

    >>> front(numpy.array([[1.0, 3.0], [2.0, 2.0], [1.0, 1.0]])).tolist()
    [True, True, False]
    """
    points_NK = _points(points_NK)
    # Points are sorted by the first objective, the best first. So only an earlier point can
    # dominate a point, and it is enough to compare with those on the front so far.
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
    """(N,) the front that each point is on, by non-dominated sorting (Deb et al. 2002).

    0 is the front of all points, 1 the front of the points that are left without it, and so on.
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
    """(N,) the crowding distance of each point (Deb et al. 2002); larger means more room.

    It is the sum over objectives of the distance between the point's two neighbours, as a share of
    the objective's range. It is infinite for the best and the worst point of an objective.
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
    """(N,) the indices of the points, the best first (Deb et al. 2002).

    Points are ordered by layer, within a layer by falling crowding distance, then by index.
    """
    layer_N = layers(points_NK)
    room_N = numpy.zeros(len(layer_N))
    for layer in range(int(layer_N.max(initial=-1)) + 1):
        room_N[layer_N == layer] = crowding(points_NK[layer_N == layer])
    return numpy.lexsort((-room_N, layer_N))


def hypervolume(points_NK: numpy.ndarray, reference_K: numpy.ndarray) -> float:
    """The exact volume that the points dominate above the reference (Zitzler and Thiele 1999).

    A point that is not above the reference in every objective adds nothing. The method adds up
    slices along the last objective, so its time grows with N^(K-1). That is fast enough for
    thousands of points in two objectives, and for hundreds in four.

    Raises:
        ValueError: the reference does not have one number for each objective, or the points are not
            a matrix of finite numbers.

    >>> hypervolume(numpy.array([[1.0, 2.0], [2.0, 1.0]]), numpy.zeros(2))
    3.0
    """
    points_NK, reference_K = _points(points_NK), numpy.asarray(reference_K, dtype=numpy.float64)
    if reference_K.shape != points_NK.shape[1:]:
        raise ValueError(
            f"the reference must have one number for each of the {points_NK.shape[1]} "
            f"objectives; its shape is {reference_K.shape}"
        )
    return _volume(points_NK[(points_NK > reference_K).all(1)] - reference_K)


def inverted_generational_distance(points_NK: numpy.ndarray, front_MK: numpy.ndarray) -> float:
    """The mean Euclidean distance from a point of the true front to the nearest of the points.

    Each objective is scaled by its range on the true front.
    """
    points_NK, front_MK = _points(points_NK), _points(front_MK)
    span_K = numpy.ptp(front_MK, axis=0)
    span_K = numpy.where(span_K > 0, span_K, 1.0)
    away_MNK = (front_MK[:, None] - points_NK[None]) / span_K
    return float(numpy.sqrt((away_MNK**2).sum(2)).min(1).mean())


def _volume(points_NK: numpy.ndarray) -> float:
    """The volume above the origin, for points that are all above it."""
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
