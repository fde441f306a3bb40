"""Layers of several independent networks at once: every tensor has a dimension for the ensemble's
members.

Shapes: M graphs, P places for a graph's nodes, N = M P places, K members, H hidden features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

from predictors.network.relations import Dense, Sparse, relations_of
from predictors.reading.batch import Encoded


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one thread of the CPU.

    These tensors are too small to gain from more, and threads that wait for each other lose very
    much where trainings run beside (measured: a fit of 3 seconds took 150 on two busy cores).
    Results then do not depend on the number of cores either.
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
        op_MP, node_MPA: the number of each node's operation, and its features; 0 where there is no
            node.
        present_MP: where there is one.
        last_M: the place of each graph's output.
        relations: what the nodes hear of the others.
    """

    op_MP: Tensor
    node_MPA: Tensor
    present_MP: Tensor
    last_M: Tensor
    relations: Dense | Sparse

    def take(self, row_B: Tensor) -> Tensors:
        """The graphs of these numbers, in this order."""
        return Tensors(
            self.op_MP[row_B],
            self.node_MPA[row_B],
            self.present_MP[row_B],
            self.last_M[row_B],
            self.relations.take(row_B),
        )


def to_tensors(encoded: Encoded, device: torch.device) -> Tensors:
    """The graphs on the device."""
    flat = encoded.flat

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    graph_N, num_graphs = tensor(flat.graph_N), flat.num_graphs
    last_M = tensor(flat.last_M - flat.first_M)
    num_places = int(last_M.max()) + 1
    op_MP, present_MP = to_dense_batch(
        tensor(encoded.op_N), graph_N, max_num_nodes=num_places, batch_size=num_graphs
    )
    node_MPA, _ = to_dense_batch(
        tensor(encoded.node_NA), graph_N, max_num_nodes=num_places, batch_size=num_graphs
    )
    return Tensors(op_MP, node_MPA, present_MP, last_M, relations_of(flat, device))


class MemberLinear(nn.Module):
    r"""A linear map for each member: y_k = x_k W_k + b_k; (K, N, I) or (N, I) to (K, N, H)."""

    def __init__(
        self, members: int, inputs: int, outputs: int, generator: torch.Generator, gain: float = 1.0
    ) -> None:
        super().__init__()
        bound = gain * (3.0 / max(inputs, 1)) ** 0.5
        self.weight = nn.Parameter(
            (torch.rand(members, inputs, outputs, generator=generator) * 2 - 1) * bound
        )
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The mapped features."""
        return torch.baddbmm(
            self.bias, x if x.dim() == 3 else x.expand(len(self.weight), *x.shape), self.weight
        )


class FlowMessages(nn.Module):
    r"""One step of messages along and against the flow of the graph, from neighbours and from afar.

    .. math::
        h_i' = h_i + \mathrm{relu}(\mathrm{norm}(W_0 h_i + W_1 \sum_{j \to i} w_{ji} h_j + W_2
        \sum_{i \to j} w_{ij} h_j
            + W_3 \, \mathrm{mean}_{j \leadsto i} h_j + W_4 \, \mathrm{mean}_{i \leadsto j} h_j +
            b_i))

    with one W for each member, b_i the biases of the five maps, summed as their values are, the
    norm over the features of a node, and the arrow with a tail for a path of any length. (K, N, H)
    to the same. The two directions have weights of their own, as in Directed GNNs (Rossi et al.
    2023); that a node sees all of its ancestors and descendants, and nothing else, is
    FlowerFormer's mask (Hwang et al. 2024), here with equal weights in place of attention.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = MemberLinear(members, width, 5 * width, generator, gain=5**-0.5)
        self.scale = nn.Parameter(torch.ones(members, width))
        self.shift = nn.Parameter(torch.zeros(members, width))

    def forward(self, h_KNH: Tensor, relations: Dense | Sparse) -> Tensor:
        """The nodes' features after the step."""
        members, _, width = h_KNH.shape
        own_KHH, others_KH4H = self.linear.weight.split([width, 4 * width], dim=2)
        own_K1H, others_K14H = self.linear.bias.split([width, 4 * width], dim=2)
        # Sums commute with linear maps, so the nodes' features are summed first: what a node hears
        # in four ways then lies side by side, and no tensor of this size is ever rearranged, which
        # took half of the time.
        heard_KNF = relations.hear(h_KNH)
        heavy_KN4 = relations.weights.expand(members, -1, -1)
        mixed_KNH = torch.baddbmm(own_K1H, h_KNH, own_KHH)
        mixed_KNH = torch.baddbmm(
            mixed_KNH,
            heard_KNF,
            others_KH4H.unflatten(2, (4, width)).transpose(1, 2).reshape(members, 4 * width, width),
        )
        mixed_KNH = torch.baddbmm(mixed_KNH, heavy_KN4, others_K14H.view(members, 4, width))
        normed_KNH = (
            nn.functional.layer_norm(mixed_KNH, (width,)) * self.scale[:, None]
            + self.shift[:, None]
        )
        return h_KNH + torch.relu(normed_KNH)


def read_out(h_KMPH: Tensor, tensors: Tensors) -> Tensor:
    """(K, M, 4H) the features of each graph's input and output, and the mean and the largest over
    its nodes.
    """
    absent_MP1 = ~tensors.present_MP[..., None]
    output_KMH = h_KMPH[:, torch.arange(h_KMPH.shape[1], device=h_KMPH.device), tensors.last_M]
    mean_KMH = h_KMPH.masked_fill(absent_MP1, 0.0).sum(2) / (tensors.last_M + 1)[:, None]
    return torch.cat(
        [h_KMPH[:, :, 0], output_KMH, mean_KMH, h_KMPH.masked_fill(absent_MP1, -torch.inf).amax(2)],
        dim=-1,
    )
