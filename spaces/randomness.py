"""Randomness for a program that is only looked at."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch


@contextmanager
def fixed_randomness(seed: int = 0) -> Iterator[None]:
    """Within this context, random numbers are the same at each time, and none are used up.

    That holds for the global generators of Python, numpy and torch.
    """
    python, arrays, tensors = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    numpy.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)
        torch.set_rng_state(tensors)
