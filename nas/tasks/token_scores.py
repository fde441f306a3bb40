"""Loss and metrics where every position of a sequence has a target of its own, or none.

Shapes: N samples, L positions, K tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# The target of a position that does not count; torch's own choice.
IGNORED = -100


@dataclass(frozen=True)
class Mean:
    """A metric that is a mean over all that counts, so that it is taken a batch at a time: a whole
    split's outputs (N, L, K) may be gigabytes.

    Attributes:
        parts: `parts(outputs, targets)` of a batch: the sum over what counts, and how many that is;
            two tensors of one number in float64.
    """

    parts: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        """The mean over these samples."""
        total, count = self.parts(outputs, targets)
        return (total / count).item()


def token_cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean cross-entropy over the positions that count, in nats. outputs (N, L, K), targets (N,
    L) with `IGNORED` at the others.
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


# Minus the mean negative log-likelihood of a token that counts, in nats; guessing evenly among K
# tokens has -log(K).
negative_nats_per_token = Mean(_likelihood)
# The share of the tokens that count at which the largest output stands at the target, 0..1.
token_accuracy = Mean(_correct)


def check_tokens(name: str, part: str, targets: Tensor, output: tuple[int, ...]) -> None:
    """Nothing, if the targets (N, L) are tokens of the vocabulary, or `IGNORED`, and some of them
    count.

    Raises:
        ValueError: they are not; `name` and `part` say in the message whose.
    """
    if targets.dtype != torch.int64 or len(output) != 2 or tuple(targets.shape[1:]) != output[:1]:
        raise ValueError(
            "cross-entropy of tokens needs outputs (length, vocabulary) and int64 targets "
            f"(samples, length); the outputs of {name!r} have the shape "
            f"{output}, its {part} targets are {targets.dtype} of shape {tuple(targets.shape)}"
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
