"""Runs a program that makes modules: without memory where it can, and noting what it calls.

A module that is only looked at is made on the meta device: its tensors have shapes and no memory,
and its initial values are not computed. The calls of torch that make it are noted, because the same
calls give the same contents, and the same initial values under one seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from spaces.choices import Rejected
from spaces.garbage import without_garbage_collection
from spaces.randomness import fixed_randomness
from spaces.shapes import Shapes
from spaces.structure import call, is_shape, mapped

# The name of a function of torch, its arguments, and its result.
Call = tuple[str, tuple[Any, ...], dict[str, Any], Any]

# The calls that made each module that is alive. Its tensors stay alive with it.
_CALLS: WeakKeyDictionary[nn.Module, list[Call]] = WeakKeyDictionary()
# The modules that programs returned, to be looked at or to be trained.
_RETURNED: WeakSet[nn.Module] = WeakSet()
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

    A program that fails without memory, such as one that reads the numbers of its tensors, is run
    again on the CPU.

    Args:
        define, arguments: the program and its arguments.
        restart: makes the chooser ready for another run, in which it gives the same answers.
    """
    try:
        return _noted(define, arguments, "meta")
    except Rejected:
        raise
    except Exception:
        # Without memory a program may fail in any way. An error of its own comes again.
        restart()
    return _noted(define, arguments, "cpu")


def _noted(define: Callable[..., Any], arguments: tuple[Any, ...], device: str) -> Any:
    mode = _Making(device)
    with fixed_randomness(), without_garbage_collection(), mode:
        result = define(*arguments)
    if isinstance(result, nn.Module):
        check_new(define, result)
        _CALLS[result] = mode.calls
    return result


def check_new(define: Callable[..., Any], module: nn.Module) -> None:
    """Notes a module that a program returned.

    Raises:
        ValueError: it returned the same module before, so that two networks would share weights.
    """
    if module in _RETURNED:
        raise ValueError(
            f"the program {getattr(define, '__name__', define)!r} returned a module that it had "
            "returned before; two networks would share their weights: make a new module in each "
            "run, without a cache"
        )
    _RETURNED.add(module)


def finished(module: nn.Module, shapes: Shapes) -> nn.Module:
    """A module that a program made on the CPU, ready to be trained: lazy parts know their shapes.

    Raises:
        ValueError: it has a tensor without memory.
    """
    tensors = (*module.named_parameters(), *module.named_buffers())
    empty = [name for name, tensor in tensors if not is_lazy(tensor) and tensor.is_meta]
    if empty:
        raise ValueError(
            f"the tensor {empty[0]!r} of {type(module).__name__} has no memory: something, such as "
            "functools.lru_cache or a global, kept it from a run in which the program was only "
            "looked at; make it in each run"
        )
    if any(is_lazy(tensor) for _, tensor in tensors):

        def batch(shape: tuple[int, ...], tokens: int | None) -> Tensor:
            kind = torch.get_default_dtype() if tokens is None else torch.int64
            return torch.zeros((2, *shape), dtype=kind)

        with torch.no_grad():
            call(module, mapped(batch, shapes.input, shapes.vocabularies, leaf=is_shape))
    return module


class _Making(TorchFunctionMode):
    """Makes tensors on the device, notes calls, and computes no initial values without memory."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self.calls, self.seed = torch.device(device), list[Call](), 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = func.__name__, kwargs or {}
        if name in _READS:
            return func(*args, **kwargs)
        if name == "__get__":
            result, attribute = func(*args), func.__self__.__name__
            if isinstance(result, Tensor):
                self.calls.append((attribute, args, kwargs, result))
            # Some of torch.nn.init does nothing without memory, so its calls would not be noted.
            return False if attribute == "is_meta" else result
        if func in _CONSTRUCTORS and kwargs.get("device") is None:
            result = func(*args, **{**kwargs, "device": self.device})
        elif _computes_nothing(func, args, kwargs):
            result = args[0] if args else kwargs["tensor"]
        else:
            result = func(*args, **kwargs)
        # What is drawn depends on the seed, which a program may set itself.
        seed = torch.initial_seed()
        if seed != self.seed:
            self.seed = seed
            self.calls.append(("manual_seed", (seed,), {}, None))
        self.calls.append((name, args, kwargs, result))
        return result


def _computes_nothing(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the call initialises a tensor without memory, so that it need not be made."""
    fills = func in _FILLERS
    if not fills and func not in _INITIALISERS:
        return False
    tensor = args[0] if args else kwargs.get("tensor")
    # The others report a tensor of too few dimensions, which is an error of the program.
    return isinstance(tensor, Tensor) and tensor.is_meta and (fills or tensor.ndim > 1)
