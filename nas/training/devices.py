"""The device of a training: finding it, its half precision, and random states of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch


def half_precision(device: torch.device) -> torch.dtype | None:
    """The half-precision type of the device, or None on the CPU, where it would not be faster.

    It is bfloat16, or float16 on older CUDA cards.
    """
    if device.type != "cuda":
        return None
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def find_device(name: str = "auto") -> torch.device:
    """The device called `cpu`, `cuda` or `cuda:1`; `auto` is the first CUDA card, else the CPU.

    Raises:
        ValueError: there is no such device on this machine.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"a device is called auto, cpu, cuda or cuda:0; got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"training runs on cpu or cuda; got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(
            f"the device {name!r} is not on this machine, which has {count or 'no'} CUDA cards: "
            "use cpu or auto"
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


@contextmanager
def fastest_convolutions() -> Iterator[None]:
    """Inside, cuDNN times its algorithms for each new shape and keeps the fastest.

    This pays off in a training, as an epoch has at most two batch sizes.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, the global generators start at `seed`; afterwards their states are restored.

    They are those of Python and numpy, torch's for the CPU and, for a CUDA device, the device's.
    """
    python, arrays = random.getstate(), numpy.random.get_state()
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)
