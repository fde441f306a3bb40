"""Stretches of a program in which Python collects no garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """No garbage is collected inside.

    A module has thousands of objects. Making many of them starts collection after collection, and
    each looks at all objects of torch; modules have no cycles, so nothing is found.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
