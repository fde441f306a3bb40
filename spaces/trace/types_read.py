"""Whether a module's program asks for `type(x)`, which nothing can answer as for a tensor.

A traced value passes `isinstance`, but `type(x) is torch.Tensor` is false. So the code that the
module may run is searched for a call of `type`.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

# Text about a type decides nothing.
_NAMES = frozenset(("__name__", "__qualname__", "__module__"))
# Packages whose code is not searched: it is not the user's.
_FOREIGN = frozenset((*sys.stdlib_module_names, "torch", "numpy", "spaces", "_pytest", "pytest"))


def type_reader(module: nn.Module) -> CodeType | None:
    """The first code of the user's own that asks for the type of a value; None if none does."""
    for part in module.modules():
        if (found := _reader_in_class(type(part))) is not None:
            return found
        if _is_foreign(type(part).__module__):
            continue
        for value in part.__dict__.values():
            function = _function(value) if type(value) in (FunctionType, MethodType) else None
            if function is not None and (found := _reader_in(function)) is not None:
                return found
    return None


# What was found in each function. A function that a module holds ends with the module.
_READERS: WeakKeyDictionary[FunctionType, CodeType | None] = WeakKeyDictionary()


@lru_cache(maxsize=4096)
def _reader_in_class(kind: type) -> CodeType | None:
    own = (item for item in kind.__mro__ if not _is_foreign(item.__module__))
    functions = (_function(value) for item in own for value in vars(item).values())
    found = (_reader_in(function) for function in functions if function is not None)
    return next((code for code in found if code is not None), None)


def _function(value: Any) -> FunctionType | None:
    if isinstance(value, staticmethod | classmethod | MethodType):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    value = inspect.unwrap(value) if isinstance(value, FunctionType) else value
    if isinstance(value, FunctionType) and not _is_foreign(value.__module__):
        return value
    return None


@lru_cache(maxsize=4096)
def _is_foreign(name: str | None) -> bool:
    return (name or "").partition(".")[0] in _FOREIGN


def _reader_in(function: FunctionType) -> CodeType | None:
    """The code that asks: of the function, or of one that it names, directly or through others."""
    if function not in _READERS:
        _READERS[function] = _searched(function)
    return _READERS[function]


def _searched(function: FunctionType) -> CodeType | None:
    seen, waiting = {function}, [function]
    while waiting:
        current = waiting.pop()
        for code in _codes(current.__code__):
            if _asks_for_a_type(code):
                return code
            named = set(_named(current, code)) - seen
            seen |= named
            waiting += named
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _codes(item)


def _named(function: FunctionType, code: CodeType) -> Iterator[FunctionType]:
    """The functions that a code names: globals, members of the user's modules, and closures."""
    for name in code.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType) and not _is_foreign(value.__name__):
            for other in code.co_names:
                if (found := _function(vars(value).get(other))) is not None:
                    yield found
        elif (found := _function(value)) is not None:
            yield found
    for cell in function.__closure__ or ():
        try:
            found = _function(cell.cell_contents)
        except ValueError:  # The name is not bound yet.
            continue
        if found is not None:
            yield found


def _asks_for_a_type(code: CodeType) -> bool:
    if "type" not in code.co_names:
        return False
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "PRECALL")]
    for place, step in enumerate(steps):
        if step.argval == "type" and step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            after = next(
                (other for other in range(place, len(steps)) if steps[other].opname == "CALL"), None
            )
            if after is None or steps[after].argval != 1 or after + 1 == len(steps):
                continue
            following = steps[after + 1]
            if not (following.opname == "LOAD_ATTR" and following.argval in _NAMES):
                return True
    return False
