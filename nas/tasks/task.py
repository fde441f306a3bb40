"""A task: data in three splits, a loss, a metric, and the shapes of an input and an output.

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
        inputs: (N, C, H, W), (N, features) or (N, L). They are float32, or uint8 (pixels, which are
            scaled to 0..1 on the device), or int64 (tokens, which are not scaled).
        targets: class numbers (N,) int64 for cross-entropy, tokens (N, L) int64 for the
            cross-entropy of tokens, otherwise float32.

    Raises:
        ValueError: there are no samples, the lengths differ, or the inputs are of another type.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2 or self.inputs.dtype not in INPUT_TYPES:
            raise ValueError(
                "a split's inputs are float32, uint8 or int64 with the samples as the first of "
                f"at least two dimensions; got {self.inputs.dtype} of shape "
                f"{tuple(self.inputs.shape)}"
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
    """Data, loss and metric: everything that training needs besides the network and the recipe.

    Attributes:
        train, validation, test: the splits. Only `finalize` reads the test split.
        shapes: of one input and one output, without the batch dimension.
        loss: a function `loss(outputs, targets)` that returns a scalar tensor, or one of the names
            `cross_entropy`, `mse` and `token_cross_entropy`.
        metric: a function `metric(outputs, targets)` of a whole split, higher is better, or one of
            the names `accuracy`, `negative_mse`, `negative_nats_per_token` and `token_accuracy`. A
            `nas.tasks.token_scores.Mean` is computed batch by batch.
        augment: `augment(inputs, generator)` changes the inputs of a training batch on their
            device, before they are scaled and normalised.
        corrupt: `corrupt(inputs, targets, generator)` returns new inputs and targets of a training
            batch, for tasks that draw both together. It is called after `augment`.
        check: `check(module, inputs)` raises a ValueError if the network does not suit the task. It
            is called once before a training, with a few prepared validation inputs.
        normalize: the mean and the standard deviation of each channel (the second dimension), of
            inputs scaled to 0..1.
        classes: the names of the classes in the order of their numbers; empty if they have none.
            They become part of an export.
        tokenizer: for inputs that are tokens of a text, the tokenizer as JSON in the format of the
            library `tokenizers`. It becomes part of an export.

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
            complete = all(len(values) == channels for values in self.normalize)
            if not complete or min(self.normalize[1]) <= 0:
                raise ValueError(
                    f"the task {self.name!r} has {channels} channels: give a mean and a positive "
                    f"deviation for each, got {self.normalize}"
                )

    def fingerprint(self) -> str:
        """A digest of the data of all splits and of the shapes, as 64 hexadecimal digits."""
        digest = hashlib.sha256(repr(self.shapes).encode())
        for split in (self.train, self.validation, self.test):
            for tensor in (split.inputs, split.targets):
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def loss_function(self, label_smoothing: float = 0.0) -> Loss:
        """The loss as a function.

        Raises:
            ValueError: label smoothing is not 0, and the loss is not a cross-entropy.
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
        """The inputs of a batch in the form that the network takes.

        Pixels are scaled to 0..1, and then each channel becomes (x - mean) / deviation. Tokens are
        not changed.
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
    """The share of samples whose largest output is that of the target class, 0..1.

    Args:
        outputs: (N, K).
        targets: (N,), class numbers.
    """
    return (outputs.argmax(1) == targets).double().mean().item()


def negative_mse(outputs: Tensor, targets: Tensor) -> float:
    """Minus the mean squared error. The outputs and the targets have the same shape."""
    return -_mse(outputs.double(), targets.double()).item()


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    if outputs.shape != targets.shape:
        # Broadcasting (N, 1) against (N,) would give a finite but wrong loss.
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
    # Cached, because the host has to wait for each copy to a device.
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
