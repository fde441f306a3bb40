"""How functions of torch that have no handler become operations "function:torch.f"."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import get_testing_overrides, resolve_name

from spaces.ops.generic import overridable
from spaces.trace.attributes import json_value
from spaces.trace.handlers import Record, function_name
from spaces.trace.sizes import NO_NUMBER, BatchSize
from spaces.trace.untraceable import Untraceable
from spaces.trace.value import Traced


def fallback(
    record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Records a function that torch allows to override as the operation "function:torch.f".

    Raises:
        Untraceable: torch does not allow to override it, or an argument is neither a tensor nor a
            JSON value.
    """
    path = _public_path(function)
    if any(isinstance(value, Traced | torch.Tensor) for value in kwargs.values()):
        given = inspect.signature(get_testing_overrides()[function]).bind(*args, **kwargs)
        args, kwargs = given.args, given.kwargs
    attributes: dict[str, Any] = {
        f"arg{place}": _argument(value)
        for place, value in enumerate(args)
        if not isinstance(value, Traced | torch.Tensor)
    }
    attributes |= {name: _argument(value) for name, value in kwargs.items() if value is not None}
    inputs = tuple(value for value in args if isinstance(value, Traced | torch.Tensor))
    return record(f"function:{path}", attributes, inputs)


def _argument(value: Any) -> Any:
    if isinstance(value, BatchSize):
        raise Untraceable(NO_NUMBER)
    return json_value(value)


def _public_path(function: Callable[..., Any]) -> str:
    path = resolve_name(function) or ""
    name, in_place = function_name(function)
    name = {"and": "logical_and", "or": "logical_or", "invert": "logical_not"}.get(name, name)
    for candidate in (
        f"torch.{name}",
        f"torch.nn.functional.{name}",
        path.removesuffix("_") if in_place else path,
    ):
        if candidate in overridable():
            return candidate
    raise Untraceable(
        f"the function {path or getattr(function, '__name__', repr(function))} has no place in "
        "the vocabulary: compute it by other functions of torch (new tensors are made in __init__ "
        "and kept by self.register_buffer, random numbers are left to nn.Dropout)"
    )
