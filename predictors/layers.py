"""Layers of several independent networks at once: every tensor has a dimension for the ensemble's members.

Shapes: M graphs, P places for a graph's nodes, N = M P places, K members, H hidden features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.utils import to_dense_adj, to_dense_batch

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
class Tensors:
    """M encoded graphs on a device, each padded to P nodes, its input being the first.

    Attributes:
        op_MP, node_MPA: the number of each node's operation, and its features; 0 where there is no node.
        present_MP: where there is one.
        last_M: the place of each graph's output.
        relation_MPQ: what a node (a row) hears of the others, in four ways of P columns each: the sum over what feeds it, the sum over what it feeds,
            the mean over all of its ancestors, the mean over all of its descendants. Q = 4 P.
    """

    op_MP: Tensor
    node_MPA: Tensor
    present_MP: Tensor
    last_M: Tensor
    relation_MPQ: Tensor

    def take(self, row_B: Tensor) -> Tensors:
        """The graphs of these numbers, in this order."""
        return Tensors(*(getattr(self, field.name)[row_B] for field in fields(self)))


def to_tensors(encoded: Encoded, device: torch.device) -> Tensors:
    """The graphs on the device. Later arguments of an operation weigh a little less, so that a - b and b - a differ; parallel edges add up."""
    flat = encoded.flat

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    graph_N, num_graphs = tensor(flat.graph_N), flat.num_graphs
    last_M = tensor(flat.last_M - flat.first_M)
    num_places = int(last_M.max()) + 1
    op_MP, present_MP = to_dense_batch(tensor(encoded.op_N), graph_N, max_num_nodes=num_places, batch_size=num_graphs)
    node_MPA, _ = to_dense_batch(tensor(encoded.node_NA), graph_N, max_num_nodes=num_places, batch_size=num_graphs)
    weight_E = tensor((0.5 + 0.5 / (1 + flat.slot_E)).astype("float32"))
    edge_2E = tensor(np.stack([flat.source_E, flat.target_E]))
    feeds_MPP = to_dense_adj(edge_2E, graph_N, weight_E, max_num_nodes=num_places, batch_size=num_graphs)
    reaches_MPP = (feeds_MPP > 0).float()
    for _ in range(num_places.bit_length()):
        reaches_MPP = (reaches_MPP + reaches_MPP @ reaches_MPP > 0).float()
    ways = [feeds_MPP.mT, feeds_MPP, _mean(reaches_MPP.mT), _mean(reaches_MPP)]
    return Tensors(op_MP, node_MPA, present_MP, last_M, torch.cat(ways, dim=2))


def _mean(relation_MPP: Tensor) -> Tensor:
    return relation_MPP / relation_MPP.sum(-1, keepdim=True).clamp_min(1)


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


class FlowMessages(nn.Module):
    r"""One step of messages along and against the flow of the graph, from neighbours and from afar.

    .. math::
        h_i' = h_i + \mathrm{relu}(\mathrm{norm}(W_0 h_i + W_1 \sum_{j \to i} w_{ji} h_j + W_2 \sum_{i \to j} w_{ij} h_j
            + W_3 \, \mathrm{mean}_{j \leadsto i} h_j + W_4 \, \mathrm{mean}_{i \leadsto j} h_j + b_i))

    with one W for each member, b_i the biases of the five maps, summed as their values are, the norm over the features of a node,
    and the arrow with a tail for a path of any length. (M, P, K, H) to the same.
    The two directions have weights of their own, as in Directed GNNs (Rossi et al. 2023); that a node sees all of its ancestors and descendants, and
    nothing else, is FlowerFormer's mask (Hwang et al. 2024), here with equal weights in place of attention.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = MemberLinear(members, width, 5 * width, generator, gain=5**-0.5)
        self.scale = nn.Parameter(torch.ones(members, width))
        self.shift = nn.Parameter(torch.zeros(members, width))

    def forward(self, h_MPKH: Tensor, tensors: Tensors) -> Tensor:
        """The nodes' features after the step."""
        num_graphs, num_places, members, width = h_MPKH.shape
        said_MPK5H = self.linear(h_MPKH.flatten(0, 1)).reshape(num_graphs, num_places, members, 5, width)
        # The four relations side by side, so that one product of matrices sums what is heard in all four ways.
        others_MQF = said_MPK5H[:, :, :, 1:].permute(0, 3, 1, 2, 4).reshape(num_graphs, 4 * num_places, members * width)
        mixed_MPKH = said_MPK5H[:, :, :, 0] + (tensors.relation_MPQ @ others_MQF).view_as(h_MPKH)
        return h_MPKH + torch.relu(nn.functional.layer_norm(mixed_MPKH, (width,)) * self.scale + self.shift)


def read_out(h_MPKH: Tensor, tensors: Tensors) -> Tensor:
    """(M, K, 4H) the features of each graph's input and output, and the mean and the largest over its nodes."""
    absent_MP11 = ~tensors.present_MP[:, :, None, None]
    output_MKH = h_MPKH[torch.arange(len(h_MPKH), device=h_MPKH.device), tensors.last_M]
    mean_MKH = h_MPKH.masked_fill(absent_MP11, 0.0).sum(1) / (tensors.last_M + 1)[:, None, None]
    return torch.cat([h_MPKH[:, 0], output_MKH, mean_MKH, h_MPKH.masked_fill(absent_MP11, -torch.inf).amax(1)], dim=-1)
