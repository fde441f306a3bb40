"""A coarse graph of any module: it runs once, and every operation that torch dispatches is seen.

    graph = watch(module, (3, 32, 32))       module may be on the meta device

`trace` gives a finer graph, from which the network can be built, but cannot follow every program.
Here whatever torch can run is described. The operations of a torch.nn module are one, operations
that only move numbers are left out, and light operations join layers (see `blocks`). Numbers of
parameters and multiply-adds are exact: they equal those of torch's own counter.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spaces.choices import Rejected
from spaces.graph import Graph
from spaces.ops.shapes import Shape
from spaces.randomness import fixed_randomness
from spaces.structure import call, is_shape, mapped, shape_in_graph
from spaces.trace.folding import folded
from spaces.trace.surroundings import surroundings
from spaces.trace.user_line import user_line
from spaces.trace.watched_calls import SAMPLES, Watcher


def watch(module: nn.Module, input_shape: Any, vocabulary: Any = None) -> Graph:
    """The graph of the operations that `module` runs in its present mode.

    Several inputs become nodes "observed:input", whose source is the graph's one input. Several
    outputs go into a node "observed:outputs".

    Args:
        module: any module of PyTorch.
        input_shape: of one sample, without the batch; of several inputs a tuple or mapping of
            shapes, as in `spaces.Shapes`.
        vocabulary: the number of different tokens, if the inputs are tokens, in the structure of
            the inputs.

    Raises:
        ValueError: the module cannot be run on such an input, or its result does not depend on it.
    """
    try:
        seen = _settled(_without_numbers(module), input_shape, vocabulary, "meta")
    except Rejected:
        raise
    except Exception:  # Any program may fail on tensors without numbers, in any way.
        try:
            seen = _settled(_filled(module), input_shape, vocabulary, "cpu")
        except Exception as error:
            place = user_line(error)
            raise ValueError(
                f"{type(module).__name__} cannot be run on an input of the shape {input_shape}"
                f"{': ' if place is None else f', {place}'}{type(error).__name__}: {error}"
            ) from error
    tokens = vocabulary if is_shape(input_shape) else None
    return folded(seen, shape_in_graph(input_shape), tokens)


def _settled(module: nn.Module, input_shape: Any, vocabulary: Any, device: str) -> Watcher:
    """What was seen, with the multiply-adds of one sample.

    Work that does not depend on the input usually does not grow with the batch. But a learnt query
    may be repeated for each sample. If there is such work, a second run with one sample more shows
    by how much it grows.
    """
    seen = _run(module, input_shape, vocabulary, device, SAMPLES)
    growth = [(call.multiply_adds - call.constant) // SAMPLES for call in seen.calls]
    if any(call.constant for call in seen.calls):
        more = _run(module, input_shape, vocabulary, device, SAMPLES + 1).calls
        if [call.name for call in more] == [call.name for call in seen.calls]:
            pairs = zip(seen.calls, more, strict=True)
            growth = [other.multiply_adds - call.multiply_adds for call, other in pairs]
    for each, grown in zip(seen.calls, growth, strict=True):
        each.multiply_adds -= (SAMPLES - 1) * grown
    return seen


def _run(
    module: nn.Module, input_shape: Any, vocabulary: Any, device: str, samples: int
) -> Watcher:
    def batch(shape: Shape, tokens: int | None) -> Tensor:
        size = (samples, *shape)
        if tokens is not None:
            return torch.zeros(size, dtype=torch.int64, device=device)
        return torch.empty(size, device=device) if device == "meta" else torch.rand(size)

    if vocabulary is None:
        vocabulary = mapped(lambda shape: None, input_shape, leaf=is_shape)
    inputs = mapped(batch, input_shape, vocabulary, leaf=is_shape)
    watcher = Watcher(module, inputs)
    with fixed_randomness(), surroundings(watcher, device), _scopes(watcher), watcher:
        result = call(module, inputs)
    watcher.returned(result)
    return watcher


def _without_numbers(module: nn.Module) -> nn.Module:
    """A copy on the meta device, made without copying numbers; a module may change when it runs."""
    tensors = [*module.parameters(), *module.buffers()]
    if all(tensor.is_meta for tensor in tensors):
        try:
            return copy.deepcopy(module)
        except Exception:  # What a user's module holds may be impossible to copy, for any reason.
            return module
    memory = dict[int, Any]()
    for tensor in tensors:
        if is_lazy(tensor):
            continue
        made = torch.empty_like(tensor, device="meta")
        if isinstance(tensor, nn.Parameter):
            made = nn.Parameter(made, requires_grad=tensor.requires_grad)
        memory[id(tensor)] = made
    return copy.deepcopy(module, memory)


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

    thread = threading.get_ident()

    def before(module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == thread:
            watcher.enter(module)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() == thread:
            watcher.leave(output)

    handles = (register_module_forward_pre_hook(before), register_module_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
