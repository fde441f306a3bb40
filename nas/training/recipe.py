"""How a network is trained: a frozen recipe, and the learning rate it gives at each step. Knows no
torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal


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
        amp: half precision where the device is CUDA: bfloat16, or float16 with a scaled loss where
            the card lacks it.
        channels_last: keep images and filters with the channels innermost, which is faster on
            tensor cores.

    Raises:
        ValueError: a value is out of its range.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {
        "extra": "forbid"
    }  # A config that misspells a field is told so.

    epochs: int = 12
    batch_size: int = 128
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.0
    gradient_clip: float | None = None
    amp: bool = True
    channels_last: bool = True

    def __post_init__(self) -> None:
        rules = (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 2, "at least 2, for batch norm needs two samples"),
            ("optimizer", self.optimizer in ("adamw", "sgd"), "'adamw' or 'sgd'"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("momentum", 0 < self.momentum < 1, "between 0 and 1"),
            (
                "warmup_epochs",
                0 <= self.warmup_epochs <= self.epochs,
                "between 0 and the number of epochs",
            ),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and less than 1"),
            (
                "gradient_clip",
                self.gradient_clip is None or self.gradient_clip > 0,
                "positive, or null",
            ),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ValueError(f"a recipe's {name} is {expected}; got {getattr(self, name)!r}")

    def epochs_at(self, fidelity: float) -> int:
        """How many of the epochs are trained at that fidelity, at least one. The learning rate
        stays that of the whole training, which is only paused.

        Raises:
            ValueError: the fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise ValueError(
                f"a fidelity is a share of the epochs, more than 0 and at most 1; got {fidelity}"
            )
        return max(1, round(self.epochs * fidelity))

    def with_half_the_batch(self) -> Recipe:
        """Half the batch, and the learning rate that goes with it: half for SGD (Goyal et al.
        2017), by the square root for AdamW.
        """
        share = 0.5 if self.optimizer == "sgd" else 0.5**0.5
        return replace(
            self, batch_size=max(2, self.batch_size // 2), learning_rate=self.learning_rate * share
        )


def learning_rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    """The learning rate at each step of the training.

    It rises linearly over the warm-up's w steps, peak * (i + 1) / (w + 1), and then falls as peak /
    2 * (1 + cos(pi * t)), t = (i - w) / (n - w) (Loshchilov & Hutter 2017, one period): the first
    step after the warm-up has the peak, and the last one of n is just above 0.
    """
    steps, warmup = recipe.epochs * steps_per_epoch, round(recipe.warmup_epochs * steps_per_epoch)
    rising = [(step + 1) / (warmup + 1) for step in range(warmup)]
    falling = [
        0.5 * (1 + math.cos(math.pi * step / (steps - warmup))) for step in range(steps - warmup)
    ]
    return [recipe.learning_rate * share for share in rising + falling]


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each of an epoch's batches starts and ends: as few batches as hold `count` samples,
    their sizes within one of each other.

    So no sample is left out and, unless `count` is 1, no batch has one sample, which batch norm
    could not take (the batches are made larger by one where it would).
    """
    batches = max(1, min(-(-count // batch_size), count // 2))
    return [
        (count * number // batches, count * (number + 1) // batches) for number in range(batches)
    ]
