"""While a module is traced, its calls and reads of parameters go to the recording."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from spaces.trace.recording import MODULE_CALL, Recording
from spaces.trace.untraceable import changed_in_forward
from spaces.trace.value import Traced

# The class whose methods are replaced while modules are traced, and its own methods.
_MODULE: Any = nn.Module
_GETATTR: Any = nn.Module.__getattr__
_SETATTR: Any = nn.Module.__setattr__
_LOCK = threading.RLock()
_MISSING = object()


class _Interception:
    """One tracing: its recording and thread, and what modules get back when it ends."""

    def __init__(self, recording: Recording) -> None:
        self.recording, self.thread = recording, threading.get_ident()
        self.before: dict[tuple[int, str], tuple[nn.Module, Any]] = {}
        # Attributes that are missing are looked up by __getattr__, which is replaced here.
        self.modes = {
            id(part): (part, part.__dict__.pop("training"))
            for part in recording.module.modules()
            if "training" in part.__dict__
        }

    def restore(self) -> None:
        for part, mode in self.modes.values():
            part.__dict__.setdefault("training", mode)
        for (_, name), (part, value) in self.before.items():
            if value is not _MISSING:
                part.__dict__[name] = value
            else:
                part.__dict__.pop(name, None)


# The tracing that goes on, and the number of contexts in which the methods are replaced.
_current: _Interception | None = None
_replaced = 0


@contextmanager
def replaced_methods() -> Iterator[None]:
    """Within this context, the methods of modules can be intercepted.

    They do what they did before, unless `recorded` is entered. Replacing a method of all modules
    takes longer than tracing a small one, so one context around many traces saves time.
    """
    global _replaced
    with _LOCK:
        _replaced += 1
        if _replaced == 1:
            _MODULE.__call__, _MODULE.__getattr__, _MODULE.__setattr__ = _call, _read, _write
    try:
        yield
    finally:
        with _LOCK:
            _replaced -= 1
            if _replaced == 0:
                _MODULE.__call__, _MODULE.__getattr__ = MODULE_CALL, _GETATTR
                _MODULE.__setattr__ = _SETATTR


@contextmanager
def recorded(recording: Recording) -> Iterator[None]:
    """Within this context, calls with a traced value and reads of parameters go to `recording`.

    Only those of the thread that enters the context are recorded. The assignment of a traced value
    to a buffer, which torch would accept, raises `Untraceable`; other attributes get back what they
    were. Where the program first reads whether a module is in training is noted.
    """
    global _current
    with _LOCK, replaced_methods():
        outer, _current = _current, _Interception(recording)
        try:
            yield
        finally:
            _current.restore()
            _current = outer


def _mine() -> _Interception | None:
    """The tracing that goes on in this thread."""
    here = _current
    return here if here is not None and here.thread == threading.get_ident() else None


def _call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    here = _mine()
    if here is not None and any(isinstance(item, Traced) for item in (*args, *kwargs.values())):
        return here.recording.call_module(module, args, kwargs)
    return MODULE_CALL(module, *args, **kwargs)


def _read(module: nn.Module, name: str) -> Any:
    here = _current
    if here is None:
        return _GETATTR(module, name)
    mine = here.thread == threading.get_ident()
    if name == "training" and id(module) in here.modes:
        if here.recording.mode_reader is None and mine:
            here.recording.mode_reader = sys._getframe(1).f_code
        return here.modes[id(module)][1]
    value = _GETATTR(module, name)
    return here.recording.tensor(value) if mine and isinstance(value, torch.Tensor) else value


def _write(module: nn.Module, name: str, value: Any) -> None:
    here = _mine()
    if here is not None:
        if isinstance(value, Traced) and name in module._buffers:
            raise changed_in_forward(name)
        if name not in ("training", *module._parameters):
            was = (module, vars(module).get(name, _MISSING))
            here.before.setdefault((id(module), name), was)
    _SETATTR(module, name, value)
