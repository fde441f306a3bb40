"""Layers of several independent networks at once: every tensor has a dimension for the ensemble's members.

Shapes: N nodes, M graphs, K members, H hidden features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from predictors.batch import Encoded


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one thread of the CPU.

    These tensors are too small to gain from more, and threads that wait for each other lose very much where trainings run beside (measured: a fit of
    3 seconds took 150 on two busy cores). Results then do not depend on the number of cores either.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Adjacency:
    """A sparse N x N matrix by rows, and its transpose: y_i = sum over the entries of row i of weight * x_column.

    Attributes:
        column_E, weight_E: the entries, ordered by row.
        start_N: where each row's entries start.
        column_t_E, weight_t_E, start_t_N: the same for the transpose.
    """

    column_E: Tensor
    weight_E: Tensor
    start_N: Tensor
    column_t_E: Tensor
    weight_t_E: Tensor
    start_t_N: Tensor

    @property
    def transposed(self) -> Adjacency:
        """The transpose."""
        return Adjacency(self.column_t_E, self.weight_t_E, self.start_t_N, self.column_E, self.weight_E, self.start_N)


@dataclass(frozen=True)
class Tensors:
    """M encoded graphs on a device."""

    op_N: Tensor
    node_NA: Tensor
    graph_N: Tensor
    nodes_M: Tensor
    first_M: Tensor
    last_M: Tensor
    counts_MC: Tensor
    adjacency: Adjacency


def to_tensors(encoded: Encoded, device: torch.device) -> Tensors:
    """The graphs on the device. Later arguments of an operation weigh a little less, so that a - b and b - a differ; parallel edges add up."""
    flat = encoded.flat
    weight_E = torch.from_numpy((0.5 + 0.5 / (1 + flat.slot_E)).astype("float32"))
    source_E, target_E = torch.from_numpy(flat.source_E), torch.from_numpy(flat.target_E)
    rows = _by_row(target_E, source_E, weight_E, flat.num_nodes)
    transposed = _by_row(source_E, target_E, weight_E, flat.num_nodes)
    adjacency = Adjacency(*(part.to(device) for part in (*rows, *transposed)))

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return Tensors(
        op_N=tensor(encoded.op_N),
        node_NA=tensor(encoded.node_NA),
        graph_N=tensor(flat.graph_N),
        nodes_M=tensor(flat.last_M - flat.first_M + 1),
        first_M=tensor(flat.first_M),
        last_M=tensor(flat.last_M),
        counts_MC=tensor(encoded.counts_MC),
        adjacency=adjacency,
    )


def _by_row(row_E: Tensor, column_E: Tensor, weight_E: Tensor, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    order_E = torch.argsort(row_E, stable=True)
    per_row_N = torch.bincount(row_E, minlength=num_rows)
    return column_E[order_E], weight_E[order_E], torch.cumsum(per_row_N, 0) - per_row_N


class _SumOfNeighbours(torch.autograd.Function):
    """y = A x, whose gradient is A^T applied to y's: both are sums over ordered rows, so the result does not depend on threads."""

    @staticmethod
    def forward(ctx, x_NH: Tensor, adjacency: Adjacency) -> Tensor:  # type: ignore[override]
        ctx.adjacency = adjacency
        return _multiply(adjacency, x_NH)

    @staticmethod
    def backward(ctx, gradient_NH: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _multiply(ctx.adjacency.transposed, gradient_NH.contiguous()), None


def _multiply(matrix: Adjacency, x_NH: Tensor) -> Tensor:
    if len(matrix.column_E) == 0:
        return torch.zeros_like(x_NH)
    return nn.functional.embedding_bag(matrix.column_E, x_NH, matrix.start_N, mode="sum", per_sample_weights=matrix.weight_E)


def sum_of_neighbours(x_NKH: Tensor, adjacency: Adjacency) -> Tensor:
    """For each node the weighted sum of the features of the nodes in its row of the matrix; (N, K, H) both."""
    return _SumOfNeighbours.apply(x_NKH.flatten(1), adjacency).view_as(x_NKH)  # type: ignore[union-attr]


class MemberLinear(nn.Module):
    r"""A linear map for each member: y_k = x_k W_k + b_k; (N, K, I) or (N, I) to (N, K, H)."""

    def __init__(self, members: int, inputs: int, outputs: int, generator: torch.Generator, gain: float = 1.0) -> None:
        super().__init__()
        bound = gain * (3.0 / max(inputs, 1)) ** 0.5
        self.weight = nn.Parameter((torch.rand(members, inputs, outputs, generator=generator) * 2 - 1) * bound)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The mapped features."""
        x_KNI = x.transpose(0, 1) if x.dim() == 3 else x.expand(len(self.weight), *x.shape)
        return torch.baddbmm(self.bias, x_KNI, self.weight).transpose(0, 1)


class MessagePassing(nn.Module):
    r"""One step of messages along and against the edges.

    .. math::
        h_i' = h_i + \mathrm{relu}(\mathrm{norm}(W_0 h_i + W_1 \sum_{j \to i} w_{ji} h_j + W_2 \sum_{i \to j} w_{ij} h_j + b))

    with one W for each member, the norm over the features of a node. (N, K, H) to (N, K, H). The two directions have weights of their own, as in
    Directed GNNs (Rossi et al. 2023).
    """

    def __init__(self, members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = MemberLinear(members, 3 * width, width, generator)
        self.scale = nn.Parameter(torch.ones(members, width))
        self.shift = nn.Parameter(torch.zeros(members, width))

    def forward(self, h_NKH: Tensor, adjacency: Adjacency) -> Tensor:
        """The nodes' features after the step."""
        inputs = torch.cat([h_NKH, sum_of_neighbours(h_NKH, adjacency), sum_of_neighbours(h_NKH, adjacency.transposed)], dim=-1)
        mixed = nn.functional.layer_norm(self.linear(inputs), (h_NKH.shape[-1],))
        return h_NKH + torch.relu(mixed * self.scale + self.shift)


def mean_of_graph(h_NKH: Tensor, tensors: Tensors) -> Tensor:
    """(M, K, H) the mean of each graph's nodes."""
    summed = h_NKH.new_zeros(len(tensors.nodes_M), *h_NKH.shape[1:]).index_add(0, tensors.graph_N, h_NKH)
    return summed / tensors.nodes_M[:, None, None]
