"""How a network behaves: its outputs in both modes, its gradients, and its state after a step.

This file needs torch alone, since an export is observed in a process without this project too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

_STEP = 0.1
_PARTS = ("outputs in evaluation", "outputs in training", "gradient", "value")


def behaviour(module: nn.Module, inputs: Any) -> dict[str, Tensor]:
    """What is observed of the module, by name; the module is changed by one training step.

    The names are "PART: PLACE". The parts are, in this order, the outputs in evaluation, the
    outputs in training at one seed, the gradients of a weighted sum of these, and the values of all
    parameters and buffers after a step against the gradients.

    Args:
        module: with its weights.
        inputs: one tensor, or several in a tuple or by name; at least two samples.
    """
    with torch.no_grad():
        observed = _named("outputs in evaluation", _call(module.eval(), inputs))
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained = _named("outputs in training", _call(module.train(), inputs))
        totals = [_weighted_sum(item) for item in trained.values() if item.requires_grad]
        if totals:
            torch.stack(totals).sum().backward()
    module.eval()
    observed |= trained
    tensors = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    gradients = {name: item.grad for name, item in tensors.items() if item.grad is not None}
    with torch.no_grad():
        for item in module.parameters():  # Tied parameters once.
            if item.grad is not None:
                item.sub_(item.grad, alpha=_STEP)
    observed |= {f"gradient: {name}": gradient for name, gradient in gradients.items()}
    observed |= {f"value: {name}": item for name, item in tensors.items()}
    return {name: item.detach().clone() for name, item in observed.items()}


def first_difference(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float
) -> str | None:
    """What differs first between two behaviours, in a few words; None if nothing does.

    NaN equals NaN.
    """
    order = sorted({**one, **other}, key=lambda name: _PARTS.index(name.partition(": ")[0]))
    for name in order:
        part, _, place = name.partition(": ")
        if name not in one or name not in other:
            return {
                "gradient": f"{place} has a gradient in one of them only",
                "value": f"{place} is in one of them only",
            }.get(part, f"other {part}")
        if not _close(one[name], other[name], tolerance):
            return {
                "gradient": f"another gradient of {place}",
                "value": f"another value of {place} after a training step",
            }.get(part, f"other {part}")
    return None


def _call(module: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, tuple | list) else module(inputs)


def _named(part: str, value: Any, place: str = "") -> dict[str, Tensor]:
    """The tensors of a structure of outputs by "PART: PLACE"; the place of a single one is ""."""
    if isinstance(value, Tensor):
        return {f"{part}: {place}": value}
    inside: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        inside = value
    elif isinstance(value, tuple | list):
        inside = dict(enumerate(value))
    elif is_dataclass(value):
        inside = {field.name: getattr(value, field.name) for field in fields(value)}
    found: dict[str, Tensor] = {}
    for name, item in inside.items():
        found |= _named(part, item, f"{place}/{name}" if place else str(name))
    return found


def _weighted_sum(outputs: Tensor) -> Tensor:
    """A sum with different weights, so that no gradient cancels, as that of a softmax would."""
    values = torch.view_as_real(outputs) if outputs.is_complex() else outputs
    weights = torch.linspace(-1, 1, values.numel(), device=values.device).reshape(values.shape)
    return (values * weights).sum().double()


def _close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
