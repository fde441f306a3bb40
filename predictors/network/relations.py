"""What the nodes of graphs hear of each other: the sum over what feeds a node, the sum over what it
feeds, the mean over its ancestors, that over its descendants.

Small graphs have it as dense matrices. In a large one nearly every node is an ancestor of nearly
every later one: there the sum over the ancestors is that over all earlier nodes, a running sum,
less the few that are none, and so a matrix of few entries.

Shapes: M graphs, P places for a graph's nodes, N = M P places, E edges, R = 4 P, four rows for each
place, T entries, K members, H features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.utils import to_dense_adj

from predictors.reading.batch import Flat, ranges
from predictors.reading.features import reached

# Graphs with more places than this are heard through few entries, on a CPU.
MOST_PLACES = 64


@dataclass(frozen=True)
class Dense:
    """M graphs' relations, all of them written out.

    Attributes:
        matrix_MRP: the weight of each node's features in what a node hears.
    """

    matrix_MRP: Tensor

    def pack(self, h_KMPH: Tensor) -> Tensor:
        """(K, N, H) the features of the nodes that messages are sent among: here of all places."""
        return h_KMPH.flatten(1, 2)

    def unpack(self, h_KNH: Tensor) -> Tensor:
        """(K, M, P, H) the same at their places."""
        return h_KNH.unflatten(1, (len(self.matrix_MRP), -1))

    def hear(self, h_KNH: Tensor) -> Tensor:
        """(K, N, 4H) what each node hears in the four ways, side by side."""
        # One product for all members would first copy the matrices for each of them, and keep the
        # copies.
        heard_KMRH = torch.stack([self.matrix_MRP @ h_MPH for h_MPH in self.unpack(h_KNH)])
        return heard_KMRH.view(*h_KNH.shape[:2], -1)

    @cached_property
    def weights(self) -> Tensor:
        """(N, 4) the sum of the weights in what each node hears."""
        return self.matrix_MRP.sum(-1).view(-1, 4)

    def take(self, row_B: Tensor) -> Dense:
        """Those of the graphs of these numbers, in this order."""
        return Dense(self.matrix_MRP[row_B])


@dataclass(frozen=True)
class Sparse:
    """The same as entries: each graph's matrix (4P, 2P) has a column for each node's features, then
    one for their running sum up to that node.

    N are the nodes that there are, without the places that are empty.

    Attributes:
        num_places: P.
        nodes_M, entries_M: how many nodes and entries each graph has.
        row_T, column_T, weight_T: the entries, graph after graph.
    """

    num_places: int
    nodes_M: np.ndarray
    entries_M: np.ndarray
    row_T: np.ndarray
    column_T: np.ndarray
    weight_T: np.ndarray

    def pack(self, h_KMPH: Tensor) -> Tensor:
        """See `Dense.pack`."""
        return h_KMPH.flatten(1, 2).index_select(1, self._places)

    def unpack(self, h_KNH: Tensor) -> Tensor:
        """See `Dense.unpack`; 0 where there is no node."""
        count, (members, _, width) = len(self.nodes_M), h_KNH.shape
        return (
            h_KNH.new_zeros(members, count * self.num_places, width)
            .index_copy(1, self._places, h_KNH)
            .unflatten(1, (count, -1))
        )

    def hear(self, h_KNH: Tensor) -> Tensor:
        """See `Dense.hear`."""
        both_KSH = torch.cat([h_KNH, self.unpack(h_KNH).cumsum(2).flatten(1, 2)], dim=1)
        return _Product.apply(both_KSH, *self._matrices).view(*h_KNH.shape[:2], -1)  # type: ignore[union-attr]

    @cached_property
    def weights(self) -> Tensor:
        """See `Dense.weights`."""
        return self.hear(torch.ones(1, len(self._places), 1))[0]

    def take(self, row_B: Tensor) -> Sparse:
        """See `Dense.take`."""
        rows, start_M = row_B.numpy(), np.cumsum(self.entries_M) - self.entries_M
        taken_T = ranges(start_M[rows], self.entries_M[rows])
        return Sparse(
            self.num_places,
            self.nodes_M[rows],
            self.entries_M[rows],
            self.row_T[taken_T],
            self.column_T[taken_T],
            self.weight_T[taken_T],
        )

    @cached_property
    def _places(self) -> Tensor:
        """Each node's place among all places of all graphs."""
        return torch.from_numpy(
            ranges(np.arange(len(self.nodes_M)) * self.num_places, self.nodes_M)
        )

    @cached_property
    def _matrices(self) -> tuple[Tensor, Tensor]:
        """All graphs' matrices as one, the columns of the sums behind those of the features; and
        its transpose.
        """
        from scipy.sparse import csr_array

        count, nodes = len(self.nodes_M), int(self.nodes_M.sum())
        graph_T, first_M = (
            np.repeat(np.arange(count), self.entries_M),
            np.cumsum(self.nodes_M) - self.nodes_M,
        )
        of_sum_T = nodes + graph_T * self.num_places + self.column_T - self.num_places
        place_T = np.where(
            self.column_T < self.num_places, first_M[graph_T] + self.column_T, of_sum_T
        )
        shape = 4 * nodes, nodes + count * self.num_places
        matrix = csr_array(
            (self.weight_T, (4 * first_M[graph_T] + self.row_T, place_T)), shape=shape
        )
        return _compressed(matrix), _compressed(matrix.T.tocsr())


class _Product(torch.autograd.Function):
    """A sparse matrix (R, S) by (K, S, H), for each member. Its slope is the transposed matrix's
    product, so it has slopes of every order.
    """

    @staticmethod
    def forward(ctx: Any, x_KSH: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.matrices = transposed, matrix
        result_KRH = x_KSH.new_empty(len(x_KSH), len(matrix), x_KSH.shape[2])
        for x_SH, result_RH in zip(x_KSH, result_KRH, strict=True):
            result_RH.addmm_(matrix, x_SH, beta=0)
        return result_KRH

    @staticmethod
    def backward(ctx: Any, *slope_KRH: Tensor) -> tuple[Any, None, None]:
        return _Product.apply(slope_KRH[0], *ctx.matrices), None, None


def _compressed(matrix: Any) -> Tensor:
    """Scipy's matrix as torch's, whose product is ten times as fast and lets other threads work."""
    # Other integers would be turned into these at every product.
    rows, columns = (
        torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices)
    )
    return torch.sparse_csr_tensor(
        rows, columns, torch.from_numpy(matrix.data), size=matrix.shape, check_invariants=False
    )


with warnings.catch_warnings():
    # Torch warns at the first such matrix of a process that they are new.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor([0, 0], [], torch.zeros(0), size=(1, 1), check_invariants=False)


def relations_of(flat: Flat, device: torch.device) -> Dense | Sparse:
    """The graphs' relations on the device. Later arguments of an operation weigh a little less, so
    that a - b and b - a differ; parallel edges add up.
    """
    num_places = int((flat.last_M - flat.first_M).max()) + 1
    weight_E = (0.5 + 0.5 / (1 + flat.slot_E)).astype(np.float32)
    return (
        _sparse(flat, num_places, weight_E)
        if num_places > MOST_PLACES and device.type == "cpu"
        else _dense(flat, num_places, weight_E, device)
    )


def _dense(flat: Flat, num_places: int, weight_E: np.ndarray, device: torch.device) -> Dense:
    def matrices(source: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> Tensor:
        pairs, graph_N = (
            torch.from_numpy(np.stack([source, target])).to(device),
            torch.from_numpy(flat.graph_N).to(device),
        )
        weights = None if weight is None else torch.from_numpy(weight).to(device)
        return to_dense_adj(
            pairs, graph_N, weights, max_num_nodes=num_places, batch_size=flat.num_graphs
        )

    feeds_MPP, reaches_MPP = (
        matrices(flat.source_E, flat.target_E, weight_E),
        matrices(*reached(flat), None),
    )
    ways = [feeds_MPP.mT, feeds_MPP, _mean(reaches_MPP.mT), _mean(reaches_MPP)]
    return Dense(torch.stack(ways, dim=2).flatten(1, 2))


def _mean(relation_MPP: Tensor) -> Tensor:
    return relation_MPP / relation_MPP.sum(-1, keepdim=True).clamp_min(1)


def _sparse(flat: Flat, num_places: int, weight_E: np.ndarray) -> Sparse:
    place_N = np.arange(flat.num_nodes) - flat.first_M[flat.graph_N]
    reaches_MPP = np.zeros((flat.num_graphs, num_places, num_places), dtype=bool)
    sources, targets = reached(flat)
    reaches_MPP[flat.graph_N[targets], place_N[sources], place_N[targets]] = True
    before_N, behind_N = (reaches_MPP.sum(axis)[flat.graph_N, place_N] for axis in (1, 2))
    # Pairs of an earlier and a later node that do not hear each other.
    present_MP = np.arange(num_places) <= (flat.last_M - flat.first_M)[:, None]
    graphs, earlier, later = np.nonzero(np.triu(~reaches_MPP & present_MP[:, None], 1))
    earlier, later = flat.first_M[graphs] + earlier, flat.first_M[graphs] + later
    with np.errstate(divide="ignore"):
        ancestor_N, descendant_N = 1 / before_N, 1 / behind_N
    nodes = np.arange(flat.num_nodes)
    below, above = nodes[before_N > 0], nodes[behind_N > 0]
    last = flat.last_M[flat.graph_N[above]]
    unheard, unhearing = before_N[later] > 0, behind_N[earlier] > 0
    # (way, the node that hears, the node that is heard or up to which there is a sum, whether it is
    # a sum, weight)
    parts = [
        (0, flat.target_E, flat.source_E, 0, weight_E),
        (1, flat.source_E, flat.target_E, 0, weight_E),
        (2, below, below - 1, 1, ancestor_N[below]),
        (2, later[unheard], earlier[unheard], 0, -ancestor_N[later[unheard]]),
        (3, above, last, 1, descendant_N[above]),
        (3, above, above, 1, -descendant_N[above]),
        (3, earlier[unhearing], later[unhearing], 0, -descendant_N[earlier[unhearing]]),
    ]
    hearing = np.concatenate([hears for _, hears, _, _, _ in parts])
    row = np.concatenate([4 * place_N[hears] + way for way, hears, _, _, _ in parts])
    column = np.concatenate(
        [place_N[heard] + num_places * is_sum for _, _, heard, is_sum, _ in parts]
    )
    weight = np.concatenate([weights for *_, weights in parts]).astype(np.float32)
    graph_T = flat.graph_N[hearing]
    order = np.argsort(graph_T, kind="stable")
    return Sparse(
        num_places,
        flat.last_M - flat.first_M + 1,
        np.bincount(graph_T, minlength=flat.num_graphs),
        row[order],
        column[order],
        weight[order],
    )
