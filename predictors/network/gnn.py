"""The graph network: node embedding, message passing, a readout at input, output, mean and maximum,
a head for the mean.

It sees no counted features of the whole graph: those are the other learners' view, and what it
finds by itself adds more to theirs (docs/predictors.md).

Shapes: M graphs, P places for a graph's nodes, K members, H hidden features, A node features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from predictors.network.layers import FlowMessages, MemberLinear, Tensors, read_out


@dataclass(frozen=True)
class Sizes:
    """What a network's weights are shaped by.

    Attributes:
        members: K networks side by side that share nothing.
        num_ops, num_node_features: of the encoding.
        width: H.
        layers: steps of message passing.
    """

    members: int
    num_ops: int
    num_node_features: int
    width: int
    layers: int


class GraphNetwork(nn.Module):
    """K independent graph networks of the same form. All weights are drawn from the generator."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        members, width = sizes.members, sizes.width
        self.op = nn.Parameter(torch.randn(members, sizes.num_ops, width, generator=generator))
        self.node = MemberLinear(members, sizes.num_node_features, width, generator)
        self.layers = nn.ModuleList(
            FlowMessages(members, width, generator) for _ in range(sizes.layers)
        )
        self.read = MemberLinear(members, 4 * width, width, generator)
        self.mean = MemberLinear(members, width, 1, generator, gain=0.1)

    def only(self, first: int, last: int) -> GraphNetwork:
        """Some of the networks, `first` to before `last`, by themselves: every weight has its
        members in its first dimension.
        """
        kept = GraphNetwork(replace(self.sizes, members=last - first), torch.Generator()).to(
            self.device
        )
        kept.load_state_dict(
            {name: weight[first:last] for name, weight in self.state_dict().items()}
        )
        return kept

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.op.device

    def forward(self, tensors: Tensors, hidden_MPK: Tensor | None = None) -> Tensor:
        """(M, K) what each member expects of each graph's target. A node that is hidden from a
        member is one of an unknown operation.
        """
        return self.judge(self.read_graphs(tensors, self.op[:, tensors.op_MP], hidden_MPK))

    def read_graphs(
        self, tensors: Tensors, op_KMPH: Tensor, hidden_MPK: Tensor | None = None
    ) -> Tensor:
        """(K, M, H) each graph's features, the nodes' operations being these features instead of
        those in `tensors`.
        """
        h_KMPH = op_KMPH + self.node(tensors.node_MPA.flatten(0, 1)).unflatten(
            1, tensors.op_MP.shape
        )
        if hidden_MPK is not None:
            h_KMPH = torch.where(
                hidden_MPK.permute(2, 0, 1)[..., None], self.op[:, None, None, 0], h_KMPH
            )
        h_KNH = tensors.relations.pack(h_KMPH)
        for layer in self.layers:
            h_KNH = layer(h_KNH, tensors.relations)
        read_KMH = self.read(read_out(tensors.relations.unpack(h_KNH), tensors))
        return torch.relu(nn.functional.layer_norm(read_KMH, (read_KMH.shape[-1],)))

    def judge(self, graph_KMH: Tensor) -> Tensor:
        """(M, K) what each member expects of a graph with these features."""
        return self.mean(graph_KMH).squeeze(-1).T
