"""Stretches of a program in which Python collects no garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Within this context, no garbage is collected.

    A module has thousands of objects. Making many modules starts collection after collection, and
    each looks at all objects of torch. Modules and recordings hold no cycles, so nothing would be
    found.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
