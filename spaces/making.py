"""Runs a program that makes modules: without memory where it can, and noting what it calls.

A module that is only looked at is made on the meta device: its tensors have shapes and no memory,
and its initial values are not computed. The calls of torch that make it are noted, because the same
calls give the same contents, and the same initial values under one seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from spaces.collection import without_collection
from spaces.randomness import own_randomness

# The name of a function of torch, its arguments, and its result.
Call = tuple[str, tuple[Any, ...], dict[str, Any], Any]

# The calls that made each module that is alive. Its tensors stay alive with it.
_CALLS: WeakKeyDictionary[nn.Module, list[Call]] = WeakKeyDictionary()
_CONSTRUCTORS = frozenset(_device_constructors())
_INITIALISERS = frozenset(
    value for name, value in vars(nn.init).items() if name[-1] == "_" and name[0] != "_"
)
# They take tensors of any number of dimensions.
_FILLERS = frozenset(
    (
        *(nn.init.uniform_, nn.init.normal_, nn.init.constant_, nn.init.trunc_normal_),
        *(Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_),
    )
)
# They change no tensor.
_READS = frozenset(
    (
        *("dim", "size", "numel", "stride", "element_size", "is_contiguous"),
        *("is_floating_point", "is_complex", "_set_grad_enabled"),
    )
)


def calls_of(module: nn.Module) -> list[Call]:
    """The calls of torch that made the module, in order; none if no space's program made it."""
    return _CALLS.get(module, [])


def made(define: Callable[..., Any], arguments: tuple[Any, ...], restart: Callable[[], Any]) -> Any:
    """What the program returns; the tensors of a module are on the meta device if possible.

    A program that reads the numbers of its tensors is run again on the CPU.

    Args:
        define, arguments: the program and its arguments.
        restart: makes the chooser ready for another run, which gives the same answers.
    """
    try:
        return _noted(define, arguments, "meta")
    except (RuntimeError, NotImplementedError) as error:
        if "meta" not in str(error).lower():
            raise
    restart()
    return _noted(define, arguments, "cpu")


def _noted(define: Callable[..., Any], arguments: tuple[Any, ...], device: str) -> Any:
    mode = _Making(device)
    with own_randomness(), without_collection(), mode:
        result = define(*arguments)
    if isinstance(result, nn.Module):
        _CALLS[result] = mode.calls
    return result


class _Making(TorchFunctionMode):
    """Makes tensors on the device, notes calls, and computes no initial values without memory."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.calls = torch.device(device), list[Call]()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = func.__name__, kwargs or {}
        if name in _READS:
            return func(*args, **kwargs)
        if name == "__get__":
            result, attribute = func(*args), func.__self__.__name__
            # torch.nn.init.orthogonal_ asks whether there is memory, and calls nothing if not.
            if isinstance(result, Tensor) or attribute == "is_meta":
                self.calls.append((attribute, args, kwargs, result))
            return result
        if func in _CONSTRUCTORS and kwargs.get("device") is None:
            result = func(*args, **{**kwargs, "device": self.device})
        elif _computes_nothing(func, args, kwargs):
            result = args[0] if args else kwargs["tensor"]
        else:
            result = func(*args, **kwargs)
        self.calls.append((name, args, kwargs, result))
        return result


def _computes_nothing(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether it is the initialisation of a tensor without memory."""
    fills = func in _FILLERS
    if not fills and func not in _INITIALISERS:
        return False
    tensor = args[0] if args else kwargs.get("tensor")
    # The others report a tensor of too few dimensions, which is an error of the program.
    return isinstance(tensor, Tensor) and tensor.is_meta and (fills or tensor.ndim > 1)
