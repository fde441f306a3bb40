"""A stretch of a program in which many architectures are made and described."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from spaces.garbage import without_garbage_collection


@contextmanager
def many_architectures() -> Iterator[None]:
    """Within this context, what each module would pay for is paid for once.

    No garbage is collected, and the methods that a trace replaces stay replaced.
    """
    with ExitStack() as stack:
        stack.enter_context(without_garbage_collection())
        if "torch" in sys.modules:
            from spaces.trace.interception import replaced_methods

            stack.enter_context(replaced_methods())
        yield
