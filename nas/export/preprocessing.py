"""What training did to its inputs before the network saw them, so that a user of the network can do
the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

# Of a language model: it tells tokens that are hidden, or the next one.
Objective = Literal["masked", "causal"]


@dataclass(frozen=True)
class Preprocessing:
    """From the task's inputs to the network's.

    Attributes:
        inputs: `uint8` pixels are divided by 255, `float32` are taken as they are; `int64` tokens
            have no preprocessing.
        mean, deviation: then, for each channel, (x - mean) / deviation; None: not normalised.
    """

    inputs: Literal["uint8", "float32", "int64"]
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None

    @property
    def does_nothing(self) -> bool:
        """Whether the network takes the task's inputs as they are."""
        return self.inputs == "int64" or (self.inputs == "float32" and self.mean is None)

    def __call__(self, inputs: Tensor) -> Tensor:
        """A batch as `nas.tasks.task.Task.prepare` gives it to the network in training."""
        if self.inputs == "int64":
            return inputs
        mean, deviation = self._statistics(inputs)
        return ((inputs.float() / 255 if self.inputs == "uint8" else inputs) - mean) / deviation

    def inverse(self, normalised: Tensor) -> Tensor:
        """The float32 inputs that normalise to these."""
        mean, deviation = self._statistics(normalised)
        return normalised * deviation + mean

    def _statistics(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        shape = (-1,) + (1,) * (inputs.ndim - 2)
        mean, deviation = torch.tensor(self.mean or (0.0,)), torch.tensor(self.deviation or (1.0,))
        return mean.reshape(shape), deviation.reshape(shape)

    def source(self, dimensions: int) -> str:
        """The same as Python text: the function `preprocess` and its constants, for inputs of so
        many dimensions, the batch included.
        """
        lines, steps = [], []
        if self.mean is not None:
            lines += [
                f"MEAN = torch.tensor({list(self.mean)!r})",
                f"DEVIATION = torch.tensor({list(self.deviation or ())!r})",
                "",
                "",
            ]
        if self.inputs == "uint8":
            steps.append(("pixels of 0 to 255 scaled to 0..1", "inputs.float() / 255"))
        if self.mean is not None:
            index = (
                "[" + ", ".join([":"] + ["None"] * (dimensions - 2)) + "]" if dimensions > 2 else ""
            )
            steps.append(
                (
                    "normalised by the training data's mean and deviation",
                    f"(inputs - MEAN{index}) / DEVIATION{index}",
                )
            )
        lines += ["def preprocess(inputs: torch.Tensor) -> torch.Tensor:"]
        lines += [
            f'    """What the network takes, from raw {self.inputs} inputs: '
            f'{", then ".join(said for said, _ in steps)}."""'
        ]
        lines += [f"    inputs = {text}" for _, text in steps[:-1]]
        return "\n".join([*lines, f"    return {steps[-1][1]}", ""])

    def __str__(self) -> str:
        if self.inputs == "int64":
            return "none: the inputs are tokens (int64)"
        raw = (
            "pixels (uint8, 0 to 255), divided by 255"
            if self.inputs == "uint8"
            else "float32 inputs, scaled as the task scales them"
        )
        if self.mean is None:
            return raw
        mean, deviation = (
            ", ".join(f"{value:.6g}" for value in values)
            for values in (self.mean, self.deviation or ())
        )
        return (
            f"{raw}, then (x - mean) / deviation for each channel: mean {mean}, deviation "
            f"{deviation}"
        )


def classes_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The classes' names that a weights file gives, in the order of their numbers; empty where it
    gives none.

    Raises:
        ValueError: what it gives are not names.
    """
    text = metadata.get("classes", "[]")
    try:
        names = json.loads(text)
    except json.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a weights file's `classes` is a list of names; got {text[:80]!r}")
    return tuple(names)


def tokenizer_of(metadata: Mapping[str, str]) -> str | None:
    """The file of the library `tokenizers` that makes the network's inputs of a text, as JSON; None
    where a weights file gives none.

    Raises:
        ValueError: what it gives is no such file.
    """
    text = metadata.get("tokenizer")
    if text is None:
        return None
    try:
        described = json.loads(text)
    except json.JSONDecodeError:
        described = None
    if not isinstance(described, dict) or "model" not in described:
        raise ValueError(
            f"a weights file's `tokenizer` is the JSON of a tokenizer; got {text[:80]!r}"
        )
    return text


def objective_of(metadata: Mapping[str, str]) -> Objective | None:
    """What a language model was trained for; None where a weights file does not say, as of all
    other networks.

    Raises:
        ValueError: what it says is not known.
    """
    objective = metadata.get("objective")
    if objective not in (None, "masked", "causal"):
        raise ValueError(f"a weights file's `objective` is masked or causal; got {objective!r}")
    return objective


def preprocessing_of(metadata: Mapping[str, str]) -> Preprocessing | None:
    """What a weights file says of its training's inputs; None where it says nothing.

    Raises:
        ValueError: what it says is malformed.
    """
    if "inputs" not in metadata:
        return None
    inputs = metadata["inputs"]
    try:
        normalize = json.loads(metadata.get("normalize", "null"))
        mean, deviation = (
            (None, None)
            if normalize is None
            else (tuple(map(float, values)) for values in normalize)
        )
        if (
            mean is not None
            and deviation is not None
            and (len(mean) != len(deviation) or not all(map(math.isfinite, mean + deviation)))
        ):
            raise ValueError("they are not as many, or not finite")
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ValueError(
            "a weights file's `normalize` is null or [[mean, ...], [deviation, ...]]; got "
            f"{metadata['normalize']!r}"
        ) from error
    if inputs not in ("uint8", "float32", "int64"):
        raise ValueError(f"a weights file's `inputs` is uint8, float32 or int64; got {inputs!r}")
    return Preprocessing(inputs, mean, deviation)
