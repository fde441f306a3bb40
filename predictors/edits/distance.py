"""Weighted graph edit distance of many pairs of graphs, with an upper and a lower bound.

The edit distance is the least cost of edits that turn one graph into the other. A change of label
never costs more than a removal and an insertion, so there is a cheapest edit that keeps as many
nodes as possible. It is a one-to-one map p of the nodes of the two graphs, where the smaller graph
is padded with blank nodes, and it costs

    sum_i node(i, p(i)) + edge * (edges of both - 2 * edges that p maps to edges).

To find the best map is a quadratic assignment problem. For graphs with at most `SMALLEST` nodes all
maps are evaluated, and the distance is exact. For larger graphs the result is the cost of the best
map found, which is an upper bound. The search starts from assignments of the nodes by label,
degrees and depth. It improves each by linear assignments that follow the gradient of the quadratic
form (Leordeanu et al. 2009; Bougleux et al. 2017 for edit distances), and then exchanges pairs of
nodes as long as the cost falls. The lower bound comes from one linear assignment (Riesen and Bunke
2009; that it is a bound: Blumenthal et al. 2020).

FlexiBERT's graphs have layers, and to align them layer by layer would be faster. But there an edge
costs 0.1 and a node up to 20, so the cheapest edit splits layers to keep their nodes. The best
alignment of layers costs nearly twice as much (benchmarks/edit_distance.py).

Shapes: M graphs, P pairs, N padded node positions, S kinds of edges, Q maps, X = N N.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import permutations

import numpy as np

from predictors.edits.costs import EditCosts
from predictors.edits.pairs import Pairs, along, as_matrix, in_runs
from spaces.graph import Graph

# All maps are evaluated for graphs with at most this number of nodes; these are 5,040 maps.
SMALLEST = 7
# The largest number of linear assignments in a descent. More do not improve the result.
DESCENTS = 8
# A smaller improvement may be a rounding error.
LEAST = 1e-4
# The two starts penalise a difference in depth by this number of edge costs. With the small weight
# the labels decide, with the large one the depths.
DEPTH_WEIGHTS = (3.0, 100.0)


def distance_matrix(graphs: Sequence[Graph], costs: EditCosts) -> np.ndarray:
    """(M, M) the distances between all pairs of graphs; see `edit_distances`."""
    pair_P2 = np.stack(np.triu_indices(len(graphs), 1), axis=1)
    result_MM = np.zeros((len(graphs), len(graphs)))
    result_MM[pair_P2[:, 0], pair_P2[:, 1]] = edit_distances(graphs, pair_P2, costs)
    return result_MM + result_MM.T


def edit_distances(graphs: Sequence[Graph], pair_P2: np.ndarray, costs: EditCosts) -> np.ndarray:
    """(P,) the edit distance of each pair; symmetric.

    It is exact if both graphs have at most `SMALLEST` nodes, else an upper bound.

    Args:
        graphs: M graphs; they are compared as they are, not simplified.
        pair_P2: the indices of the two graphs of each pair.
        costs: the costs of the edits, such as `suggest_costs(graphs)`.

    Raises:
        ValueError: a graph has a node that the costs do not contain, or an index is out of range.

    Example:
        >>> from predictors.edits.costs import suggest_costs
        >>> from spaces import GraphBuilder
        >>> builder = GraphBuilder()
        >>> one = builder.output(builder.input())
        >>> edit_distances([one, one], np.array([[0, 1]]), suggest_costs([one])).tolist()
        [0.0]
    """
    return _measured(graphs, pair_P2, costs, _least)


def lower_bounds(graphs: Sequence[Graph], pair_P2: np.ndarray, costs: EditCosts) -> np.ndarray:
    """(P,) a lower bound of the edit distance of each pair.

    It counts the labels, and those edges that must be edited because the degrees of two nodes
    differ. Where the bound equals the result of `edit_distances`, that result is exact.
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
    # In single precision the distance of isomorphic graphs is not exactly 0.
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
        to_PN = _exchanged(left, _descended(left, to_PN))
        best_P[rows] = np.minimum(best_P[rows], left.cost(to_PN))
        # A pair whose two bounds are equal is solved.
        rows = rows[best_P[rows] > lower_P[rows] + LEAST]
        if len(rows) == 0:
            break
    return best_P


def _lower(pairs: Pairs) -> np.ndarray:
    """(P,) the lower bounds."""
    certain_PNN = pairs.certain()
    return along(certain_PNN, _assigned(certain_PNN))


def _least_of_all(pairs: Pairs) -> np.ndarray:
    """(P,) the least cost of all maps."""
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
    """(P, N) for each map the best map met on a descent that starts from it.

    A step goes from a point x towards the map that is cheapest under the gradient at x, and stops
    at the minimum of the quadratic form on the way.
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
    """(P, N) the maps after exchanges of the images of two nodes.

    Each exchange is the one that reduces the cost most. The search ends if none reduces it.
    """
    to_PN, rows, left = to_PN.copy(), np.arange(len(pairs)), pairs
    twice = np.float32(2 * pairs.edge)
    while len(rows):
        map_PN = to_PN[rows]
        # The cost of each node if it had the image of each other node.
        cost_PNN = left.node_PNN - twice * left.kept_by(as_matrix(map_PN))
        cost_PNN = np.take_along_axis(
            cost_PNN, np.broadcast_to(map_PN[:, None, :], cost_PNN.shape), 2
        )
        own_PN = np.einsum("pii->pi", cost_PNN)
        change_PNN = cost_PNN + cost_PNN.mT - own_PN[:, :, None] - own_PN[:, None, :]
        # The exchange keeps the edges between the two nodes, which were counted at both of them.
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
    """(P, N) the one-to-one map of least total cost for each pair."""
    from scipy.optimize import linear_sum_assignment

    return np.stack([linear_sum_assignment(cost_NN)[1] for cost_NN in cost_PNN])
