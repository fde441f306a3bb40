"""The samples of a task: its splits, their checks, and how a network's inputs are made of them.

Inputs are one tensor, a tuple of tensors, or tensors by name; targets may be several too.
Shapes: N samples, C channels, H height, W width, L positions of a sequence, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from spaces import Shapes
from spaces.structure import by_name, is_shape, leaves, mapped

INPUT_TYPES = (torch.float32, torch.uint8, torch.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and targets of equal length, in memory or on a device.

    Attributes:
        inputs: (N, C, H, W), (N, features) or (N, L). They are float32, or uint8 (pixels, which are
            scaled to 0..1 on the device), or int64 (tokens, which are not scaled). For a network of
            several inputs a tuple of tensors, or a mapping from names to tensors; one of them may
            be (N,).
        targets: class numbers (N,) int64 for cross-entropy, tokens (N, L) int64 for the
            cross-entropy of tokens, otherwise float32. For a loss and a metric of the task's own
            also a tuple or mapping of tensors.

    Raises:
        ValueError: there are no samples, the lengths differ, or the inputs are of another type.
    """

    inputs: Any
    targets: Any

    def __post_init__(self) -> None:
        _check_split(self.inputs, self.targets)
        if isinstance(self.inputs, Mapping):
            # Whatever order they were given in, they are the same data.
            ordered = {name: self.inputs[name] for name in sorted(self.inputs)}
            object.__setattr__(self, "inputs", ordered)

    def __len__(self) -> int:
        return len(leaves(self.inputs)[0])

    def to(self, device: torch.device) -> Split:
        """The same split with its tensors on the device."""
        return Split(
            mapped(lambda tensor: tensor.to(device), self.inputs),
            mapped(lambda tensor: tensor.to(device), self.targets),
        )

    def rows(self, which: Tensor | slice) -> tuple[Any, Any]:
        """The inputs and the targets of some samples."""
        return (
            mapped(lambda tensor: tensor[which], self.inputs),
            mapped(lambda tensor: tensor[which], self.targets),
        )

    def batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """The inputs and the targets of all samples in order, at most `size` at a time."""
        for first in range(0, len(self), size):
            yield self.rows(slice(first, first + size))

    def tensors(self) -> list[Tensor]:
        """All tensors: those of the inputs, then those of the targets."""
        return [*leaves(self.inputs), *leaves(self.targets)]


def _check_split(inputs: Any, targets: Any) -> None:
    """Checks the inputs and targets of one split.

    Raises:
        ValueError: there are no samples, the lengths differ, or a tensor is of another type.
    """
    single = isinstance(inputs, Tensor)
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    if not single and not (
        isinstance(inputs, tuple | Mapping)
        and len(inputs)
        and all(isinstance(part, Tensor) for part in parts)
    ):
        raise ValueError(
            "a split's inputs are a tensor, a tuple of tensors, or a mapping from names to "
            f"tensors; got {_kinds(inputs)}"
        )
    for name, tensor in by_name(inputs, "inputs").items():
        # One of several inputs may be a number for each sample, such as a category.
        if tensor.ndim < (2 if single else 1) or tensor.dtype not in INPUT_TYPES:
            raise ValueError(
                "a split's inputs are float32, uint8 or int64 with the samples as the first of "
                f"at least two dimensions; got {tensor.dtype} of shape {tuple(tensor.shape)}"
                f"{'' if single else f' as {name}'}"
            )
    sizes = {name: len(tensor) for name, tensor in by_name(inputs, "inputs").items()}
    sizes |= {name: len(tensor) for name, tensor in by_name(targets, "targets").items()}
    if single and isinstance(targets, Tensor):
        if len(inputs) != len(targets):
            raise ValueError(
                f"a split needs a target for each input; got {len(inputs)} inputs and "
                f"{len(targets)} targets"
            )
    elif len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"all tensors of a split have one number of samples; got {shown}")
    if not sizes or 0 in sizes.values():
        raise ValueError("a split needs at least one sample; got an empty one")


def check_inputs(name: str, part: str, inputs: Any, shapes: Shapes) -> None:
    """Checks the inputs of a task's split against the task's shapes.

    Args:
        name: the task's name, for the message.
        part: the split's name, for the message.
        inputs: (N, ...), one or several.
        shapes: of the task.

    Raises:
        ValueError: they have other shapes, or one of several inputs is int64 without a vocabulary
            or has a vocabulary without being int64.
    """
    found = mapped(lambda tensor: tuple(tensor.shape[1:]), inputs)
    if Shapes(found, ()).input != shapes.input:
        raise ValueError(
            f"the task {name!r} takes inputs of shape {shapes.input}; its {part} inputs are {found}"
        )
    if not shapes.several:
        return
    counts = by_name(shapes.vocabularies, "inputs")
    for place, tensor in by_name(inputs, "inputs").items():
        # The network is described before it is built, and is then given inputs of this type.
        if (tensor.dtype == torch.int64) != (counts[place] is not None):
            raise ValueError(
                f"of the {part} inputs of the task {name!r}, {place} is {tensor.dtype}, and its "
                f"vocabulary is {counts[place]}: `vocabulary` of its Shapes gives the number of "
                "different tokens of every int64 input, and None for all others"
            )


def check_labels(name: str, part: str, targets: Tensor, output: tuple[int, ...]) -> None:
    """Checks that targets are numbers of the task's classes.

    Args:
        name: the task's name, for the message.
        part: the split's name, for the message.
        targets: (N, ...).
        output: the shape of the task's outputs, (K, ...).

    Raises:
        ValueError: they are not int64, or not in 0 .. K - 1.
    """
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


def check_normalize(name: str, normalize: Any, shapes: Shapes) -> None:
    """Checks the statistics with which a task's inputs are normalised.

    Raises:
        ValueError: they are not a mean and a positive deviation of each channel, or for several
            inputs not such a pair, or None, for each input.
    """
    pairs, inputs = {"inputs": normalize}, by_name(shapes.input, "inputs", is_shape)
    if shapes.several:
        pairs = dict[str, Any]()
        if isinstance(normalize, Mapping) == isinstance(shapes.input, Mapping):
            pairs = by_name(normalize, "inputs", _is_pair)
        if pairs.keys() != inputs.keys():
            raise ValueError(
                f"the task {name!r} has the inputs {shapes.input}: `normalize` gives for each of "
                "them a mean and a deviation of each channel, or None, in the same structure; got "
                f"{normalize!r}"
            )
    for place, pair in pairs.items():
        if pair is None:
            continue
        channels = inputs[place][0] if inputs[place] else 1
        complete = all(len(values) == channels for values in pair)
        if not complete or min(pair[1]) <= 0:
            raise ValueError(
                f"the task {name!r} has {channels} channels{f' in {place}' * shapes.several}: give "
                f"a mean and a positive deviation for each, got {pair}"
            )


def prepared(inputs: Any, normalize: Any) -> Any:
    """The inputs of a batch in the form that the network takes.

    Pixels are scaled to 0..1, and then each channel becomes (x - mean) / deviation. Tokens are not
    changed.

    Args:
        inputs: (N, ...), one or several.
        normalize: as in `nas.tasks.task.Task`.
    """
    if normalize is None:
        return mapped(_scaled, inputs)
    return mapped(_normalised, inputs, normalize)


def _scaled(inputs: Tensor) -> Tensor:
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs


def _normalised(
    inputs: Tensor, statistics: tuple[tuple[float, ...], tuple[float, ...]] | None
) -> Tensor:
    scaled = _scaled(inputs)
    if statistics is None or inputs.dtype == torch.int64:
        return scaled
    shape = (-1,) + (1,) * (inputs.ndim - 2)
    mean, deviation = (_constant(values, inputs.device).reshape(shape) for values in statistics)
    return (scaled - mean) / deviation


@lru_cache(maxsize=64)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    # Cached, because the host has to wait for each copy to a device.
    return torch.tensor(values, device=device)


def _is_pair(value: Any) -> bool:
    """Whether a value is a mean and a deviation of each channel, or None."""
    return value is None or (
        isinstance(value, tuple | list)
        and len(value) == 2
        and all(
            isinstance(numbers, tuple | list)
            and all(isinstance(number, float | int) for number in numbers)
            for numbers in value
        )
    )


def _kinds(inputs: Any) -> str:
    kinds = ", ".join(sorted({type(part).__name__ for part in leaves(inputs)}))
    return f"{type(inputs).__name__} of {kinds}"
