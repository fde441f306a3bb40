"""Handlers of arithmetic, matrix products, extremes and reductions."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import torch

from spaces.trace.attributes import json_value
from spaces.trace.handlers import Handler, Record, bound
from spaces.trace.other_functions import fallback
from spaces.trace.sizes import NO_NUMBER, BatchSize
from spaces.trace.untraceable import Untraceable
from spaces.trace.value import Traced

_REVERSED = {"sub": "rsub_scalar", "div": "rdiv_scalar"}


def operator(op_name: str, scalar_name: str) -> Handler:
    """The handler of an arithmetic operator, which takes two tensors or a tensor and a number.

    Args:
        op_name: the operation on two tensors.
        scalar_name: the operation on a tensor and a number.
    """

    def handle(record: Record, x: Any, y: Any = None, alpha: Any = 1, **kwargs: Any) -> Any:
        y = kwargs.pop("other") if y is None else y
        bound((), (), kwargs)
        if alpha != 1:
            y = y * alpha
        if not isinstance(x, Traced | torch.Tensor):
            x, y = y, x
            if op_name in _REVERSED:
                return record(_REVERSED[op_name], {"value": json_value(y)}, (x,))
        if isinstance(y, Traced | torch.Tensor):
            return record(op_name, {}, (x, y))
        if isinstance(y, BatchSize):
            raise Untraceable(NO_NUMBER)
        if op_name == "mul" and y == 0:
            return record("zero", {}, (x,))
        return record(scalar_name, {"value": json_value(-y if op_name == "sub" else y)}, (x,))

    return handle


def swapped(handle: Handler) -> Handler:
    """The handler of the same function with its two arguments exchanged."""
    return lambda record, x, y: handle(record, y, x)


def power(record: Record, x: Any, exponent: Any) -> Any:
    """`x ** exponent`: an operation of the table if only the base is a tensor."""
    is_number = not isinstance(exponent, Traced | torch.Tensor | BatchSize)
    if isinstance(x, Traced | torch.Tensor) and is_number:
        return record("pow_scalar", {"value": json_value(exponent)}, (x,))
    return fallback(record, torch.pow, (x, exponent), {})


def matmul(record: Record, x: Any, y: Any = None, **kwargs: Any) -> Any:
    """`x @ y`, whatever the name of the second argument."""
    return record("matmul", {}, (x, next(iter(kwargs.values())) if y is None else y))


def extreme(op_name: str, reduced: str) -> Handler:
    """The handler of `max` or `min`.

    Args:
        op_name: the operation on two tensors.
        reduced: the operation along dimensions of one tensor.
    """

    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Traced | torch.Tensor):
            return record(op_name, {}, (x, args[0]))
        return _Extreme(reduction(reduced)(record, x, *args, **kwargs), None)

    return handle


_Extreme = namedtuple("_Extreme", ["values", "indices"])


def reduction(op_name: str) -> Handler:
    """The handler of a function that reduces dimensions, which must be given."""

    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        named = {("dim" if name == "axis" else name): value for name, value in kwargs.items()}
        arguments = bound(("dim", "keepdim"), args, named)
        if arguments.get("dim") is None:
            raise Untraceable(
                f"x.{op_name}() without dim mixes the samples of the batch: name the dimensions"
            )
        dim = json_value(arguments["dim"])
        arguments["dim"] = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
        return record(op_name, arguments, (x,))

    return handle
