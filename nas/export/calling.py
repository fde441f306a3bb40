"""How exports call a network that has several inputs or outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spaces.structure import arguments, by_name, is_shape, is_single, leaves, plain


def call_text(shape: Any, inputs: str = "inputs", network: str = "network") -> str:
    """The call of a network as Python, where `inputs` is the text of its inputs.

    >>> call_text({"image": (3, 32, 32), "table": (16,)})
    'network(**inputs)'
    """
    if is_shape(shape):
        return f"{network}({inputs})"
    return f"{network}({'**' if isinstance(shape, Mapping) else '*'}{inputs})"


def shapes_text(shape: Any, root: str) -> str:
    """The shapes of a batch in words: `(batch, 10)`, or several with their names."""
    named = by_name(shape, root, is_shape)
    shown = {name: f"({', '.join(map(str, ('batch', *sizes)))})" for name, sizes in named.items()}
    if is_shape(shape):
        return shown[root]
    return ", ".join(f"{name} {text}" for name, text in shown.items())


def tensors_by_name(outputs: Any) -> dict[str, Tensor]:
    """The tensors that a network returns, by the names that they have in an export."""
    named = by_name(outputs, "outputs")
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def any_batch(network: nn.Module, inputs: Any) -> Any:
    """The dynamic shapes of torch.export: the first dimension of every input is the batch."""
    batch = torch.export.Dim("batch")
    if isinstance(inputs, Tensor):
        return ({0: batch},)
    collected = torch.export.ShapesCollection()
    for tensor in leaves(inputs):
        collected[tensor] = {0: batch}
    positional, named = arguments(inputs)
    return collected.dynamic_shapes(network, positional, named)


@contextmanager
def plainly_called(network: nn.Module, inputs: Any) -> Iterator[None]:
    """In this context the network takes and returns what files can hold.

    Inputs by name are arguments of `forward`, also where this takes `**inputs`. Dataclasses and
    mappings that are returned become dictionaries, and named tuples become tuples.
    """
    original: Callable[..., Any] = network.forward

    def forward(*positional: Any, **named: Any) -> Any:
        returned = original(*positional, **named)
        return returned if is_single(returned) else plain(returned)

    kinds = [each.kind for each in inspect.signature(original).parameters.values()]
    if isinstance(inputs, Mapping) and inspect.Parameter.VAR_KEYWORD in kinds:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in inputs])
    else:
        signature = inspect.signature(original)
    forward.__signature__ = signature  # type: ignore[attr-defined]
    had = "forward" in vars(network)
    network.forward = forward
    try:
        yield
    finally:
        del network.forward
        if had:
            network.forward = original
