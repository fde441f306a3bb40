"""The messages that a node receives: sums over neighbours, means over ancestors and descendants.

A node receives messages in four ways: the weighted sums over the nodes that it has edges from and
over those that it has edges to, the mean over its ancestors, and the mean over its descendants.

For small graphs the relations are dense matrices. In a large graph nearly every node is an ancestor
of nearly every later one, so the sum over the ancestors is a prefix sum over all earlier nodes,
minus the few that are no ancestors. Together with the prefix sums the relations are therefore
sparse matrices.

Shapes: M graphs, P padded node positions, N nodes that messages are sent among (`Dense`: M P,
padding included; `Sparse`: without padding), E edges, R = 4 P with four rows for each position,
S columns of all sparse matrices, T nonzero numbers of a sparse matrix, K members, H features.
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
from predictors.reading.paths import reached

# On a CPU, graphs with more nodes than this use sparse relations.
MOST_PLACES = 64


@dataclass(frozen=True)
class Dense:
    """The relations of M graphs as dense matrices.

    Attributes:
        matrix_MRP: the weight of each sender's features in each message. Row 4 p + w is the message
            that the node at position p receives in way w.
    """

    matrix_MRP: Tensor

    def pack(self, h_KMPH: Tensor) -> Tensor:
        """(K, N, H) the features without the dimension of the graphs, padding included."""
        return h_KMPH.flatten(1, 2)

    def unpack(self, h_KNH: Tensor) -> Tensor:
        """(K, M, P, H) the inverse of `pack`."""
        return h_KNH.unflatten(1, (len(self.matrix_MRP), -1))

    def messages(self, h_KNH: Tensor) -> Tensor:
        """(K, N, 4H) the messages that each node receives, those of the four ways concatenated."""
        # A single product for all members would copy the matrices for each member, and keep the
        # copies.
        message_KMRH = torch.stack([self.matrix_MRP @ h_MPH for h_MPH in self.unpack(h_KNH)])
        return message_KMRH.view(*h_KNH.shape[:2], -1)

    @cached_property
    def weights(self) -> Tensor:
        """(N, 4) the sum of the weights in each message that a node receives."""
        return self.matrix_MRP.sum(-1).view(-1, 4)

    def take(self, row_B: Tensor) -> Dense:
        """The relations of the graphs with these indices, in this order."""
        return Dense(self.matrix_MRP[row_B])


@dataclass(frozen=True)
class Sparse:
    """The relations of M graphs as sparse matrices.

    The matrix of a graph is (4P, 2P). Column p < P stands for the features of the node at position
    p, and column P + p for the prefix sum of the features up to that position.

    Attributes:
        num_places: P.
        nodes_M, entries_M: the numbers of nodes and of nonzero numbers of each graph.
        row_T, column_T, weight_T: the nonzero numbers and their positions, graph after graph.
    """

    num_places: int
    nodes_M: np.ndarray
    entries_M: np.ndarray
    row_T: np.ndarray
    column_T: np.ndarray
    weight_T: np.ndarray

    def pack(self, h_KMPH: Tensor) -> Tensor:
        """(K, N, H) the features of the nodes, without padding."""
        return h_KMPH.flatten(1, 2).index_select(1, self._places)

    def unpack(self, h_KNH: Tensor) -> Tensor:
        """(K, M, P, H) the inverse of `pack`, with 0 in the padding."""
        count, (members, _, width) = len(self.nodes_M), h_KNH.shape
        padded = h_KNH.new_zeros(members, count * self.num_places, width)
        return padded.index_copy(1, self._places, h_KNH).unflatten(1, (count, -1))

    def messages(self, h_KNH: Tensor) -> Tensor:
        """See `Dense.messages`."""
        prefix_sums = self.unpack(h_KNH).cumsum(2).flatten(1, 2)
        both_KSH = torch.cat([h_KNH, prefix_sums], dim=1)
        product: Any = _Product.apply(both_KSH, *self._matrices)
        return product.view(*h_KNH.shape[:2], -1)

    @cached_property
    def weights(self) -> Tensor:
        """See `Dense.weights`."""
        return self.messages(torch.ones(1, len(self._places), 1))[0]

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
        """(N,) the index of each node among the padded positions of all graphs."""
        first_M = np.arange(len(self.nodes_M)) * self.num_places
        return torch.from_numpy(ranges(first_M, self.nodes_M))

    @cached_property
    def _matrices(self) -> tuple[Tensor, Tensor]:
        """One matrix for all graphs, and its transpose.

        The columns of the prefix sums come after those of the features.
        """
        from scipy.sparse import csr_array

        count, nodes = len(self.nodes_M), int(self.nodes_M.sum())
        graph_T = np.repeat(np.arange(count), self.entries_M)
        first_T = (np.cumsum(self.nodes_M) - self.nodes_M)[graph_T]
        of_sum_T = nodes + graph_T * self.num_places + self.column_T - self.num_places
        of_node_T = first_T + self.column_T
        place_T = np.where(self.column_T < self.num_places, of_node_T, of_sum_T)
        shape = 4 * nodes, nodes + count * self.num_places
        matrix = csr_array((self.weight_T, (4 * first_T + self.row_T, place_T)), shape=shape)
        return _compressed(matrix), _compressed(matrix.T.tocsr())


class _Product(torch.autograd.Function):
    """The product of a sparse matrix (4N, S) and (K, S, H), for each member.

    Its derivative is a product with the transposed matrix, so it is differentiable to any order.
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
    """A scipy matrix as a torch matrix.

    The product of torch is ten times as fast, and it does not block other threads.
    """
    # Torch would convert other integer types at every product.
    rows, columns = (
        torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices)
    )
    return torch.sparse_csr_tensor(
        rows, columns, torch.from_numpy(matrix.data), size=matrix.shape, check_invariants=False
    )


with warnings.catch_warnings():
    # At the first such matrix of a process torch warns that its sparse matrices are experimental.
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor([0, 0], [], torch.zeros(0), size=(1, 1), check_invariants=False)


def relations_of(flat: Flat, device: torch.device) -> Dense | Sparse:
    """The relations of the graphs, on the device.

    Later arguments of an operation have a slightly smaller weight, so that a - b and b - a differ.
    The weights of parallel edges add up.
    """
    num_places = int((flat.last_M - flat.first_M).max()) + 1
    weight_E = (0.5 + 0.5 / (1 + flat.slot_E)).astype(np.float32)
    if num_places > MOST_PLACES and device.type == "cpu":
        return _sparse(flat, num_places, weight_E)
    return _dense(flat, num_places, weight_E, device)


def _dense(flat: Flat, num_places: int, weight_E: np.ndarray, device: torch.device) -> Dense:
    def matrices(source: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> Tensor:
        pairs = torch.from_numpy(np.stack([source, target])).to(device)
        graph_N = torch.from_numpy(flat.graph_N).to(device)
        weights = None if weight is None else torch.from_numpy(weight).to(device)
        return to_dense_adj(
            pairs, graph_N, weights, max_num_nodes=num_places, batch_size=flat.num_graphs
        )

    feeds_MPP = matrices(flat.source_E, flat.target_E, weight_E)
    reaches_MPP = matrices(*reached(flat), None)
    ways = [feeds_MPP.mT, feeds_MPP, _mean(reaches_MPP.mT), _mean(reaches_MPP)]
    return Dense(torch.stack(ways, dim=2).flatten(1, 2))


def _mean(relation_MPP: Tensor) -> Tensor:
    return relation_MPP / relation_MPP.sum(-1, keepdim=True).clamp_min(1)


def _sparse(flat: Flat, num_places: int, weight_E: np.ndarray) -> Sparse:
    """The relations of `_dense`, as prefix sums over all nodes minus the nodes not related."""
    place_N = np.arange(flat.num_nodes) - flat.first_M[flat.graph_N]
    reaches_MPP = np.zeros((flat.num_graphs, num_places, num_places), dtype=bool)
    sources, targets = reached(flat)
    reaches_MPP[flat.graph_N[targets], place_N[sources], place_N[targets]] = True
    ancestors_N, descendants_N = (reaches_MPP.sum(axis)[flat.graph_N, place_N] for axis in (1, 2))
    # Pairs of an earlier and a later node without a path between them.
    present_MP = np.arange(num_places) <= (flat.last_M - flat.first_M)[:, None]
    graphs, earlier, later = np.nonzero(np.triu(~reaches_MPP & present_MP[:, None], 1))
    earlier, later = flat.first_M[graphs] + earlier, flat.first_M[graphs] + later
    with np.errstate(divide="ignore"):
        of_ancestor_N, of_descendant_N = 1 / ancestors_N, 1 / descendants_N
    nodes = np.arange(flat.num_nodes)
    below, above = nodes[ancestors_N > 0], nodes[descendants_N > 0]
    last = flat.last_M[flat.graph_N[above]]
    # Unrelated pairs whose later node has ancestors, and those whose earlier node has descendants.
    down, up = ancestors_N[later] > 0, descendants_N[earlier] > 0
    # (way, receiver, sender or end of a prefix sum, 1 for a prefix sum, weight)
    parts = [
        (0, flat.target_E, flat.source_E, 0, weight_E),
        (1, flat.source_E, flat.target_E, 0, weight_E),
        (2, below, below - 1, 1, of_ancestor_N[below]),
        (2, later[down], earlier[down], 0, -of_ancestor_N[later[down]]),
        (3, above, last, 1, of_descendant_N[above]),
        (3, above, above, 1, -of_descendant_N[above]),
        (3, earlier[up], later[up], 0, -of_descendant_N[earlier[up]]),
    ]
    receiver_T = np.concatenate([receiver for _, receiver, _, _, _ in parts])
    row = np.concatenate([4 * place_N[receiver] + way for way, receiver, _, _, _ in parts])
    column = np.concatenate(
        [place_N[sender] + num_places * is_sum for _, _, sender, is_sum, _ in parts]
    )
    weight = np.concatenate([weights for *_, weights in parts]).astype(np.float32)
    graph_T = flat.graph_N[receiver_T]
    order = np.argsort(graph_T, kind="stable")
    return Sparse(
        num_places,
        flat.last_M - flat.first_M + 1,
        np.bincount(graph_T, minlength=flat.num_graphs),
        row[order],
        column[order],
        weight[order],
    )
