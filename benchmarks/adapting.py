"""Adapters of a trained encoder, one for each task or metric; the encoder itself stays as it is.

Adapter k has the layers of the encoder once more. Its layer i reads, of every node, what the
encoder has after its layer i beside the adapter's own state, which starts as what the encoder has
before its first layer. Both readouts go to the adapter's own head (AIO-P, Mills et al. 2023). All
heads predict standard units of their task, so their average does not mix metrics.

Shapes: M graphs, N nodes, H the width, K adapters or heads.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from predictors.prior.encoder import Batch, Encoder, Messages, draw, pool


def one_head(network: Encoder, weight_K: np.ndarray) -> Encoder:
    """The network with a single head, the weighted sum of all; nothing is shared with it."""
    single = Encoder(replace(network.sizes, heads=1), torch.Generator())
    weights = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
    row_1K = torch.as_tensor(weight_K, dtype=torch.float32)[None]
    weights["head.weight"] = row_1K @ weights["head.weight"]
    weights["head.bias"] = row_1K @ weights["head.bias"]
    single.load_state_dict(weights)
    return single


class Adapter(nn.Module):
    """What is learnt of one task beside an encoder that stays as it is."""

    def __init__(self, width: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Messages(2 * width, width) for _ in range(layers))
        self.neck = nn.Linear(4 * width, width)
        self.head = nn.Linear(width, 1)
        draw(self, generator)

    def forward(self, states: Sequence[Tensor], batch: Batch) -> Tensor:
        """(M, 1) the prediction, from the encoder's features of the nodes."""
        state_NH = states[0]
        for layer, after_NH in zip(self.layers, states[1:], strict=True):
            both = torch.cat([after_NH, state_NH], dim=1)
            state_NH = state_NH + layer(both, batch.edge_2E)
        pooled = torch.cat([pool(states[-1], batch), pool(state_NH, batch)], dim=1)
        return self.head(nn.functional.gelu(self.neck(pooled)))


class Adapted(nn.Module):
    """An encoder with one head, and K adapters; it predicts the mean of all 1 + K heads.

    Without an adapter it predicts what the encoder does.
    """

    def __init__(self, base: Encoder, adapters: Iterable[nn.Module] = ()) -> None:
        super().__init__()
        self.base = base
        self.adapters = nn.ModuleList(adapters)

    def forward(self, batch: Batch) -> Tensor:
        """(M, 1) the mean of the heads."""
        states = self.base.states(batch)
        own = self.base.head(self.base.read_out(states[-1], batch))
        heads = [own, *(adapter(states, batch) for adapter in self.adapters)]
        return torch.stack(heads).mean(0)

    def with_adapter(self, generator: torch.Generator) -> Adapted:
        """The same encoder with the same adapters and a new one, which is the last."""
        sizes = self.base.sizes
        new = Adapter(sizes.width, sizes.layers, generator)
        return Adapted(self.base, [*copy.deepcopy(self.adapters), new])


class Beside(nn.Module):
    """The last adapter's own prediction, for its training; nothing else receives a gradient."""

    def __init__(self, model: Adapted) -> None:
        super().__init__()
        # In a tuple the encoder's weights are not among the parameters of this module.
        self.base = (model.base,)
        self.adapter = model.adapters[-1]

    def forward(self, batch: Batch) -> Tensor:
        """(M, 1) the prediction."""
        with torch.no_grad():
            states = self.base[0].states(batch)
        return self.adapter(states, batch)
