"""A computation in shares, on all cores, by processes that are forked for it.

A fork knows everything that its parent knows, so nothing has to be sent to it: neither the user's
space nor what is remembered of it. The result is the same without forks. Where a fork is impossible
or does not answer, the parent computes the share itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any, TypeVar

Result = TypeVar("Result")

# A fork that needs this many seconds more than three times the parent's is given up.
PATIENCE = 10.0


def in_shares(share: Callable[[int], Result], count: int) -> list[Result]:
    """`[share(0), ..., share(count - 1)]`, computed on as many cores as there are.

    Args:
        share: computes one share. It depends on its number alone, and its result can be pickled.
            It does not use torch's threads or a GPU, which do not survive a fork.
        count: the number of shares.
    """
    workers = min(count, _cores())
    results: dict[int, Result] = {}
    children = [_Fork(share, range(number, count, workers)) for number in range(1, workers)]
    try:
        began = time.monotonic()
        for number in range(0, count, max(workers, 1)):
            results[number] = share(number)
        patience = PATIENCE + 2 * (time.monotonic() - began)
        for child in children:
            results.update(child.received(patience))
    finally:
        for child in children:
            child.end()
    return [results[number] if number in results else share(number) for number in range(count)]


def _cores() -> int:
    """The number of cores that this process may use; one where a fork is not safe."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


class _Fork:
    """A process that computes some shares and sends them back; in the parent, its handle."""

    def __init__(self, share: Callable[[int], Any], numbers: range) -> None:
        self.connection, theirs = Pipe(duplex=False)
        with warnings.catch_warnings():
            # Python warns of forks in a process with threads: a fork that hangs is given up.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process = os.fork()
        if self.process == 0:
            _compute(share, numbers, theirs)
        theirs.close()

    def received(self, patience: float) -> dict[int, Any]:
        """The shares by number; none if the process does not answer in this many seconds."""
        try:
            return self.connection.recv() if self.connection.poll(patience) else {}
        except (EOFError, OSError):  # The process died before or while it sent.
            return {}

    def end(self) -> None:
        self.connection.close()
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def _compute(share: Callable[[int], Any], numbers: range, connection: Connection) -> None:
    """Computes the shares in a fork, which ends here."""
    status = 1
    try:
        # The parent's threads are not here, and nobody sees what is printed twice.
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(1)
        connection.send({number: share(number) for number in numbers})
        status = 0
    finally:
        os._exit(status)
