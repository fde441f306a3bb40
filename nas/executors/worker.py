"""The worker process: makes its evaluator, then evaluates one job after the other.

It is started by `nas.executors.process` as a program of its own, not by a fork and not by
`multiprocessing`'s spawn. So the parent may use CUDA and threads, its main module is not run again,
and an evaluator may start processes itself, as data loaders do. The messages go over a socket that
the worker inherits:

    parent -> worker     Setup, once; then one Job at a time
    worker -> parent     Ready or Broken, once; then the Outcome of each job

The connections of `multiprocessing` pickle these messages. Both ends are our own processes; nothing
from a run directory or an export is unpickled.

The worker's standard input is a pipe that the parent never writes to. When it closes, the parent
has ended, and the worker ends too.
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
    """How the worker makes its evaluator.

    Attributes:
        factory: `module:function`, called as `function(settings, device)`.
        settings: a JSON object as text.
        device: the device of the worker.
    """

    factory: str
    settings: str
    device: str


@dataclass(frozen=True)
class Ready:
    """The worker has made its evaluator."""


@dataclass(frozen=True)
class Broken:
    """The worker could not make its evaluator; it holds the error and the traceback."""

    sentence: str
    detail: str


def main(descriptor: int) -> None:
    """Evaluates the jobs that arrive on the socket `descriptor`, until the parent closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    # Otherwise a process that the evaluator forks would keep the socket open after this one died.
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
        ValueError: the name has another form, or the module has no such function.
    """
    module, _, function = factory.partition(":")
    if not module or not function:
        raise ValueError(f'a factory is named "module:function"; got {factory!r}')
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"the module {module} has no function {function!r}")
    return cast(Evaluator, found(settings, device))


def _end_with_parent() -> None:
    # The descriptor is read directly, because a buffered read in a daemon thread can break the
    # shutdown of the interpreter.
    while os.read(0, 1):
        pass
    # The worker leads its own process group, so this ends the evaluator's processes too.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
