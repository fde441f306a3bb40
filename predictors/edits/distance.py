"""Weighted graph edit distance: the least that it costs to turn one graph into another, bounded
from both sides, many pairs at once.

No change of a label costs more than a removal and an insertion, so a cheapest edit keeps as many
nodes as it can: it is a one-to-one map p of the nodes of the two graphs, the smaller being filled
up with blanks, and costs

    sum_i node(i, p(i)) + edge * (edges of both - 2 * edges that p takes to edges).

To find the best map is a quadratic assignment problem. With at most `SMALLEST` nodes all maps are
tried, and the distance is exact. Beyond, what is returned is what the best map found costs: an
upper bound. The search starts from assignments of the nodes by label, degrees and depth, follows
each down the quadratic form by linear assignments (Leordeanu et al. 2009; for edit distances
Bougleux et al. 2017), and then exchanges two nodes as long as that helps. A lower bound comes from
one linear assignment (Riesen and Bunke 2009, made a bound by Blumenthal et al. 2020).

FlexiBERT's graphs are layered, and to align layer with layer would be quick. But there an edge
costs a tenth and a node up to twenty: the cheapest edit tears layers apart to keep their nodes, and
the best alignment of layers costs nearly twice as much (benchmarks/edit_distance.py).

Shapes: M graphs, P pairs, N places for a graph's nodes, S kinds of edges, Q maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import permutations

import numpy as np

from predictors.edits.costs import EditCosts
from predictors.edits.pairs import Pairs, along, as_matrix, in_runs
from spaces.graph import Graph

# With so many nodes all maps are tried: 5,040.
SMALLEST = 7
# Linear assignments on the way down; more find nothing.
DESCENTS = 8
# What is less of an improvement is rounding.
LEAST = 1e-4
# How much the starts prefer nodes of equal depth, in edges: first little, so that labels decide,
# then much.
DEPTH_WEIGHTS = (3.0, 100.0)


def distance_matrix(graphs: Sequence[Graph], costs: EditCosts) -> np.ndarray:
    """(M, M) the distances of all graphs from all; see `edit_distances`."""
    pair_P2 = np.stack(np.triu_indices(len(graphs), 1), axis=1)
    result_MM = np.zeros((len(graphs), len(graphs)))
    result_MM[pair_P2[:, 0], pair_P2[:, 1]] = edit_distances(graphs, pair_P2, costs)
    return result_MM + result_MM.T


def edit_distances(graphs: Sequence[Graph], pair_P2: np.ndarray, costs: EditCosts) -> np.ndarray:
    """(P,) the edit distance of each pair: exact where both have at most `SMALLEST` nodes, else an
    upper bound; the same in both directions.

    Args:
        graphs: M graphs; they are compared as they are, not simplified.
        pair_P2: the numbers of each pair's graphs.
        costs: see `EditCosts`.

    Raises:
        ValueError: a graph has a node without a price, or a pair is of other graphs.
    """
    return _measured(graphs, pair_P2, costs, _least)


def lower_bounds(graphs: Sequence[Graph], pair_P2: np.ndarray, costs: EditCosts) -> np.ndarray:
    """(P,) what no edit of a pair undercuts: the labels, and the edges that are lost since degrees
    differ. Where it is the distance, that is exact.
    """
    return _measured(graphs, pair_P2, costs, _lower)


def _measured(
    graphs: Sequence[Graph],
    pair_P2: np.ndarray,
    costs: EditCosts,
    measure: Callable[[Pairs], np.ndarray],
) -> np.ndarray:
    from threadpoolctl import threadpool_limits

    pair_P2 = np.asarray(pair_P2, dtype=np.int64).reshape(-1, 2)
    if len(pair_P2) and not 0 <= pair_P2.min() <= pair_P2.max() < len(graphs):
        raise ValueError(
            f"the pairs must be of the graphs 0 to {len(graphs) - 1}; got the numbers "
            f"{pair_P2.min()} to {pair_P2.max()}"
        )
    result_P = np.zeros(len(pair_P2))
    with threadpool_limits(1):
        for rows, pairs in in_runs(graphs, pair_P2, costs):
            result_P[rows] = measure(pairs)
    # In single precision a graph is not quite at 0 from its like.
    return np.where(result_P < LEAST, 0.0, result_P)


def _least(pairs: Pairs) -> np.ndarray:
    """(P,) the cost of the best map found."""
    if pairs.num_places <= SMALLEST:
        return _least_of_all(pairs)
    certain_PNN = pairs.certain()
    lower_P = along(certain_PNN, _assigned(certain_PNN))
    best_P, rows = np.full(len(pairs), np.inf, dtype=np.float32), np.arange(len(pairs))
    for weight in DEPTH_WEIGHTS:
        left = pairs.take(rows)
        to_PN = _assigned(certain_PNN[rows] + np.float32(weight * pairs.edge) * left.apart_PNN)
        best_P[rows] = np.minimum(
            best_P[rows], left.cost(_exchanged(left, _descended(left, to_PN)))
        )
        # Where the bounds meet there is nothing left to find.
        rows = rows[best_P[rows] > lower_P[rows] + LEAST]
        if len(rows) == 0:
            break
    return best_P


def _lower(pairs: Pairs) -> np.ndarray:
    certain_PNN = pairs.certain()
    return along(certain_PNN, _assigned(certain_PNN))


def _least_of_all(pairs: Pairs) -> np.ndarray:
    """(P,) the cost of the best of all maps."""
    count = pairs.num_places
    to_QN = _all_maps(count)
    onto_QX = (to_QN[:, :, None] * count + to_QN[:, None, :]).reshape(len(to_QN), -1)
    first_PSX, second_PSX = (
        edges.reshape(*edges.shape[:2], -1) for edges in (pairs.first_PSNN, pairs.second_PSNN)
    )
    result_P = np.zeros(len(pairs))
    for pair in range(len(pairs)):
        node_Q = pairs.node_PNN[pair][np.arange(count), to_QN].sum(1)
        kept_Q = np.einsum("sqx,sx->q", second_PSX[pair][:, onto_QX], first_PSX[pair])
        result_P[pair] = (node_Q - 2 * pairs.edge * kept_Q).min()
    return result_P + pairs.edge * pairs.num_edges()


@cache
def _all_maps(count: int) -> np.ndarray:
    return np.array(list(permutations(range(count))))


def _descended(pairs: Pairs, to_PN: np.ndarray) -> np.ndarray:
    """(P, N) for each map the best of those met on the way down from it.

    The way: from a point x to the map of least cost for the slope at x, or as far towards it as the
        quadratic form falls, and on from there.
    """
    best_PN, best_P = to_PN.copy(), pairs.cost(to_PN)
    x_PNN, rows, left = as_matrix(to_PN), np.arange(len(pairs)), pairs
    twice = np.float32(2 * pairs.edge)
    for _ in range(DESCENTS):
        slope_PNN = left.node_PNN - twice * left.kept_by(x_PNN)
        to_PN = _assigned(slope_PNN)
        cost_P = left.cost(to_PN)
        better = cost_P < best_P[rows]
        best_PN[rows[better]], best_P[rows[better]] = to_PN[better], cost_P[better]
        step_PNN = as_matrix(to_PN) - x_PNN
        fall_P = np.einsum("pij,pij->p", slope_PNN, step_PNN)
        bend_P = -twice * np.einsum("pij,pij->p", step_PNN, left.kept_by(step_PNN))
        share_P = np.where(
            bend_P > 1e-9, np.clip(-fall_P / np.maximum(bend_P, 1e-9), 0, 1), 1
        ).astype(np.float32)
        on = np.flatnonzero(fall_P < -LEAST)
        if len(on) == 0:
            break
        x_PNN = (x_PNN + share_P[:, None, None] * step_PNN)[on]
        left = left.take(on) if len(on) < len(rows) else left
        rows = rows[on]
    return best_PN


def _exchanged(pairs: Pairs, to_PN: np.ndarray) -> np.ndarray:
    """(P, N) the maps after exchanges of two nodes' partners, the one that helps most at a time,
    until none helps.
    """
    to_PN, rows, left = to_PN.copy(), np.arange(len(pairs)), pairs
    twice = np.float32(2 * pairs.edge)
    while len(rows):
        map_PN = to_PN[rows]
        # What a node costs in another's place.
        cost_PNN = left.node_PNN - twice * left.kept_by(as_matrix(map_PN))
        cost_PNN = np.take_along_axis(
            cost_PNN, np.broadcast_to(map_PN[:, None, :], cost_PNN.shape), 2
        )
        own_PN = np.einsum("pii->pi", cost_PNN)
        change_PNN = cost_PNN + cost_PNN.mT - own_PN[:, :, None] - own_PN[:, None, :]
        # The edges between the two are kept whichever way round they are, and were counted at both.
        first_PSNN, second_PSNN = left.first_PSNN, left.seen_through(map_PN)
        change_PNN -= twice * ((first_PSNN + first_PSNN.mT) * (second_PSNN + second_PSNN.mT)).sum(1)
        flat_PX = change_PNN.reshape(len(rows), -1)
        place_P = flat_PX.argmin(1)
        on = np.flatnonzero(flat_PX[np.arange(len(rows)), place_P] < -LEAST)
        one_P, other_P = np.divmod(place_P[on], pairs.num_places)
        left = left.take(on) if len(on) < len(rows) else left
        rows = rows[on]
        to_PN[rows, one_P], to_PN[rows, other_P] = map_PN[on, other_P], map_PN[on, one_P]
    return to_PN


def _assigned(cost_PNN: np.ndarray) -> np.ndarray:
    """(P, N) the one-to-one map of least cost for each pair."""
    from scipy.optimize import linear_sum_assignment

    return np.stack([linear_sum_assignment(cost_NN)[1] for cost_NN in cost_PNN])
