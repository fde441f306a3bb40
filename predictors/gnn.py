"""The graph network: node embedding, message passing, a readout at input, output and mean beside the counted numbers, a head with mean and variance.

Shapes: N nodes, M graphs, K members, H hidden features, A node features, C counted features of a graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from predictors.layers import BothWays, MemberLinear, Tensors, mean_of_graph


@dataclass(frozen=True)
class Sizes:
    """What a network's weights are shaped by.

    Attributes:
        members: K networks side by side that share nothing.
        num_ops, num_node_features, num_counts: of the encoding.
        width: H.
        layers: steps of message passing.
    """

    members: int
    num_ops: int
    num_node_features: int
    num_counts: int
    width: int
    layers: int


class GraphNetwork(nn.Module):
    """K independent graph networks of the same form. All weights are drawn from the generator."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        members, width = sizes.members, sizes.width
        self.op = nn.Parameter(torch.randn(sizes.num_ops, members, width, generator=generator))
        self.node = MemberLinear(members, sizes.num_node_features, width, generator)
        self.layers = nn.ModuleList(BothWays(members, width, generator) for _ in range(sizes.layers))
        self.read = MemberLinear(members, 3 * width, width, generator)
        self.counted = MemberLinear(members, sizes.num_counts, width, generator, gain=0.5)
        self.mean = MemberLinear(members, width, 1, generator, gain=0.1)
        self.log_variance = MemberLinear(members, width, 1, generator, gain=0.1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.op.device

    def forward(self, tensors: Tensors) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of each graph's target: (M, K) each."""
        h_NKH = self.op[tensors.op_N] + self.node(tensors.node_NA)
        for layer in self.layers:
            h_NKH = layer(h_NKH, tensors)
        ends_MK3H = torch.cat([h_NKH[tensors.first_M], h_NKH[tensors.last_M], mean_of_graph(h_NKH, tensors)], dim=-1)
        read_MKH = nn.functional.layer_norm(self.read(ends_MK3H), (h_NKH.shape[-1],))
        graph_MKH = torch.relu(read_MKH + self.counted(tensors.counts_MC))
        # Detached, so that what is learnt about the error of left-out graphs does not reach the features that the mean is made of.
        log_variance_MK = self.log_variance(graph_MKH.detach()).squeeze(-1)
        # Bounded softly: targets have a variance of 1, so this one stays between e^-6 and e^2 of theirs.
        return self.mean(graph_MKH).squeeze(-1), 4.0 * torch.tanh(log_variance_MK / 4.0) - 2.0
