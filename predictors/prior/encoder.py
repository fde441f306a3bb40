"""The graph network that is trained on many tables, on layers of torch-geometric.

This module imports torch-geometric, which takes seconds: import it where a network is needed.

Every number of a node is read in steps between quantiles of the training graphs. So an input is
never larger than what was seen, and a network of an unseen space is not extrapolated to.

Shapes: M graphs, N nodes and E edges of all of them, X inputs of a node, H the width, K heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GraphConv
from torch_geometric.utils import scatter

from predictors.network.layers import one_thread
from predictors.prior.kinds import KINDS
from predictors.prior.networks import Networks
from predictors.prior.node_features import FEATURES

# Graphs in one forward pass, so that the activations stay in the processor's cache.
CHUNK = 128


@dataclass(frozen=True, eq=False)
class Steps:
    """How the numbers of a node become inputs between 0 and 1.

    Attributes:
        feature_S: the feature that each step reads, an index into `node_features.FEATURES`.
        middle_S, width_S: where the step rises, and over which range.
    """

    feature_S: np.ndarray
    middle_S: np.ndarray
    width_S: np.ndarray

    def __len__(self) -> int:
        return len(self.feature_S)

    def read(self, node_NF: np.ndarray) -> np.ndarray:
        """(N, X) the inputs: the kinds of the operations, then the steps; float32."""
        rising_NS = (node_NF[:, self.feature_S] - self.middle_S) / self.width_S + 0.5
        return np.concatenate(
            [node_NF[:, : len(KINDS)], np.clip(rising_NS, 0, 1)], axis=1, dtype=np.float32
        )


def steps_of(node_NF: np.ndarray, each: int) -> Steps:
    """At most `each` steps for a number, at its quantiles over these nodes.

    With `each` 0 it is one ramp for a number, over three standard deviations on both sides.
    """
    feature, middle, width = [], [], []
    for place in range(len(KINDS), len(FEATURES)):
        value_N = node_NF[:, place].astype(np.float64)
        middles = np.unique(np.quantile(value_N, np.linspace(0, 1, each + 2)[1:-1]))
        # A quarter of the spread, so that neighbouring steps overlap.
        spread = 0.25 if each else 6.0
        for value in middles if each else [value_N.mean()]:
            feature.append(place)
            middle.append(value)
            width.append(spread * (value_N.std() + 0.05))
    return Steps(np.array(feature, np.int64), np.array(middle), np.array(width))


@dataclass(frozen=True)
class Batch:
    """M graphs as tensors: inputs of the nodes, edges, and each node's graph."""

    input_NX: Tensor
    edge_2E: Tensor
    graph_N: Tensor
    num_graphs: int


def batch_of(networks: Networks, steps: Steps) -> Batch:
    """The graphs as tensors."""
    edge_2E = np.stack([networks.source_E, networks.target_E]).astype(np.int64)
    return Batch(
        torch.from_numpy(steps.read(networks.node_NF)),
        torch.from_numpy(edge_2E),
        torch.from_numpy(networks.graph_N.astype(np.int64)),
        len(networks),
    )


class Messages(nn.Module):
    """One step of message passing along the edges and against them.

    y = SiLU(norm(W x + mean over sources + W' x + mean over targets)), by two `GraphConv` (Morris
    et al. 2019). `inputs` and `outputs` are numbers of features.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.forwards = GraphConv(inputs, outputs, aggr="mean")
        self.backwards = GraphConv(inputs, outputs, aggr="mean")
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x_NH: Tensor, edge_2E: Tensor) -> Tensor:
        both_NH = self.forwards(x_NH, edge_2E) + self.backwards(x_NH, edge_2E.flip(0))
        return nn.functional.silu(self.norm(both_NH))


def pool(x_NH: Tensor, batch: Batch) -> Tensor:
    """(M, 2H) the mean over the nodes of each graph, and the logarithm of a sum."""
    graph_N, count = batch.graph_N, batch.num_graphs
    mean_MH = scatter(x_NH, graph_N, 0, count, reduce="mean")
    sum_MH = scatter(nn.functional.softplus(x_NH), graph_N, 0, count, reduce="sum")
    return torch.cat([mean_MH, torch.log1p(sum_MH) - 4], dim=1)


@dataclass(frozen=True)
class Sizes:
    """The sizes that determine the shapes of the weights.

    Attributes:
        inputs: X.
        width, layers: hidden features, and steps of message passing.
        heads: K.
    """

    inputs: int
    width: int = 24
    layers: int = 3
    heads: int = 1


class Encoder(nn.Module):
    """A graph network with K heads, one for each table; the generator draws all weights."""

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes, width = sizes, sizes.width
        self.read = nn.Linear(sizes.inputs, width)
        self.layers = nn.ModuleList(Messages(width, width) for _ in range(sizes.layers))
        self.neck = nn.Linear(2 * width, width)
        self.head = nn.Linear(width, sizes.heads)
        draw(self, generator)

    def states(self, batch: Batch) -> list[Tensor]:
        """(N, H) the nodes' features before the first layer and after each."""
        states = [nn.functional.silu(self.read(batch.input_NX))]
        for layer in self.layers:
            states.append(states[-1] + layer(states[-1], batch.edge_2E))
        return states

    def read_out(self, state_NH: Tensor, batch: Batch) -> Tensor:
        """(M, H) the embedding of each graph, from its nodes' features after the last layer."""
        return nn.functional.silu(self.neck(pool(state_NH, batch)))

    def forward(self, batch: Batch) -> Tensor:
        """(M, K) the prediction of each head, in standard units of its table."""
        return self.head(self.read_out(self.states(batch)[-1], batch))


def draw(module: nn.Module, generator: torch.Generator) -> None:
    """Every matrix and bias is drawn uniformly by its number of inputs (as `nn.Linear` does).

    The biases that belong to no matrix are 0, and the scales of the normalisations stay 1.
    """
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.dim() == 2:
                bound = weight.shape[1] ** -0.5
                weight.copy_(2 * bound * torch.rand(weight.shape, generator=generator) - bound)
            elif name.endswith("bias"):
                weight.zero_()


@dataclass(frozen=True, eq=False)
class Trained:
    """A network and how it reads nodes."""

    network: Encoder
    steps: Steps

    def predict(self, networks: Networks) -> np.ndarray:
        """(M, K) the prediction of each head, in standard units of its table."""
        return run(self.network, networks, self.steps)

    def embed(self, networks: Networks) -> np.ndarray:
        """(M, H) the embedding of each graph."""
        network = self.network
        return run(
            lambda batch: network.read_out(network.states(batch)[-1], batch), networks, self.steps
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights and steps by name, for safetensors."""
        weights = {
            f"network.{name}": weight.detach().numpy()
            for name, weight in self.network.named_parameters()
        }
        steps = {f"steps.{name}": array for name, array in vars(self.steps).items()}
        return {**weights, **steps}


def run(module: Callable[[Batch], Tensor], networks: Networks, steps: Steps) -> np.ndarray:
    """(M, ...) what the module answers to all graphs, in chunks; float64."""
    count = len(networks)
    with torch.inference_mode(), one_thread():
        parts = [
            module(batch_of(networks.take(row_B), steps)).double().numpy()
            for row_B in np.array_split(np.arange(count), max(1, -(-count // CHUNK)))
        ]
    return np.concatenate(parts)
