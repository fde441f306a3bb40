"""A task: data in three splits, a loss, a metric, and the shapes of an input and an output.

Shapes: N samples, C channels, H height, W width, L positions of a sequence, K classes or tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.tasks.augment import FlipAndCrop
from nas.tasks.causal import Causal
from nas.tasks.masking import Masking
from nas.tasks.samples import Split, check_inputs, check_labels, check_normalize, prepared
from nas.tasks.token_scores import (
    check_tokens,
    negative_nats_per_token,
    token_accuracy,
    token_cross_entropy,
)
from spaces import Shapes
from spaces.structure import by_name, is_shape, leaves

Loss = Callable[[Any, Any], Tensor]
Metric = Callable[[Any, Any], float]
Augment = Callable[[Any, torch.Generator], Any]
Corrupt = Callable[[Any, Any, torch.Generator], tuple[Any, Any]]
Check = Callable[[nn.Module, Any], None]


@dataclass(frozen=True, eq=False)
class Task:
    """Data, loss and metric: everything that training needs besides the network and the recipe.

    Attributes:
        train, validation, test: the splits. Only `finalize` reads the test split.
        shapes: of one input and one output, without the batch dimension.
        loss: a function `loss(outputs, targets)` that returns a scalar tensor, or one of the names
            `cross_entropy`, `mse` and `token_cross_entropy`. The outputs are what the network
            returns in training; those of several tensors need a function.
        metric: a function `metric(outputs, targets)` of a whole split, higher is better, or one of
            the names `accuracy`, `negative_mse`, `negative_nats_per_token` and `token_accuracy`. A
            `nas.tasks.token_scores.Mean` is computed batch by batch. The outputs are what the
            network returns in evaluation, each tensor joined over all batches; those of several
            tensors need a function.
        augment: `augment(inputs, generator)` changes the inputs of a training batch on their
            device, before they are scaled and normalised.
        corrupt: `corrupt(inputs, targets, generator)` returns new inputs and targets of a training
            batch, for tasks that draw both together. It is called after `augment`.
        check: `check(module, inputs)` raises a ValueError if the network does not suit the task. It
            is called once before a training, with a few prepared validation inputs.
        normalize: the mean and the standard deviation of each channel (the second dimension), of
            inputs scaled to 0..1. For several inputs a tuple or mapping like them, with such a
            pair, or None, for each.
        classes: the names of the classes in the order of their numbers; empty if they have none.
            They become part of an export.
        tokenizer: for inputs that are tokens of a text, the tokenizer as JSON in the format of the
            library `tokenizers`. It becomes part of an export.

    The functions `augment`, `corrupt` and `check` receive several inputs as the tuple or mapping
    that they are.

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
    normalize: Any = None
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
            if isinstance(value, str) and not is_shape(self.shapes.output):
                raise ValueError(
                    f"the task {self.name!r} has the outputs {self.shapes.output}, and its {kind} "
                    f"{value!r} takes one tensor: give it a function {kind}(outputs, targets)"
                )
        for part in ("train", "validation", "test"):
            split: Split = getattr(self, part)
            check_inputs(self.name, part, split.inputs, self.shapes)
            if isinstance(self.loss, str):
                self._check_single("loss", split.targets, f"{part} targets")
            if isinstance(self.metric, str):
                self._check_single("metric", split.targets, f"{part} targets")
            if self.loss == "cross_entropy":
                check_labels(self.name, part, split.targets, self.shapes.output)
            if self.loss == "token_cross_entropy":
                check_tokens(self.name, part, split.targets, self.shapes.output)
        outputs = leaves(self.shapes.output, is_shape)
        if self.classes and (len(self.classes),) not in outputs:
            raise ValueError(
                f"the task {self.name!r} names {len(self.classes)} classes, and its outputs have "
                f"the shape {self.shapes.output}"
            )
        if self.normalize is not None:
            check_normalize(self.name, self.normalize, self.shapes)
        for kind in ("augment", "corrupt", "check"):
            value = getattr(self, kind)
            if self.shapes.several and isinstance(value, FlipAndCrop | Masking | Causal):
                raise ValueError(
                    f"the task {self.name!r} has the inputs {self.shapes.input}, and its {kind} "
                    f"{type(value).__name__} takes one tensor: give a function of your own that "
                    "calls it for the input that it is meant for"
                )
        tokens = [tensor.dtype for tensor in leaves(self.train.inputs)].count(torch.int64)
        if self.tokenizer and self.shapes.several and tokens != 1:
            raise ValueError(
                f"the task {self.name!r} has a tokenizer and {tokens} inputs of tokens: a "
                "tokenizer is for one input, so leave it out"
            )

    def fingerprint(self) -> str:
        """A digest of the data of all splits and of the shapes, as 64 hexadecimal digits."""
        digest = hashlib.sha256(repr(self.shapes).encode())
        for split in (self.train, self.validation, self.test):
            for tensor in split.tensors():
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def loss_function(self, label_smoothing: float = 0.0) -> Loss:
        """The loss as a function.

        Raises:
            ValueError: label smoothing is not 0, and the loss is not a cross-entropy.
        """
        smoothed = self.loss in ("cross_entropy", "token_cross_entropy")
        if label_smoothing and not smoothed:
            raise ValueError(
                f"label_smoothing={label_smoothing} needs the loss 'cross_entropy'; "
                f"{self.name!r} has {self.loss!r}: set it to 0"
            )
        if callable(self.loss):
            return self.loss
        named = LOSSES[self.loss]
        options = {"label_smoothing": label_smoothing} if smoothed else {}

        def loss(outputs: Any, targets: Any) -> Tensor:
            self.check_outputs("loss", outputs)
            return named(outputs, targets, **options)

        return loss

    def metric_function(self) -> Metric:
        """The metric as a function."""
        return self.metric if callable(self.metric) else METRICS[self.metric]

    def check_outputs(self, kind: Literal["loss", "metric"], outputs: Any) -> None:
        """Checks that the outputs are one tensor if the loss or the metric is a named one.

        Raises:
            ValueError: the outputs are not one tensor.
        """
        if isinstance(getattr(self, kind), str):
            mode = "training" if kind == "loss" else "evaluation"
            self._check_single(kind, outputs, f"what the network returns in {mode}")

    def prepare(self, inputs: Any) -> Any:
        """The inputs of a batch in the form that the network takes.

        Pixels are scaled to 0..1, and then each channel becomes (x - mean) / deviation. Tokens are
        not changed.
        """
        return prepared(inputs, self.normalize)

    def resident(
        self, device: torch.device, *parts: Literal["train", "validation", "test"]
    ) -> Task:
        """The same task with the named splits on the device."""
        moved: dict[str, Any] = {part: getattr(self, part).to(device) for part in parts}
        return replace(self, **moved)

    def _check_single(self, kind: str, value: Any, what: str) -> None:
        if not isinstance(value, Tensor):
            raise ValueError(
                f"the {kind} {getattr(self, kind)!r} of the task {self.name!r} takes one tensor, "
                f"and {what} is {type(value).__name__} ({', '.join(by_name(value, 'value'))}): "
                f"give the task a {kind} of your own, a function {kind}(outputs, targets)"
            )


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


LOSSES: dict[str, Callable[..., Tensor]] = {
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
