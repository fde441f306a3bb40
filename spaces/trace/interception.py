"""While a module is traced, its calls and reads of parameters go to the recording."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from spaces.trace.recording import MODULE_CALL, Recording, changed_in_forward
from spaces.trace.value import Traced

# The class whose methods are replaced while a module is traced, and its own methods.
_MODULE: Any = nn.Module
_GETATTR: Any = nn.Module.__getattr__
_SETATTR: Any = nn.Module.__setattr__
_LOCK = threading.RLock()


@contextmanager
def recorded(recording: Recording) -> Iterator[None]:
    """Within this context, calls with a traced value and reads of parameters go to `recording`.

    Only those of the thread that enters the context are recorded. The assignment of a traced value
    to a buffer, which torch would accept, raises `Untraceable`.
    """
    thread = threading.get_ident()

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        is_traced = any(isinstance(value, Traced) for value in (*args, *kwargs.values()))
        if is_traced and threading.get_ident() == thread:
            return recording.call_module(module, args, kwargs)
        return MODULE_CALL(module, *args, **kwargs)

    def read(module: nn.Module, name: str) -> Any:
        value = _GETATTR(module, name)
        if isinstance(value, torch.Tensor) and threading.get_ident() == thread:
            return recording.tensor(value)
        return value

    def write(module: nn.Module, name: str, value: Any) -> None:
        if isinstance(value, Traced) and name in module._buffers:
            raise changed_in_forward(name)
        _SETATTR(module, name, value)

    with _LOCK:
        _MODULE.__call__, _MODULE.__getattr__, _MODULE.__setattr__ = call, read, write
        try:
            yield
        finally:
            _MODULE.__call__, _MODULE.__getattr__ = MODULE_CALL, _GETATTR
            _MODULE.__setattr__ = _SETATTR
