"""The loss and the metrics of sequences in which each position has its own target or none.

Shapes: N samples, L positions, K tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# The target of a position that does not count. It is torch's default.
IGNORED = -100


@dataclass(frozen=True)
class Mean:
    """A metric that is a mean over positions, and so can be computed batch by batch.

    The outputs (N, L, K) of a whole split may take gigabytes of memory.

    Attributes:
        parts: `parts(outputs, targets)` returns the sum over the positions of a batch that count,
            and their number, as two float64 tensors of one element.
    """

    parts: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        """The mean over these samples."""
        total, count = self.parts(outputs, targets)
        return (total / count).item()


def token_cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean cross-entropy over the positions that count, in nats.

    Args:
        outputs: (N, L, K).
        targets: (N, L), tokens, or `IGNORED` at positions that do not count.
        label_smoothing: the share of a label that is spread evenly over all tokens.
    """
    return functional.cross_entropy(
        outputs.flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
    )


def _likelihood(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    losses = functional.cross_entropy(
        outputs.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return -losses.double().sum(), _counted(targets)


def _correct(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return (outputs.argmax(2) == targets).double().sum(), _counted(targets)


def _counted(targets: Tensor) -> Tensor:
    return (targets != IGNORED).double().sum()


# The mean log-likelihood in nats over the positions that count. Uniform guessing among K tokens has
# -log(K).
negative_nats_per_token = Mean(_likelihood)
# The share of correctly predicted tokens among the positions that count, 0..1.
token_accuracy = Mean(_correct)


def check_tokens(name: str, part: str, targets: Tensor, output: tuple[int, ...]) -> None:
    """Refuses targets (N, L) that are not tokens of the vocabulary or `IGNORED`.

    Args:
        name: the task's name, for the message.
        part: the split's name, for the message.
        targets: (N, L).
        output: the shape of the task's outputs, (L, K).

    Raises:
        ValueError: the targets have another type, shape or range, or all are `IGNORED`.
    """
    if targets.dtype != torch.int64 or len(output) != 2 or tuple(targets.shape[1:]) != output[:1]:
        raise ValueError(
            "cross-entropy of tokens needs outputs (length, vocabulary) and int64 targets "
            f"(samples, length); the outputs of {name!r} have the shape {output}, its {part} "
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}"
        )
    counted = targets[targets != IGNORED]
    if len(counted) == 0:
        raise ValueError(f"the task {name!r} has no {part} target that counts: all are {IGNORED}")
    low, high = int(counted.min()), int(counted.max())
    if low < 0 or high >= output[1]:
        raise ValueError(
            f"the task {name!r} has {output[1]} tokens, numbered from 0; its {part} targets go "
            f"from {low} to {high}"
        )
