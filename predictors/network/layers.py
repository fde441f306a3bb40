"""Neural-network layers that compute all members of an ensemble at once.

Every tensor has a dimension for the members.

Shapes: M graphs, P padded node positions, N nodes of all graphs (see `relations`), K members,
H hidden features.
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
    """Inside this context torch uses one CPU thread.

    The tensors are too small to gain from more threads. If other trainings run on the same cores,
    threads that wait for each other are very slow: a fit of 3 seconds took 150 seconds on two busy
    cores. With one thread the results do not depend on the number of cores either.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Tensors:
    """M encoded graphs on a device, each padded to P nodes; position 0 holds the input node.

    Attributes:
        op_MP, node_MPA: the index of each node's operation, and its features; 0 in the padding.
        present_MP: true for nodes, false for padding.
        last_M: the position of each graph's output node.
        relations: computes the messages that the nodes receive.
    """

    op_MP: Tensor
    node_MPA: Tensor
    present_MP: Tensor
    last_M: Tensor
    relations: Dense | Sparse

    def take(self, row_B: Tensor) -> Tensors:
        """The graphs with these indices, in this order."""
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
    r"""A linear map for each member k: y_k = x_k W_k + b_k.

    It maps (K, N, I), or (N, I) for all members, to (K, N, H).
    """

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
        x_KNI = x if x.dim() == 3 else x.expand(len(self.weight), *x.shape)
        return torch.baddbmm(self.bias, x_KNI, self.weight)


class FlowMessages(nn.Module):
    r"""One message-passing step between neighbours, and between ancestors and descendants.

    .. math::
        h_i' = h_i + \mathrm{relu}(\mathrm{norm}(W_0 h_i
            + W_1 \sum_{j \to i} w_{ji} h_j + W_2 \sum_{i \to j} w_{ij} h_j
            + W_3 \, \mathrm{mean}_{j \leadsto i} h_j
            + W_4 \, \mathrm{mean}_{i \leadsto j} h_j + b_i))

    Each member has its own W. An arrow with a tail stands for a path of any length. The norm is
    over the features of one node. Every one of the five maps has a bias, which is weighted and
    summed like its values; b_i is the sum of these terms. Input and output are (K, N, H).

    The two directions have separate weights, as in Directed GNNs (Rossi et al. 2023). A node
    receives messages from all its ancestors and descendants and from no other node, as under
    FlowerFormer's mask (Hwang et al. 2024), but with equal weights instead of attention.
    """

    def __init__(self, members: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = MemberLinear(members, width, 5 * width, generator, gain=5**-0.5)
        self.scale = nn.Parameter(torch.ones(members, width))
        self.shift = nn.Parameter(torch.zeros(members, width))

    def forward(self, h_KNH: Tensor, relations: Dense | Sparse) -> Tensor:
        """(K, N, H) the features of the nodes after the step."""
        members, _, width = h_KNH.shape
        own_KHH, others_KH4H = self.linear.weight.split([width, 4 * width], dim=2)
        own_K1H, others_K14H = self.linear.bias.split([width, 4 * width], dim=2)
        # Sums commute with linear maps, so the features are summed before they are mapped. The four
        # messages of a node then lie side by side in memory. Rearranging a tensor of this size took
        # half of the time.
        message_KNF = relations.messages(h_KNH)
        total_KN4 = relations.weights.expand(members, -1, -1)
        by_way_K4HH = others_KH4H.unflatten(2, (4, width)).transpose(1, 2)
        others_KFH = by_way_K4HH.reshape(members, 4 * width, width)
        mixed_KNH = torch.baddbmm(own_K1H, h_KNH, own_KHH)
        mixed_KNH = torch.baddbmm(mixed_KNH, message_KNF, others_KFH)
        mixed_KNH = torch.baddbmm(mixed_KNH, total_KN4, others_K14H.view(members, 4, width))
        normed_KNH = nn.functional.layer_norm(mixed_KNH, (width,))
        return h_KNH + torch.relu(normed_KNH * self.scale[:, None] + self.shift[:, None])


def read_out(h_KMPH: Tensor, tensors: Tensors) -> Tensor:
    """(K, M, 4H) the features of the input and output nodes, and the mean and maximum of all."""
    absent_MP1 = ~tensors.present_MP[..., None]
    output_KMH = h_KMPH[:, torch.arange(h_KMPH.shape[1], device=h_KMPH.device), tensors.last_M]
    mean_KMH = h_KMPH.masked_fill(absent_MP1, 0.0).sum(2) / (tensors.last_M + 1)[:, None]
    maximum_KMH = h_KMPH.masked_fill(absent_MP1, -torch.inf).amax(2)
    return torch.cat([h_KMPH[:, :, 0], output_KMH, mean_KMH, maximum_KMH], dim=-1)
