"""The exponential moving average of a network's weights during a training.

Floating-point buffers, such as the statistics of batch norm, are averaged too: those of the last
step belong to other weights. Buffers of whole numbers are the network's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@dataclass(frozen=True, eq=False)
class Average:
    """The average of the floating-point tensors of a module.

    Attributes:
        decay: of the average, when it has seen many steps.
        tensors: the averages by name; they change with each `update`.
    """

    decay: float
    tensors: Mapping[str, Tensor]

    def update(self, module: nn.Module, step: int) -> None:
        """Moves the average towards the module's tensors, after step number `step`, from 0.

        The decay of early steps is smaller, min(decay, (1 + step) / (10 + step)), or a short
        training would keep much of the weights that it began with.
        """
        own = averaged_tensors(module)
        decay = min(self.decay, (1 + step) / (10 + step))
        names = list(self.tensors)
        get_ema_multi_avg_fn(decay)(
            [self.tensors[name] for name in names], [own[name].detach() for name in names], 0
        )

    @torch.no_grad()
    def move_into(self, module: nn.Module) -> None:
        """Gives the module the averages as its tensors."""
        for name, tensor in averaged_tensors(module).items():
            tensor.copy_(self.tensors[name])

    @contextmanager
    def within(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module has the averages; afterwards its own tensors again."""
        own = {name: tensor.detach().clone() for name, tensor in averaged_tensors(module).items()}
        self.move_into(module)
        try:
            yield
        finally:
            Average(self.decay, own).move_into(module)


def average_of(module: nn.Module, decay: float) -> Average:
    """The average before the first step: the module's tensors, copied."""
    own = averaged_tensors(module)
    return Average(decay, {name: tensor.detach().clone() for name, tensor in own.items()})


def averaged_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of the module that are not whole numbers, each once, by name."""
    every = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        name: tensor
        for name, tensor in every.items()
        if tensor.is_floating_point() or tensor.is_complex()
    }
