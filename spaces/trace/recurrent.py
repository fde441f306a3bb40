"""Recurrent layers are watched as one operation, since their steps would be thousands.

Multiply-adds are those of the products with the weights, at each step, for each sample. On tensors
without numbers the layer is not run: its values are only made in their shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spaces.trace.watched_calls import Watcher

RECURRENT = frozenset((torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu))


def recurrent_result(watcher: Watcher, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """The result of a recurrent function of torch, whose costs `watcher` counts.

    Packed sequences run as they are.
    """
    call = watcher.leaf()
    if call is None:
        return func(*args)
    # Of a packed sequence the batch sizes stand second, and all other arguments one place later.
    is_packed = isinstance(args[2], Tensor) or isinstance(args[3], list | tuple)
    inputs, states, weights, *settings = (args[0], *args[2:]) if is_packed else args
    before = call.multiply_adds
    runs = is_packed or not inputs.is_meta
    result = func(*args) if runs else _shaped(inputs, states, weights, settings)
    if call.multiply_adds == before:
        steps = inputs.numel() // inputs.shape[-1]
        call.multiply_adds += steps * sum(item.numel() for item in weights if item.ndim == 2)
    sizes = [tuple(item.shape) for item in weights]
    watcher.digest.update(repr((func.__name__, settings, sizes)).encode())
    return result


def _shaped(inputs: Tensor, states: Any, weights: Any, settings: list[Any]) -> tuple[Tensor, ...]:
    """Values of the right shapes that depend on all inputs and weights."""
    several = isinstance(states, list | tuple)  # An LSTM has two states.
    given = tuple(states) if several else (states,)
    *_, is_bidirectional, _ = settings
    whole = torch.stack([item.sum() for item in (inputs, *given, *weights)]).sum()
    features = given[0].shape[-1] * (2 if is_bidirectional else 1)
    shapes = ((*inputs.shape[:2], features), *(item.shape for item in given))
    return tuple(whole.expand(shape).clone() for shape in shapes)
