"""Latency and peak memory of a torch module on a device.

The code for CPU and CUDA is the same, except that a pass on CUDA ends with a synchronisation. The
values of weights and inputs do not matter, because they do not change the latency.
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
from spaces.structure import call, leaves, mapped


@dataclass(frozen=True)
class Latency:
    """A network's latency on a device.

    Attributes:
        milliseconds: the median of a pass over the batch, in evaluation mode and single precision.
        error: half-width of the 95 % confidence interval of the median, in milliseconds.
        repeats: the number of timed passes.
        memory: peak memory in bytes; see `peak_memory`.
        spread, drift: see `nas.latency.timing.Timing`.
        trouble: what makes the measurement unreliable, in words; empty if nothing does.
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
    inputs: Any,
    settings: LatencySettings,
    device: torch.device,
    *,
    clock: Clock = time.perf_counter,
    processor: Clock = time.process_time,
) -> Latency:
    """The latency and the peak memory of the module on the device.

    The module is moved to the device and stays there in evaluation mode. No other process of this
    user measures on the machine at the same time.

    Args:
        module: the network.
        inputs: (N, ...) a whole batch of its inputs: a tensor, or a tuple or mapping of tensors.
        settings: `threads`, `within` and `limit` are used. The caller is responsible for
            `batch_size` and `device`.
        device: where the module runs.
        clock, processor: see `nas.latency.timing.time_passes`.

    Example::

        latency = measure(module, torch.zeros(1, 3, 32, 32), LatencySettings(), torch.device("cpu"))
        print(f"{latency.milliseconds:.2f} ± {latency.error:.2f} ms")
    """
    module.to(device, memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    inputs = mapped(lambda tensor: tensor.to(device).contiguous(), inputs)

    def run() -> None:
        call(module, inputs)
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


def peak_memory(module: nn.Module, inputs: Any) -> int:
    """The largest number of bytes of weights, inputs and values that are alive at once.

    It is the same on all devices. Workspace of kernels and memory that an allocator reserves do not
    count.
    """
    held = [*module.parameters(), *module.buffers(), *leaves(inputs)]
    tracker = _Alive([tensor.untyped_storage() for tensor in held])
    with torch.no_grad(), tracker:
        call(module, inputs)
    return tracker.peak


class _Alive(TorchDispatchMode):
    """Tracks the total size of the live storages, and its peak, after each operation."""

    def __init__(self, held: list[torch.UntypedStorage]) -> None:
        super().__init__()
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0
        self._track(held)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = result if isinstance(result, tuple | list) else (result,)
        self._track([value.untyped_storage() for value in given if isinstance(value, Tensor)])
        return result

    def _track(self, storages: list[torch.UntypedStorage]) -> None:
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
    """The file that is locked during a measurement."""
    return Path(tempfile.gettempdir()) / f"surrogate-nas-{os.getuid()}-latency.lock"


@contextmanager
def alone() -> Iterator[None]:
    """Inside this context no other process of this user measures on this machine.

    The workers of a run and different runs take turns. Their trainings go on meanwhile.
    """
    descriptor = os.open(lock_file(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Inside this context torch uses this number of CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
