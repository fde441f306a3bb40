"""Latency and peak memory of a torch module on a device.

CPU and CUDA run the same code, but that on CUDA a pass is over when the device says so. Weights and
inputs may be any: what a network computes does not change how long it takes.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from nas.latency.settings import LatencySettings
from nas.latency.timing import Clock, time_passes, trouble


@dataclass(frozen=True)
class Latency:
    """A network's latency on a device.

    Attributes:
        milliseconds: the median of a pass over the batch, in evaluation mode and single precision.
        error: half-width of its 95 % interval, in milliseconds.
        repeats: how many passes were timed.
        memory: bytes of the weights, the input and those values that are alive at once, at most.
        spread, drift: as in `nas.latency.timing.Timing`.
        trouble: what makes the figure doubtful, in words; empty where nothing does.
    """

    milliseconds: float
    error: float
    repeats: int
    memory: int
    spread: float
    drift: float
    trouble: str


def measure(
    module: nn.Module,
    inputs: Tensor,
    settings: LatencySettings,
    device: torch.device,
    *,
    clock: Clock = time.perf_counter,
    processor: Clock = time.process_time,
) -> Latency:
    """The latency of the module, which is moved to the device and left there in evaluation mode;
    while no other such measurement runs on the machine.

    Args:
        module: takes the inputs.
        inputs: (N, ...), a whole batch, as the network takes it.
        settings: `batch_size` and `device` are the caller's to heed.
        clock, processor: as in `nas.latency.timing.time_passes`.
    """
    module.to(device, memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    inputs = inputs.to(device).contiguous()

    def run() -> None:
        module(inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.no_grad(), _threads(settings.threads), alone():
        memory = peak_memory(module, inputs)
        timing = time_passes(
            run, within=settings.within, limit=settings.limit, clock=clock, processor=processor
        )
    return Latency(
        1e3 * timing.median,
        1e3 * timing.error,
        timing.repeats,
        memory,
        timing.spread,
        timing.drift,
        trouble(timing, settings.within),
    )


def peak_memory(module: nn.Module, inputs: Tensor) -> int:
    """Bytes of the weights, the inputs and the values of a pass that are alive at once, at most:
    one number on any device.

    What a kernel takes for itself while it runs is not in it, nor what an allocator keeps in
    reserve.
    """
    held = [*module.parameters(), *module.buffers(), inputs]
    tracker = _Alive([tensor.untyped_storage() for tensor in held])
    with torch.no_grad(), tracker:
        module(inputs)
    return tracker.peak


class _Alive(TorchDispatchMode):
    """Keeps the sum of the storages that are alive, looked at after every operation."""

    def __init__(self, held: list[torch.UntypedStorage]) -> None:
        super().__init__()
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0
        self._look(held)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = result if isinstance(result, tuple | list) else (result,)
        self._look([value.untyped_storage() for value in given if isinstance(value, Tensor)])
        return result

    def _look(self, storages: list[torch.UntypedStorage]) -> None:
        self._alive = {
            key: (reference, size)
            for key, (reference, size) in self._alive.items()
            if not reference.expired()
        }
        for storage in storages:
            reference = StorageWeakRef(storage)
            self._alive[reference.cdata] = (reference, storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))


def lock_file() -> Path:
    """What is locked while a network is measured."""
    return Path(tempfile.gettempdir()) / f"surrogate-nas-{os.getuid()}-latency.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Inside, no other process of this user measures on this machine: the workers of a run, and
    runs, take turns. Their trainings go on.
    """
    descriptor = os.open(lock_file(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
