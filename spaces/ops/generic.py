"""Operations outside of the table: other torch.nn modules, and other functions of torch.

They are named "nn.Hardshrink" and "function:torch.roll". A name is looked up among torch's own
classes and overridable functions; it is never evaluated. Shapes and counts come from a run on the
meta device.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.overrides import get_overridable_functions, get_testing_overrides, resolve_name
from torch.utils.flop_counter import FlopCounterMode

from spaces.ops.operation import REQUIRED, Op, Shapes, literal
from spaces.ops.shapes import BATCH, Attributes, Shape, dimension


class _AnyArgument(Mapping[str, Any]):
    """Defaults by which every Python name is a required attribute.

    They serve functions of torch, whose arguments are not known from their names.
    """

    def __contains__(self, name: object) -> bool:
        return (
            isinstance(name, str)
            and name.isidentifier()
            and name.isascii()
            and not keyword.iskeyword(name)
        )

    def __getitem__(self, name: str) -> Any:
        return REQUIRED

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@lru_cache(maxsize=1024)
def generic(name: str) -> Op:
    """The operation for "nn.X" or "function:torch.f".

    Raises:
        ValueError: torch has no such module or overridable function.
    """
    return _module_op(name) if name.startswith("nn.") else _function_op(name)


def _module_op(name: str) -> Op:
    class_name = name.removeprefix("nn.")
    torch_class = getattr(nn, class_name, None)
    if not (
        isinstance(torch_class, type)
        and issubclass(torch_class, nn.Module)
        and torch_class.__module__.startswith("torch.nn.modules")
    ):
        raise ValueError(f"torch.nn has no module {class_name!r}")
    defaults = constructor_defaults(torch_class)

    def run(attributes: Attributes, inputs: Shapes) -> tuple[Shape, int, int]:
        with torch.device("meta"):
            module = torch_class(**{key: _decoded(value) for key, value in attributes.items()})
        shape, flops = _measured(lambda *values: module(*values), inputs)
        return shape, flops, sum(parameter.numel() for parameter in module.parameters())

    return Op(
        name,
        lambda attributes, inputs: run(attributes, inputs)[0],
        defaults,
        fewest=1,
        most=None,
        ordered=True,
        torch_class=class_name,
        constructed=True,
        parameters=lambda attributes, inputs: run(attributes, inputs)[2],
        multiply_adds=lambda attributes, inputs, output: run(attributes, inputs)[1],
    )


@lru_cache(maxsize=1024)
def constructor_defaults(torch_class: type) -> dict[str, Any]:
    """The arguments of a constructor with their defaults, or REQUIRED.

    Arguments that do not change what is computed are left out.

    Raises:
        ValueError: the constructor takes `*args` or `**kwargs`.
    """
    result = {}
    for parameter in list(inspect.signature(torch_class.__init__).parameters.values())[1:]:
        has_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if has_name and parameter.name not in ("device", "dtype", "inplace"):
            is_required = parameter.default is parameter.empty
            result[parameter.name] = REQUIRED if is_required else parameter.default
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ValueError(
                f"nn.{torch_class.__name__} does not name its constructor's arguments, so it "
                "cannot be rebuilt from a graph"
            )
    return result


def _function_op(name: str) -> Op:
    path = name.removeprefix("function:")
    function = overridable().get(path)
    if function is None:
        raise ValueError(f"{path!r} is not among the functions that torch lets one override")

    def text(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        positional, named = call_arguments(attributes, values, literal)
        keywords = [f"{key}={value}" for key, value in named.items()]
        return f"{path}({', '.join((*positional, *keywords))})"

    def run(attributes: Attributes, inputs: Shapes) -> tuple[Shape, int]:
        def call(*values: torch.Tensor) -> Any:
            positional, named = call_arguments(attributes, values, _decoded)
            _check_dims(function, positional, named, inputs)
            return function(*positional, **named)

        return _measured(call, inputs)

    return Op(
        name,
        lambda attributes, inputs: run(attributes, inputs)[0],
        _AnyArgument(),
        fewest=1,
        most=None,
        ordered=True,
        call=text,
        multiply_adds=lambda attributes, inputs, output: run(attributes, inputs)[1],
    )


def call_arguments(
    attributes: Attributes, values: tuple[Any, ...], shown: Callable[[Any], Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The positional and the keyword arguments of a function.

    The attribute `argN` is positional argument number N. The other positional arguments are the
    inputs, in order. All other attributes are keyword arguments.

    Args:
        attributes: of a node "function:torch.f".
        values: the inputs.
        shown: applied to each attribute's value.

    Raises:
        ValueError: the positions of the attributes and the inputs leave a gap.
    """
    fixed = {int(name[3:]): value for name, value in attributes.items() if _is_positional(name)}
    remaining = iter(values)
    places = range(len(fixed) + len(values))
    if not fixed.keys() <= set(places):
        raise ValueError(
            f"the positional arguments {sorted(fixed)} and {len(values)} inputs leave a gap"
        )
    positional = [shown(fixed[place]) if place in fixed else next(remaining) for place in places]
    named = {name: shown(value) for name, value in attributes.items() if not _is_positional(name)}
    return positional, named


def _is_positional(name: str) -> bool:
    return name[:3] == "arg" and name[3:].isdigit()


@lru_cache(maxsize=1)
def overridable() -> dict[str, Callable[..., Any]]:
    """The functions that torch allows to override, by their public dotted names."""
    result = {}
    for functions in get_overridable_functions().values():
        for function in functions:
            path = resolve_name(function)
            if path is None or any(part.startswith("_") for part in path.split(".")):
                continue
            if callable(function):
                result[path] = function
    return result


def _check_dims(
    function: Callable[..., Any], positional: list[Any], named: dict[str, Any], inputs: Shapes
) -> None:
    """Raises a ValueError if an argument such as `dim` makes the function mix samples.

    It does if it names the batch dimension of the first input, or if it is None, which means all
    dimensions.
    """
    if BATCH not in inputs[0]:
        return
    signature = inspect.signature(get_testing_overrides()[function])
    given = signature.bind_partial(*positional, **named)
    given.apply_defaults()
    for name in given.arguments.keys() & {"dim", "dims", "axis"}:
        dims = given.arguments[name]
        if dims is None:
            raise ValueError(
                f"without {name!r} it mixes the samples of the batch: name the dimensions"
            )
        for dim in dims if isinstance(dims, tuple) else (dims,):
            if isinstance(dim, int):
                dimension(dim, inputs[0])


def _decoded(value: Any) -> Any:
    return float(value) if value in ("inf", "-inf", "nan") else value


def _measured(call: Callable[..., Any], inputs: Shapes) -> tuple[Shape, int]:
    """The output's shape, and the multiply-adds for one sample.

    Two runs with different batch sizes show which of the output's dimensions is the batch.
    """
    first, flops = _run(call, inputs, batch=3)
    second, more_flops = _run(call, inputs, batch=5)
    if len(first) != len(second):
        raise ValueError("it mixes the batch with other dimensions")
    pairs = list(zip(first, second, strict=True))
    if any(pair != (3, 5) for pair in pairs if pair[0] != pair[1]):
        raise ValueError("it mixes the batch with other dimensions")
    shape = tuple(a if a == b else BATCH for a, b in pairs)
    if any(BATCH in given for given in inputs) and shape.count(BATCH) != 1:
        raise ValueError("its result has no batch dimension, or several")
    per_sample = (more_flops - flops) // 2 if more_flops != flops else flops
    return shape, per_sample // 2


def _run(call: Callable[..., Any], inputs: Shapes, *, batch: int) -> tuple[Shape, int]:
    """The output's shape, and the floating-point operations of the whole batch.

    The types of the inputs are unknown: if the call fails with numbers, each input in turn is tried
    as a mask, and then each as an index.
    """
    floats = (torch.float32,) * len(inputs)
    others = [
        (*floats[:place], kind, *floats[place + 1 :])
        for kind in (torch.bool, torch.int64)
        for place in range(len(inputs))
    ]
    first: Exception | None = None
    for kinds in (floats, *others):
        sizes = [[batch if size == BATCH else size for size in shape] for shape in inputs]
        values = [
            torch.empty(size, device="meta", dtype=kind)
            for size, kind in zip(sizes, kinds, strict=True)
        ]
        try:
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                result = call(*values)
        except (
            RuntimeError,
            TypeError,
            ValueError,
            NotImplementedError,
            IndexError,
            AssertionError,
        ) as error:
            first = first or error
            continue
        if not isinstance(result, torch.Tensor):
            raise ValueError(f"it gives {type(result).__name__} and not one tensor")
        return tuple(result.shape), counter.get_total_flops()
    message = (str(first).splitlines() or [type(first).__name__])[0]
    raise ValueError(f"torch says: {message}") from first
