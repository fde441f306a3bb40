"""Any value of a user's program as plain data that is equal in every process."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy
import torch
from torch import Tensor, nn

SCALARS = frozenset((int, float, str, bool, type(None), complex, bytes))
_NAMED = (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
# What torch keeps in every module.
OF_MODULES = frozenset(nn.Module().__dict__)
# The attributes of an object's attributes are followed this far.
_DEPTH = 8


def plain_value(
    value: Any, tensor: Callable[[Tensor], object], home: str = "", depth: int = _DEPTH
) -> Any:
    """The value as scalars, tuples and lists, whose `repr` is the same in every process.

    Objects are written as their class and attributes, functions as their name, constants, closure
    and defaults, a Python module as its name. A set is sorted. Nothing contains an address. What an
    object keeps where neither its attributes nor its text show it is not seen.

    Args:
        value: anything.
        tensor: what to write for a tensor.
        home: the name of the Python module of the user's program. It is left out of names, because
            a program's file has one name where it is run and another where it is imported.
        depth: how many levels of objects within objects are written out.
    """
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is tuple and all(type(item) in SCALARS for item in value):
        return ("tuple", value)
    if isinstance(value, Tensor):
        return ("tensor", tensor(value))
    if isinstance(value, type):
        return ("class", full_name(value, home))
    if isinstance(value, ModuleType):  # A closure may hold all of torch.
        return ("import", value.__name__)
    if isinstance(value, _NAMED):
        return str(value)
    if isinstance(value, enum.Enum):
        return (full_name(kind, home), value.name)
    if isinstance(value, numpy.ndarray | numpy.generic):
        return ("array", str(value.dtype), value.shape, _hashed(numpy.ascontiguousarray(value)))
    if depth == 0:
        return ("object", full_name(kind, home))
    further = partial(plain_value, tensor=tensor, home=home, depth=depth - 1)
    if isinstance(value, tuple | list):
        return (kind.__name__, [further(item) for item in value])
    if isinstance(value, set | frozenset):
        return ("set", sorted(repr(further(item)) for item in value))
    if isinstance(value, Mapping):
        return ("mapping", [(further(key), further(item)) for key, item in value.items()])
    if isinstance(value, nn.Module):
        if kind.__module__.startswith("torch._dynamo"):
            return ("compiled",)
        own = {name: item for name, item in vars(value).items() if name not in OF_MODULES}
        return ("module", full_name(kind, home), further({**own, **value._modules}))
    if isinstance(value, torch.Generator):
        return ("generator", value.initial_seed())
    if isinstance(value, partial):
        return ("partial", [further(item) for item in (value.func, value.args, value.keywords)])
    if callable(value) and hasattr(value, "__qualname__"):
        return ("function", full_name(value, home), _contents(value, further))
    attributes = getattr(value, "__dict__", None)
    # Objects lead to ever more objects, containers end.
    further = partial(plain_value, tensor=tensor, home=home, depth=max(depth - 3, 0))
    if attributes is None:
        # Such objects have their contents in their text, unless it is an address.
        text = repr(value)
        return ("object", full_name(kind, home), "" if " at 0x" in text else text)
    return (
        "object",
        full_name(kind, home),
        [(name, further(attributes[name])) for name in sorted(attributes)],
    )


def digest_of(tensor: Tensor) -> tuple[Any, ...]:
    """The type, shape and a digest of the contents of a tensor that has contents."""
    flat = tensor.detach().cpu().resolve_conj().resolve_neg()
    if flat.layout is not torch.strided or flat.is_quantized:
        return (str(flat.dtype), tuple(flat.shape), str(flat.layout))
    raw = flat.contiguous().reshape(-1).view(torch.uint8) if flat.numel() else flat
    return (str(flat.dtype), tuple(flat.shape), _hashed(raw.numpy()))


def _hashed(array: numpy.ndarray) -> str:
    if array.dtype.hasobject:
        return ""
    return hashlib.blake2b(array.tobytes(), digest_size=12).hexdigest()


def full_name(value: Any, home: str) -> str:
    """The name of a class or function with its Python module, unless that is `home`."""
    place = getattr(value, "__module__", "") or ""
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return name if place == home else f"{place}.{name}"


def _contents(function: Any, further: Callable[[Any], Any]) -> list[Any]:
    """What a function computes with: its code, closure and defaults, and its object if it has one.

    The code is that of one version of Python. Another version may give another key, but no two
    functions the same one.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    owner = [further(function.__self__)] if isinstance(function, MethodType) else []
    function = getattr(function, "__func__", function)
    cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [_code(code), [further(item) for item in (*cells, *defaults)], owner]


def _code(code: CodeType) -> list[Any]:
    """The instructions, names and constants, also of functions inside."""
    constants = [
        _code(item) if isinstance(item, CodeType) else item
        for item in code.co_consts
        if isinstance(item, CodeType) or type(item) in SCALARS
    ]
    return [code.co_code, list(code.co_names), constants]


def class_contents(kind: type, further: Callable[[Any], Any]) -> list[Any]:
    """The functions of a class that is defined inside a function, and may use its variables."""
    if "<locals>" not in kind.__qualname__:
        return []
    return [
        (name, _contents(item, further))
        for name, item in vars(kind).items()
        if isinstance(item, FunctionType)
    ]


def _filled(cell: Any) -> bool:
    """Whether the cell of a closure holds a value; a function may be older than what it names."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
