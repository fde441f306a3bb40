"""A coarse graph of any module: it runs once, and every operation that torch dispatches is seen.

    graph = watch(module, (3, 32, 32))       module may be on the meta device

`trace` gives a finer graph, from which the network can be built, but cannot follow every program.
Here whatever torch can run is described. The operations of a torch.nn module become one node.
Operations that only move numbers are left out, and an operation without multiply-adds joins the
only operation that it follows. Numbers of parameters and multiply-adds are exact.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spaces.choices import Rejected
from spaces.graph import Graph
from spaces.ops.shapes import Shape
from spaces.trace.folding import folded
from spaces.trace.watched_calls import SAMPLES, Watcher


def watch(module: nn.Module, input_shape: Shape, vocabulary: int | None = None) -> Graph:
    """The graph of the operations that `module` runs in its present mode.

    Args:
        module: any module of PyTorch that takes one tensor.
        input_shape: of one sample, without the batch.
        vocabulary: the number of different tokens, if the inputs are tokens.

    Raises:
        ValueError: the module cannot be run on such an input, or its result does not depend on it.
    """
    try:
        seen = _run(module, tuple(input_shape), vocabulary, "meta")
    except Rejected:
        raise
    except Exception as on_meta:  # Any program may fail on tensors without numbers, in any way.
        try:
            real = _filled(module)
            seen = _run(real, tuple(input_shape), vocabulary, "cpu")
        except Exception as error:
            raise ValueError(
                f"{type(module).__name__} cannot be run on an input of the shape "
                f"{tuple(input_shape)}: {type(error).__name__}: {error}"
            ) from on_meta
    return folded(seen, tuple(input_shape), vocabulary)


def _run(module: nn.Module, shape: Shape, vocabulary: int | None, device: str) -> Watcher:
    size = (SAMPLES, *shape)
    if vocabulary is None:
        inputs = torch.empty(size, device=device) if device == "meta" else torch.rand(size)
    else:
        inputs = torch.zeros(size, dtype=torch.int64, device=device)
    watcher = Watcher(module, inputs)
    with torch.random.fork_rng(devices=[]), _scopes(watcher), watcher:
        result = module(inputs)
    if not isinstance(result, Tensor):
        raise ValueError(f"forward must return one tensor, and returned {type(result).__name__}")
    watcher.results = [result]
    return watcher


def _filled(module: nn.Module) -> nn.Module:
    """A copy on the CPU whose parameters and buffers are small numbers."""
    copied = copy.deepcopy(module)
    if any(tensor.is_meta for tensor in (*copied.parameters(), *copied.buffers())):
        copied = copied.to_empty(device="cpu")
        with torch.no_grad():
            for tensor in (*copied.parameters(), *copied.buffers()):
                tensor.fill_(0.01) if tensor.is_floating_point() else tensor.zero_()
    return copied


@contextmanager
def _scopes(watcher: Watcher) -> Iterator[None]:
    """The watcher knows which module calls are open."""
    from torch.nn.modules.module import (
        register_module_forward_hook,
        register_module_forward_pre_hook,
    )

    def before(module: nn.Module, inputs: Any) -> None:
        watcher.enter(module)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        watcher.leave()

    handles = (register_module_forward_pre_hook(before), register_module_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
