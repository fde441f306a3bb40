"""The preprocessing of a network's inputs in training, which its users have to repeat.

It is read from the metadata of a weights file, as are the other facts that an export needs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spaces.structure import Named, by_name, leaves, mapped, plain

if TYPE_CHECKING:
    from torch import Tensor

# Of a language model: it predicts hidden tokens, or the next token.
Objective = Literal["masked", "causal"]


@dataclass(frozen=True)
class Preprocessing:
    """The function from the task's inputs to the network's inputs.

    Attributes:
        inputs: `uint8` pixels are divided by 255, `float32` inputs are not scaled, and `int64`
            tokens have no preprocessing at all.
        mean, deviation: of each channel; inputs are then normalised to (x - mean) / deviation.
            None: they are not normalised.
    """

    inputs: Literal["uint8", "float32", "int64"]
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None

    @property
    def does_nothing(self) -> bool:
        """Whether the network takes the task's inputs unchanged."""
        return self.inputs == "int64" or (self.inputs == "float32" and self.mean is None)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The network's inputs for a batch, as `nas.tasks.task.Task.prepare` gives in training."""
        if self.inputs == "int64":
            return inputs
        mean, deviation = self._statistics(inputs)
        scaled = inputs.float() / 255 if self.inputs == "uint8" else inputs
        return (scaled - mean) / deviation

    def inverse(self, normalised: Tensor) -> Tensor:
        """The float32 inputs whose normalisation gives these values."""
        mean, deviation = self._statistics(normalised)
        return normalised * deviation + mean

    def _statistics(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        shape = (-1,) + (1,) * (inputs.ndim - 2)
        mean, deviation = torch.tensor(self.mean or (0.0,)), torch.tensor(self.deviation or (1.0,))
        return mean.reshape(shape), deviation.reshape(shape)

    def to_json(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        return dict(vars(self))

    def source(self, dimensions: int) -> str:
        """The same function as Python text: `preprocess` and its constants, for `model.py`.

        Args:
            dimensions: of the inputs, including the batch.
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
            index = _index(dimensions)
            normalised = f"(inputs - MEAN{index}) / DEVIATION{index}"
            steps.append(("normalised by the training data's mean and deviation", normalised))
        done = ", then ".join(said for said, _ in steps)
        lines.append("def preprocess(inputs: torch.Tensor) -> torch.Tensor:")
        lines.append(f'    """What the network takes, from raw {self.inputs} inputs: {done}."""')
        lines += [f"    inputs = {text}" for _, text in steps[:-1]]
        return "\n".join([*lines, f"    return {steps[-1][1]}", ""])

    def expression(self, value: str, dimensions: int) -> str:
        """The same function as one Python expression, where `value` is the text of the inputs."""
        if self.inputs == "uint8":
            value = f"{value}.float() / 255"
        if self.mean is None:
            return value
        index = _index(dimensions)
        mean, deviation = list(self.mean), list(self.deviation or ())
        return f"({value} - torch.tensor({mean}){index}) / torch.tensor({deviation}){index}"

    def __str__(self) -> str:
        if self.inputs == "int64":
            return "none: the inputs are tokens (int64)"
        raw = "float32 inputs, scaled as the task scales them"
        if self.inputs == "uint8":
            raw = "pixels (uint8, 0 to 255), divided by 255"
        if self.mean is None:
            return raw
        mean = ", ".join(f"{value:.6g}" for value in self.mean)
        deviation = ", ".join(f"{value:.6g}" for value in self.deviation or ())
        step = "(x - mean) / deviation for each channel"
        return f"{raw}, then {step}: mean {mean}, deviation {deviation}"


def _index(dimensions: int) -> str:
    """The index that gives a row of channels the dimensions behind them."""
    return f"[:{', None' * (dimensions - 2)}]" if dimensions > 2 else ""


@dataclass(frozen=True)
class SeveralPreprocessing:
    """The preprocessing of several inputs.

    Attributes:
        parts: that of each input, in a tuple or mapping.
    """

    parts: Any

    @property
    def does_nothing(self) -> bool:
        """Whether the network takes all inputs unchanged."""
        return all(part.does_nothing for part in leaves(self.parts, _is_one))

    def __call__(self, inputs: Any) -> Any:
        """The network's inputs for a batch."""
        return mapped(lambda tensor, part: part(tensor), inputs, self.parts)

    def inverse(self, normalised: Any) -> Any:
        """The float32 inputs whose normalisation gives these values."""
        return mapped(lambda tensor, part: part.inverse(tensor), normalised, self.parts)

    def to_json(self) -> Any:
        """The attributes of each part, in the same structure."""
        return plain(mapped(lambda part: part.to_json(), self.parts, leaf=_is_one), _is_attributes)

    def source(self, dimensions: Any) -> str:
        """The same function as Python text, for `model.py`.

        Args:
            dimensions: of each input, including the batch, in the structure of the inputs.
        """
        texts, named = [], isinstance(self.parts, Mapping)
        counts = by_name(dimensions, "inputs")
        for number, (name, part) in enumerate(by_name(self.parts, "inputs", _is_one).items()):
            value = f"inputs[{name!r}]" if named else f"inputs[{number}]"
            text = value if part.does_nothing else part.expression(value, counts[name])
            texts.append(f"        {f'{name!r}: ' if named else ''}{text},")
        first, last = "{}" if named else "()"
        lines = [
            f"def preprocess(inputs: {'dict' if named else 'tuple'}) -> "
            f"{'dict' if named else 'tuple'}:",
            '    """What the network takes, from raw inputs: pixels scaled to 0..1, and then the',
            "    normalisation by the training data's mean and deviation, as far as each has them.",
            '    """',
            f"    return {first}",
            *texts,
            f"    {last}",
        ]
        return "\n".join([*lines, ""])

    def __str__(self) -> str:
        named = by_name(self.parts, "inputs", _is_one)
        return "; ".join(f"{name}: {part}" for name, part in named.items())


def _is_one(value: Any) -> bool:
    return isinstance(value, Preprocessing)


def _is_attributes(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"inputs", "mean", "deviation"}


def classes_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the classes by number, from the metadata of a weights file; empty if none.

    Raises:
        ValueError: they are not names.
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
    """The tokenizer of a weights file's metadata; None if there is none.

    It is the JSON text of a file of the library `tokenizers`, which turns a text into the network's
    inputs.

    Raises:
        ValueError: it is not such a file.
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
    """The objective of a language model, from a weights file's metadata; None for other networks.

    Raises:
        ValueError: the objective is not known.
    """
    objective = metadata.get("objective")
    if objective not in (None, "masked", "causal"):
        raise ValueError(f"a weights file's `objective` is masked or causal; got {objective!r}")
    return objective


def preprocessing_of(
    metadata: Mapping[str, str],
) -> Preprocessing | SeveralPreprocessing | None:
    """The preprocessing in training, from a weights file's metadata; None if it is not given.

    Raises:
        ValueError: it is malformed.
    """
    if "inputs" not in metadata:
        return None
    inputs, normalize = metadata["inputs"], metadata.get("normalize", "null")
    if inputs[:1] not in ("[", "{"):
        return _one_preprocessing(inputs, normalize)
    try:
        types, pairs = json.loads(inputs), json.loads(normalize)
        if pairs is None:
            pairs = mapped(lambda kind: None, types)
        texts = mapped(lambda kind, pair: json.dumps(pair), types, pairs)
    except ValueError as error:
        raise ValueError(
            "a weights file's `inputs` of several inputs is a list or mapping of types, and its "
            f"`normalize` is null or the same of pairs; got {inputs!r} and {normalize!r}"
        ) from error
    parts = mapped(_one_preprocessing, types, texts)
    return SeveralPreprocessing(tuple(parts) if isinstance(parts, list) else Named(parts))


def _one_preprocessing(inputs: str, text: str) -> Preprocessing:
    try:
        normalize, mean, deviation = json.loads(text), None, None
        if normalize is not None:
            mean, deviation = (tuple(map(float, values)) for values in normalize)
            if len(mean) != len(deviation) or not all(map(math.isfinite, mean + deviation)):
                raise ValueError("means and deviations differ in number, or are not finite")
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ValueError(
            f"a weights file's `normalize` is null or [[mean, ...], [deviation, ...]]; got {text!r}"
        ) from error
    if inputs not in ("uint8", "float32", "int64"):
        raise ValueError(f"a weights file's `inputs` is uint8, float32 or int64; got {inputs!r}")
    return Preprocessing(inputs, mean, deviation)
