"""Any value of a user's program as plain data that is equal in every process."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor, nn

SCALARS = frozenset((int, float, str, bool, type(None), complex, bytes))
_NAMED = (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
# The attributes of an object's attributes are followed this far.
_DEPTH = 4


def plain(
    value: Any, tensor: Callable[[Tensor], object], home: str = "", depth: int = _DEPTH
) -> Any:
    """The value as scalars, tuples and lists, whose `repr` is the same in every process.

    Objects are written as their class and attributes, functions as their name, constants and
    closure. A set is sorted. Nothing contains an address.

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
        return ("class", named(value, home))
    if isinstance(value, _NAMED):
        return str(value)
    if isinstance(value, enum.Enum):
        return (named(kind, home), value.name)
    if isinstance(value, numpy.ndarray | numpy.generic):
        return ("array", str(value.dtype), value.shape, _hashed(numpy.ascontiguousarray(value)))
    if depth == 0:
        return ("object", named(kind, home))
    further = partial(plain, tensor=tensor, home=home, depth=depth - 1)
    if isinstance(value, tuple | list):
        return (kind.__name__, [further(item) for item in value])
    if isinstance(value, set | frozenset):
        return ("set", sorted(repr(further(item)) for item in value))
    if isinstance(value, Mapping):
        return ("mapping", [(further(key), further(item)) for key, item in value.items()])
    if isinstance(value, nn.Module):
        return ("module", named(kind, home))
    if isinstance(value, partial):
        return ("partial", [further(item) for item in (value.func, value.args, value.keywords)])
    if callable(value) and hasattr(value, "__qualname__"):
        return ("function", named(value, home), _contents(value, further))
    attributes = getattr(value, "__dict__", {})
    return ("object", named(kind, home), [(name, further(attributes[name])) for name in attributes])


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


def named(value: Any, home: str) -> str:
    """The name of a class or function with its Python module, unless that is `home`."""
    place = getattr(value, "__module__", "") or ""
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return name if place == home else f"{place}.{name}"


def _contents(function: Any, further: Callable[[Any], Any]) -> list[Any]:
    """The constants, names and closure of a function, which tell two lambdas apart."""
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    constants = [item for item in code.co_consts if type(item) in SCALARS]
    cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    defaults = function.__defaults__ or ()
    return [constants, list(code.co_names), [further(item) for item in (*cells, *defaults)]]


def _filled(cell: Any) -> bool:
    """Whether the cell holds a value already; a function may be written before its names are."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
