"""The process that evaluates: started by `nas.executors.process`, it lives as long as its parent
wants it.

It is a program of its own, not a fork and not `multiprocessing`'s spawn: so the parent may hold
CUDA and threads, its main module is not run again, and an evaluator may start processes itself (a
data loader's). What travels, over a socket that the parent passes on:

    parent -> worker     Setup, once; then a Job at a time
    worker -> parent     Ready or Broken, once; then the Outcome of each job

The worker's standard input is a pipe that the parent never writes to: its end means that the parent
is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

from nas.evaluators.evaluator import Evaluator
from nas.executors.attempt import attempt


@dataclass(frozen=True)
class Setup:
    """What the worker makes its evaluator of: `factory` is `module:function`, called with the
    settings (a JSON object) and the device.
    """

    factory: str
    settings: str
    device: str


@dataclass(frozen=True)
class Ready:
    """The evaluator is made."""


@dataclass(frozen=True)
class Broken:
    """The evaluator could not be made."""

    sentence: str
    detail: str


def main(descriptor: int) -> None:
    """Serves jobs that come over the socket `descriptor`, until the parent closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    # A process that the evaluator forks must not keep the socket open after this one has died.
    os.register_at_fork(after_in_child=connection.close)
    try:
        setup = connection.recv()
        try:
            evaluator = make_evaluator(setup.factory, json.loads(setup.settings), setup.device)
        except Exception as error:
            connection.send(Broken(f"{type(error).__name__}: {error}", traceback.format_exc()))
            return
        connection.send(Ready())
        while True:
            connection.send(attempt(evaluator, connection.recv()))
    except (EOFError, ConnectionError):
        return


def make_evaluator(factory: str, settings: dict[str, Any], device: str) -> Evaluator:
    """The evaluator that `module:function` returns for the settings and the device.

    Raises:
        ValueError: the name is not of that form, or the module has no such function.
    """
    module, _, function = factory.partition(":")
    if not module or not function:
        raise ValueError(f'a factory is named "module:function"; got {factory!r}')
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"the module {module} has no function {function!r}")
    return cast(Evaluator, found(settings, device))


def _end_with_parent() -> None:
    # The descriptor is read directly: a buffered read in a daemon thread would break the
    # interpreter's end.
    while os.read(0, 1):
        pass
    # The worker leads a process group of its own, so the evaluator's processes go with it.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
