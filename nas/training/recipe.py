"""How a network is trained: the recipe, and the learning rates and batches that follow from it.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from nas.training.optimizers import OPTIMIZERS, OptimizerName


@dataclass(frozen=True)
class Recipe:
    """All that training needs to know beside the network and the task.

    Attributes:
        epochs: passes over the training data.
        batch_size: at most so many samples in a step.
        optimizer: `sgd` (Nesterov) or `adamw` (Loshchilov & Hutter 2019).
        learning_rate: at its peak, after the warm-up; from there it falls along a half cosine to 0.
        weight_decay: on weights of two or more dimensions; biases and norms are left alone. `adamw`
            decouples it, `sgd` adds it to the gradient.
        momentum: of `sgd`.
        warmup_epochs: in which the learning rate rises linearly; may be a fraction.
        label_smoothing: share of each label spread over all classes; cross-entropy only.
        gradient_clip: largest norm of the gradient of all weights together; None: not clipped.
        amp: half precision on CUDA: bfloat16, or float16 with a scaled loss if the GPU lacks
            bfloat16.
        channels_last: keep images and filters with the channels innermost, which is faster on
            tensor cores.

    Raises:
        ValueError: a value is out of its range.
    """

    # A misspelt field of a configuration is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: int = 12
    batch_size: int = 128
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    amp: bool = True
    channels_last: bool = True

    def __post_init__(self) -> None:
        warmup_fits = 0 <= self.warmup_epochs <= self.epochs
        clip_is_valid = self.gradient_clip is None or self.gradient_clip > 0
        rules = (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2, for batch norm needs two samples"),
            ("optimizer", self.optimizer in OPTIMIZERS, " or ".join(map(repr, OPTIMIZERS))),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("momentum", 0 < self.momentum < 1, "between 0 and 1"),
            ("warmup_epochs", warmup_fits, "between 0 and the number of epochs"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and less than 1"),
            ("gradient_clip", clip_is_valid, "positive, or null"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ValueError(f"a recipe's {name} is {expected}; got {getattr(self, name)!r}")

    def epochs_at(self, fidelity: float) -> int:
        """The number of epochs that are trained at this fidelity, at least one.

        The learning rates stay those of the whole training, which is only paused.

        Raises:
            ValueError: the fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise ValueError(
                f"a fidelity is a share of the epochs, more than 0 and at most 1; got {fidelity}"
            )
        return max(1, round(self.epochs * fidelity))

    def with_half_the_batch(self) -> Recipe:
        """The recipe with half the batch size, and the learning rate scaled for its optimizer."""
        share = 0.5 ** OPTIMIZERS[self.optimizer].batch_exponent
        return replace(
            self, batch_size=max(2, self.batch_size // 2), learning_rate=self.learning_rate * share
        )


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    """The learning rate at each step of the training.

    The training has n steps, w of them warm-up. In the warm-up the rate of step i is
    peak * (i + 1) / (w + 1). After it the rate follows one half period of a cosine (Loshchilov &
    Hutter 2017): peak / 2 * (1 + cos(pi * t)) with t = (i - w) / (n - w). The first step after the
    warm-up has the peak rate, and the last step a rate just above 0.

    >>> learning_rates(Recipe(epochs=3, learning_rate=0.8, warmup_epochs=1), steps_per_epoch=1)
    [0.4, 0.8, 0.4]
    """
    steps = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    rising = [(step + 1) / (warmup + 1) for step in range(warmup)]
    falling = [
        0.5 * (1 + math.cos(math.pi * step / (steps - warmup))) for step in range(steps - warmup)
    ]
    return [recipe.learning_rate * share for share in rising + falling]


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """The first row of each batch of an epoch, and the row behind its last.

    The batches are as few as can hold `count` samples, and their sizes differ by at most one. No
    batch has a single sample unless `count` is 1, because batch norm needs two: where a batch would
    have one sample, the batches may be larger than `batch_size` by one.

    >>> batch_bounds(10, 4)
    [(0, 3), (3, 6), (6, 10)]
    """
    batches = max(1, min(-(-count // batch_size), count // 2))
    return [
        (count * number // batches, count * (number + 1) // batches) for number in range(batches)
    ]
