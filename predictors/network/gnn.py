"""The graph network: node embedding, message passing, readout, and a linear head.

The readout concatenates the features of the input node, those of the output node, and the mean and
the maximum over all nodes. The network does not use the counted features of the whole graph. The
other learners use them, and a network without them adds more to an average with these learners
(docs/predictors.md).

Shapes: M graphs, P padded node positions, K members, H hidden features, A node features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from predictors.network.layers import FlowMessages, MemberLinear, Tensors, read_out


@dataclass(frozen=True)
class Sizes:
    """The sizes that determine the shapes of the weights.

    Attributes:
        members: K, the number of networks. They share no weights.
        num_ops, num_node_features: numbers of operations and node features in the encoding.
        width: H.
        layers: message-passing steps.
    """

    members: int
    num_ops: int
    num_node_features: int
    width: int
    layers: int


class GraphNetwork(nn.Module):
    """K independent graph networks of equal sizes; the generator draws all weights."""

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
        """A copy of the members `first` to `last - 1`."""
        sizes = replace(self.sizes, members=last - first)
        kept = GraphNetwork(sizes, torch.Generator()).to(self.device)
        # The first dimension of every weight is that of the members.
        weights = {name: weight[first:last] for name, weight in self.state_dict().items()}
        kept.load_state_dict(weights)
        return kept

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.op.device

    def forward(self, tensors: Tensors, hidden_MPK: Tensor | None = None) -> Tensor:
        """(M, K) the prediction of each member for each graph.

        Args:
            hidden_MPK: true where the operation of a node is replaced by `unknown` for a member.
        """
        return self.head(self.read_graphs(tensors, self.op[:, tensors.op_MP], hidden_MPK))

    def read_graphs(
        self, tensors: Tensors, op_KMPH: Tensor, hidden_MPK: Tensor | None = None
    ) -> Tensor:
        """(K, M, H) the features of each graph.

        Args:
            op_KMPH: embeddings of the nodes' operations. They replace `tensors.op_MP`.
            hidden_MPK: see `forward`.
        """
        node_KNH = self.node(tensors.node_MPA.flatten(0, 1))
        h_KMPH = op_KMPH + node_KNH.unflatten(1, tensors.op_MP.shape)
        if hidden_MPK is not None:
            hidden_KMP1 = hidden_MPK.permute(2, 0, 1)[..., None]
            h_KMPH = torch.where(hidden_KMP1, self.op[:, None, None, 0], h_KMPH)
        h_KNH = tensors.relations.pack(h_KMPH)
        for layer in self.layers:
            h_KNH = layer(h_KNH, tensors.relations)
        read_KMH = self.read(read_out(tensors.relations.unpack(h_KNH), tensors))
        return torch.relu(nn.functional.layer_norm(read_KMH, (read_KMH.shape[-1],)))

    def head(self, graph_KMH: Tensor) -> Tensor:
        """(M, K) the prediction of each member from the features of each graph."""
        return self.mean(graph_KMH).squeeze(-1).T
