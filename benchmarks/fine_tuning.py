"""Ways to fine-tune an adapted encoder on few labels of a new task, all with the same steps.

What is trained is the mode's only difference: the number of steps, the loss, the batches and the
learning rate are equal. The steps are over all labels at once, since there are few.

Shapes: M labelled graphs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.adapting import Adapted
from predictors.network.layers import one_thread
from predictors.prior.encoder import Steps, batch_of
from predictors.prior.encoder_training import ranking_and_regression
from predictors.prior.networks import Networks

# What each mode trains: the heads, which are the layers after the readout, and which other parts.
MODES: dict[str, tuple[str, ...]] = {
    "heads": (),
    "heads and base": ("base.",),
    "heads and adapters": ("adapters.",),
    "all": ("base.", "adapters."),
    "low rank": ("base.", "adapters."),
}


@dataclass(frozen=True)
class FineTuning:
    """How an adapted encoder is fine-tuned.

    Attributes:
        mode: one of `MODES`. `low rank` trains the heads, and updates of low rank of all other
            matrices (LoRA-SB, Ponkshe et al. 2024).
        steps: of Adam, each on all labels.
        learning_rate: of every mode.
        decay: towards the weights before, times the sum of squares of the changes.
        rank: of the updates of `low rank`.
    """

    mode: str = "all"
    steps: int = 60
    learning_rate: float = 1e-3
    decay: float = 0.1
    rank: int = 4

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"fine-tuning has the modes {', '.join(MODES)}; got {self.mode!r}")


def fine_tune(
    model: Adapted, networks: Networks, target_M: np.ndarray, steps: Steps, how: FineTuning
) -> Adapted:
    """A copy of the model, fine-tuned; the model stays as it is.

    Nothing is random: each step is over all graphs, and nothing is dropped.

    Args:
        model: an encoder with its adapters.
        networks: M labelled graphs.
        target_M: their labels in standard units.
        steps: how the model reads nodes.
        how: what is trained, and how long.
    """
    tuned = copy.deepcopy(model).eval().requires_grad_(False)
    start: dict[str, Tensor] = dict(tuned.named_parameters())
    batch = batch_of(networks, steps)
    wanted_M = torch.as_tensor(np.asarray(target_M), dtype=torch.float32)

    def loss(weights: Mapping[str, Tensor]) -> Tensor:
        found_M = functional_call(tuned, dict(weights), (batch,))[:, 0]
        return ranking_and_regression(found_M, wanted_M)

    with one_thread():
        changes = _changes(start, loss, how)
        free = [change.free for change in changes.values()]
        optimiser = torch.optim.Adam(free, lr=how.learning_rate)
        for _ in range(how.steps):
            update = {name: change() for name, change in changes.items()}
            changed = {name: start[name] + update[name] for name in update}
            away = torch.stack([(each**2).sum() for each in update.values()]).sum()
            optimiser.zero_grad()
            (loss(changed) + how.decay * away).backward()
            nn.utils.clip_grad_norm_(free, 5.0)
            optimiser.step()
        with torch.no_grad():
            for name, change in changes.items():
                start[name].add_(change())
    return tuned


def num_trained(model: Adapted, how: FineTuning) -> int:
    """How many numbers the mode trains."""
    return sum(
        min(how.rank, *weight.shape) ** 2 if _is_low_rank(name, weight, how) else weight.numel()
        for name, weight in _trained(dict(model.named_parameters()), how).items()
    )


@dataclass(frozen=True, eq=False)
class Change:
    """What is added to a matrix or bias: `free` itself, or left x free x right."""

    free: Tensor
    left: Tensor | None = None
    right: Tensor | None = None

    def __call__(self) -> Tensor:
        if self.left is None or self.right is None:
            return self.free
        return self.left @ self.free @ self.right


def low_rank(gradient: Tensor, rank: int, learning_rate: float) -> Change:
    """The change that LoRA-SB starts from: the best one of that rank to Adam's first step.

    Adam's first step is the learning rate against the gradient's signs.
    """
    rank = min(rank, *gradient.shape)
    left, size, right = torch.linalg.svd(-learning_rate * gradient.sign(), full_matrices=False)
    return Change(
        torch.diag(size[:rank]).requires_grad_(True), left[:, :rank].clone(), right[:rank].clone()
    )


def _is_head(name: str) -> bool:
    return ".neck." in name or ".head." in name


def _is_low_rank(name: str, weight: Tensor, how: FineTuning) -> bool:
    return how.mode == "low rank" and weight.dim() == 2 and not _is_head(name)


def _trained(weights: Mapping[str, Tensor], how: FineTuning) -> dict[str, Tensor]:
    """The weights that the mode trains; of `low rank` no biases but those of the heads."""
    parts = MODES[how.mode]
    return {
        name: weight
        for name, weight in weights.items()
        if _is_head(name)
        or (name.startswith(parts) and (how.mode != "low rank" or weight.dim() == 2))
    }


def _changes(
    start: Mapping[str, Tensor], loss: Callable[[Mapping[str, Tensor]], Tensor], how: FineTuning
) -> dict[str, Change]:
    """The changes before the first step, by the names of the weights."""
    asked = {
        name: weight.detach().clone().requires_grad_(True)
        for name, weight in _trained(start, how).items()
    }
    low = [name for name, weight in asked.items() if _is_low_rank(name, weight, how)]
    gradients = torch.autograd.grad(loss(asked), [asked[name] for name in low]) if low else ()
    changes = {
        name: low_rank(gradient, how.rank, how.learning_rate)
        for name, gradient in zip(low, gradients, strict=True)
    }
    for name, weight in asked.items():
        if name not in changes:
            changes[name] = Change(torch.zeros_like(weight).requires_grad_(True))
    return changes
