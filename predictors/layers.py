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
from torch_geometric.nn import SimpleConv, global_mean_pool

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
    """M encoded graphs on a device, as torch-geometric has them: side by side in one graph of N nodes, `edge_2E` from source to target."""

    op_N: Tensor
    node_NA: Tensor
    graph_N: Tensor
    first_M: Tensor
    last_M: Tensor
    counts_MC: Tensor
    edge_2E: Tensor
    weight_E: Tensor


def to_tensors(encoded: Encoded, device: torch.device) -> Tensors:
    """The graphs on the device. Later arguments of an operation weigh a little less, so that a - b and b - a differ; parallel edges add up."""
    flat = encoded.flat

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return Tensors(
        op_N=tensor(encoded.op_N),
        node_NA=tensor(encoded.node_NA),
        graph_N=tensor(flat.graph_N),
        first_M=tensor(flat.first_M),
        last_M=tensor(flat.last_M),
        counts_MC=tensor(encoded.counts_MC),
        edge_2E=tensor(np.stack([flat.source_E, flat.target_E])),
        weight_E=tensor((0.5 + 0.5 / (1 + flat.slot_E)).astype("float32")),
    )


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


class BothWays(nn.Module):
    r"""One step of messages along and against the edges.

    .. math::
        h_i' = h_i + \mathrm{relu}(\mathrm{norm}(W_0 h_i + W_1 \sum_{j \to i} w_{ji} h_j + W_2 \sum_{i \to j} w_{ij} h_j + b))

    with one W for each member, the norm over the features of a node. (N, K, H) to (N, K, H). The two directions have weights of their own, as in
    Directed GNNs (Rossi et al. 2023). The sums are torch-geometric's `SimpleConv`, over the members side by side.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.sum = SimpleConv(aggr="sum")
        self.linear = MemberLinear(members, 3 * width, width, generator)
        self.scale = nn.Parameter(torch.ones(members, width))
        self.shift = nn.Parameter(torch.zeros(members, width))

    def forward(self, h_NKH: Tensor, tensors: Tensors) -> Tensor:
        """The nodes' features after the step."""
        flat_NF = h_NKH.flatten(1)
        along, against = (self.sum(flat_NF, edge_2E, tensors.weight_E).view_as(h_NKH) for edge_2E in (tensors.edge_2E, tensors.edge_2E.flip(0)))
        mixed = nn.functional.layer_norm(self.linear(torch.cat([h_NKH, along, against], dim=-1)), (h_NKH.shape[-1],))
        return h_NKH + torch.relu(mixed * self.scale + self.shift)


def mean_of_graph(h_NKH: Tensor, tensors: Tensors) -> Tensor:
    """(M, K, H) the mean of each graph's nodes."""
    return global_mean_pool(h_NKH.flatten(1), tensors.graph_N, size=len(tensors.first_M)).view(-1, *h_NKH.shape[1:])
