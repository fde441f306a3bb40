"""What an operation of the vocabulary is, and how its attributes are written as Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spaces.graph import Value
from spaces.ops.shapes import Attributes, Rule, Shape, channels


class _Required:
    """The type of `REQUIRED`, which marks an attribute without a default."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

Call = Callable[[Attributes, tuple[str, ...], str], str]
Shapes = tuple[Shape, ...]


def _nothing(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    return ()


def _free(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    return 0


def _no_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return 0


def _module_call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    return f"{owner}({', '.join(values)})"


@dataclass(frozen=True)
class Op:
    """One operation of the vocabulary: its attributes, shapes, costs and PyTorch text.

    All shapes include the batch (see `spaces.ops.shapes`).

    Attributes:
        name: as in `Node.op`.
        infer: computes the output's shape; raises ValueError if the inputs do not fit.
        defaults: every attribute and its default, or REQUIRED, in the order of torch's arguments.
        fewest, most: how many inputs it takes; any number if `most` is None.
        ordered: whether the order of the inputs matters, so that edges carry slots.
        torch_class: the torch.nn class whose instances become this operation in a trace.
        constructed: whether the network holds a module or a tensor for it; otherwise it is only an
            expression in `forward`.
        inferred: computes the constructor's first arguments, which follow from the input's shape.
        call: writes the expression in `forward`, from the attributes, the inputs' expressions and
            the module's expression ("self.conv1").
        parameters, multiply_adds: compute the counts for one sample. Biases, norms and activations
            count as no multiply-adds.
        constructor: writes the constructor; None for the torch class with `inferred` and the
            attributes.
    """

    name: str
    infer: Rule
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fewest: int = 1
    most: int | None = 1
    ordered: bool = False
    torch_class: str | None = None
    constructed: bool = False
    inferred: Callable[[Attributes, Shapes], tuple[Value, ...]] = _nothing
    call: Call = _module_call
    parameters: Callable[[Attributes, Shapes], int] = _no_parameters
    multiply_adds: Callable[[Attributes, Shapes, Shape], int] = _free
    constructor: Callable[[Op, Attributes, Shapes], str] | None = None

    def module(self, attributes: Attributes, inputs: Shapes) -> str | None:
        """The constructor's text, such as "nn.Conv2d(3, 16, 3, padding=1)"; None for functions."""
        if not self.constructed:
            return None
        if self.constructor is not None:
            return self.constructor(self, attributes, inputs)
        shown = {
            name: channels(value, inputs[0][1]) if value == "in_channels" else value
            for name, value in attributes.items()
        }
        inferred = map(literal, self.inferred(attributes, inputs))
        return f"nn.{self.torch_class}({', '.join((*inferred, *arguments(self, shown)))})"


def arguments(op: Op, attributes: Attributes) -> tuple[str, ...]:
    """The attributes as the arguments of a call.

    Required ones are given by position. Others are given by name, if they differ from the default.
    """
    required = tuple(
        literal(attributes[name]) for name, default in op.defaults.items() if default is REQUIRED
    )
    optional = (
        name
        for name, default in op.defaults.items()
        if default is not REQUIRED and attributes[name] != default
    )
    return (*required, *(f"{name}={literal(attributes[name])}" for name in optional))


def literal(value: Value) -> str:
    """A JSON value as Python text; the texts "inf", "-inf" and "nan" become those floats.

    An attribute reaches a module's source only through this function.

    Raises:
        ValueError: `value` is not a JSON value.
    """
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if value in ("inf", "-inf", "nan"):
        return f'float("{value}")'
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError(f"an attribute must be a JSON value, got {value!r}")
    if isinstance(value, str) and '"' not in value and "'" not in value:
        return '"' + repr(value)[1:-1] + '"'
    return repr(value)
