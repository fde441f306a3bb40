"""What a task is: data in three splits, a loss, a metric, and the shapes that go in and come out.

Shapes: N samples, C channels, H height, W width, L positions of a sequence, K classes or tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.tasks.token_scores import (
    check_tokens,
    negative_nats_per_token,
    token_accuracy,
    token_cross_entropy,
)
from spaces import Shapes

Loss = Callable[[Tensor, Tensor], Tensor]
Metric = Callable[[Tensor, Tensor], float]
Augment = Callable[[Tensor, torch.Generator], Tensor]
Corrupt = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
Check = Callable[[nn.Module, Tensor], None]

INPUT_TYPES = (torch.float32, torch.uint8, torch.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and targets of equal length, in memory or on a device.

    Attributes:
        inputs: (N, C, H, W) or (N, features) or (N, L); float32, uint8 (pixels, scaled to 0..1 on
            the device) or int64 (tokens, left alone).
        targets: (N,) int64 class numbers for cross-entropy, (N, L) int64 for that of tokens, else
            float32.

    Raises:
        ValueError: no samples, different lengths, or inputs of another type.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2 or self.inputs.dtype not in INPUT_TYPES:
            raise ValueError(
                "a split's inputs are float32, uint8 or int64 with the samples as the first of "
                "at least two dimensions; "
                f"got {self.inputs.dtype} of shape {tuple(self.inputs.shape)}"
            )
        if len(self.inputs) != len(self.targets):
            raise ValueError(
                f"a split needs a target for each input; got {len(self.inputs)} inputs and "
                f"{len(self.targets)} targets"
            )
        if len(self.inputs) == 0:
            raise ValueError("a split needs at least one sample; got an empty one")

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> Split:
        """The same split with its tensors on the device."""
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class Task:
    """Data, loss and metric: all that training needs to know beside the network and the recipe.

    Attributes:
        train, validation, test: the splits. The test split is read by `finalize` only.
        shapes: of one input and one output, without the batch dimension.
        loss: `loss(outputs, targets)`, a scalar tensor, or a name among `cross_entropy`, `mse`,
            `token_cross_entropy`.
        metric: `metric(outputs, targets)` over a whole split, higher is better, or a name among
            `accuracy`, `negative_mse`, `negative_nats_per_token`, `token_accuracy`. A
            `nas.tasks.token_scores.Mean` is taken a batch at a time.
        augment: `augment(inputs, generator)` on a training batch, on its device, before it is
            scaled and normalised.
        corrupt: `corrupt(inputs, targets, generator)` gives a training batch's inputs and targets,
            where these are drawn together; after `augment`.
        check: `check(module, inputs)` on a few prepared validation inputs, once before a training:
            raises a ValueError if the network does not suit the task.
        normalize: mean and standard deviation for each channel (the second dimension), of inputs
            scaled to 0..1.
        classes: their names, in the order of their numbers; empty where they have none. An export
            hands them on.
        tokenizer: where the inputs are tokens of a text, the file of the library `tokenizers` that
            makes them, as JSON. An export hands it on.

    Raises:
        ValueError: the splits do not fit the shapes, the labels do not fit the classes, or a name
            is unknown.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    shapes: Shapes
    loss: Loss | Literal["cross_entropy", "mse", "token_cross_entropy"] = "cross_entropy"
    metric: (
        Metric | Literal["accuracy", "negative_mse", "negative_nats_per_token", "token_accuracy"]
    ) = "accuracy"
    augment: Augment | None = None
    normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    classes: tuple[str, ...] = ()
    tokenizer: str = ""
    corrupt: Corrupt | None = None
    check: Check | None = None

    def __post_init__(self) -> None:
        for kind, value, known in (("loss", self.loss, LOSSES), ("metric", self.metric, METRICS)):
            if not callable(value) and value not in known:
                raise ValueError(
                    f"the task {self.name!r} has the {kind} {value!r}; known: "
                    f"{', '.join(known)}, or a function(outputs, targets)"
                )
        for part in ("train", "validation", "test"):
            split: Split = getattr(self, part)
            if tuple(split.inputs.shape[1:]) != self.shapes.input:
                found = tuple(split.inputs.shape[1:])
                raise ValueError(
                    f"the task {self.name!r} takes inputs of shape {self.shapes.input}; its "
                    f"{part} inputs are {found}"
                )
            if self.loss == "cross_entropy":
                _check_labels(self.name, part, split.targets, self.shapes.output)
            if self.loss == "token_cross_entropy":
                check_tokens(self.name, part, split.targets, self.shapes.output)
        if self.classes and (len(self.classes),) != self.shapes.output:
            raise ValueError(
                f"the task {self.name!r} names {len(self.classes)} classes, and its outputs have "
                f"the shape {self.shapes.output}"
            )
        if self.normalize is not None:
            channels = self.shapes.input[0]
            if (
                not all(len(values) == channels for values in self.normalize)
                or min(self.normalize[1]) <= 0
            ):
                raise ValueError(
                    f"the task {self.name!r} has {channels} channels: give a mean and a positive "
                    f"deviation for each, got {self.normalize}"
                )

    def fingerprint(self) -> str:
        """Of the data of all splits and the shapes, 64 hexadecimal digits: equal for equal data."""
        digest = hashlib.sha256(repr(self.shapes).encode())
        for split in (self.train, self.validation, self.test):
            for tensor in (split.inputs, split.targets):
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def loss_function(self, label_smoothing: float = 0.0) -> Loss:
        """The loss as a function.

        Raises:
            ValueError: label smoothing is asked of another loss than cross-entropy.
        """
        if self.loss == "cross_entropy":
            return lambda outputs, targets: functional.cross_entropy(
                outputs, targets, label_smoothing=label_smoothing
            )
        if self.loss == "token_cross_entropy":
            return lambda outputs, targets: token_cross_entropy(outputs, targets, label_smoothing)
        if label_smoothing:
            raise ValueError(
                f"label_smoothing={label_smoothing} needs the loss 'cross_entropy'; "
                f"{self.name!r} has {self.loss!r}: set it to 0"
            )
        return self.loss if callable(self.loss) else LOSSES[self.loss]

    def metric_function(self) -> Metric:
        """The metric as a function."""
        return self.metric if callable(self.metric) else METRICS[self.metric]

    def prepare(self, inputs: Tensor) -> Tensor:
        """A batch as the network takes it: pixels scaled to 0..1, then (x - mean) / deviation for
        each channel. Tokens are left alone.
        """
        if inputs.dtype == torch.int64:
            return inputs
        scaled = inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs
        if self.normalize is None:
            return scaled
        shape = (-1,) + (1,) * (inputs.ndim - 2)
        mean, deviation = (
            _constant(values, inputs.device).reshape(shape) for values in self.normalize
        )
        return (scaled - mean) / deviation

    def resident(
        self, device: torch.device, *parts: Literal["train", "validation", "test"]
    ) -> Task:
        """The same task with the named splits on the device."""
        moved: dict[str, Any] = {part: getattr(self, part).to(device) for part in parts}
        return replace(self, **moved)


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of rows whose largest output stands at the target, 0..1. outputs (N, K), targets
    (N,).
    """
    return (outputs.argmax(1) == targets).double().mean().item()


def negative_mse(outputs: Tensor, targets: Tensor) -> float:
    """Minus the mean squared error. outputs and targets have one shape."""
    return -_mse(outputs.double(), targets.double()).item()


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        # Broadcasting (N, 1) against (N,) would give a finite, wrong loss.
        raise ValueError(
            "the mean squared error needs outputs and targets of one shape; got "
            f"{tuple(outputs.shape)} and {tuple(targets.shape)}"
        )
    return functional.mse_loss(outputs, targets)


LOSSES: dict[str, Loss] = {
    "cross_entropy": functional.cross_entropy,
    "mse": _mse,
    "token_cross_entropy": token_cross_entropy,
}
METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "negative_mse": negative_mse,
    "negative_nats_per_token": negative_nats_per_token,
    "token_accuracy": token_accuracy,
}


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    # Kept, because each copy to a device makes the host wait for it.
    return torch.tensor(values, device=device)


def _check_labels(name: str, part: str, targets: Tensor, output: tuple[int, ...]) -> None:
    if targets.dtype != torch.int64:
        raise ValueError(
            f"cross-entropy needs int64 class numbers; the {part} targets of {name!r} are "
            f"{targets.dtype}"
        )
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= output[0]:
        raise ValueError(
            f"the task {name!r} has {output[0]} classes, numbered from 0; its {part} targets go "
            f"from {low} to {high}"
        )
