"""The parameters and buffers of a traced module, copied into the module built from its graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def copy_state(original: nn.Module, built: nn.Module) -> None:
    """Copies the parameters, the buffers and the mode of `original` into `built`.

    Args:
        original: a module that was traced.
        built: the module that `build` makes of its graph.

    Raises:
        ValueError: a member of `built` with parameters or buffers has no counterpart of the same
            shapes in `original`.
    """
    labels: Mapping[str, str] | None = getattr(built, "labels", None)
    if labels is None:
        raise ValueError(
            "copy_state needs a module made by spaces.build.build, which knows the labels of its "
            "members"
        )
    with torch.no_grad():
        for name, label in labels.items():
            member = getattr(built, name)
            if isinstance(member, torch.Tensor):
                _copy_tensors({name: member}, {name: _found(original, label, name)}, label)
            elif own := {**dict(member.named_parameters()), **dict(member.named_buffers())}:
                source = _found(original, label, name)
                given = {**dict(source.named_parameters()), **dict(source.named_buffers())}
                _copy_tensors(own, given, label)
    built.train(original.training)


def _found(original: nn.Module, label: str, name: str) -> Any:
    found: Any = original
    for part in label.split(".") if label else ():
        found = getattr(found, part, None)
    if found is None:
        raise ValueError(
            f"the member {name!r} was traced from {label!r}, but {type(original).__name__} has "
            "nothing of that name"
        )
    return found


def _copy_tensors(own: dict[str, torch.Tensor], given: dict[str, torch.Tensor], label: str) -> None:
    for name, tensor in own.items():
        source = given.get(name)
        if source is None or source.shape != tensor.shape:
            received = "nothing" if source is None else f"the shape {tuple(source.shape)}"
            raise ValueError(
                f"{label or 'the module'}: {name} should have the shape {tuple(tensor.shape)}, "
                f"the original has {received}"
            )
        tensor.copy_(source)
        tensor.requires_grad_(source.requires_grad)
    if len(given) != len(own):
        raise ValueError(
            f"{label or 'the module'}: the original also holds "
            f"{', '.join(sorted(set(given) - set(own)))}, which was not traced"
        )


def tensors_of(module: nn.Module) -> list[torch.Tensor]:
    """The parameters and buffers of a module; quickly, if it has no parts, as most layers."""
    if module._modules:
        return [*module.parameters(), *module.buffers()]
    held = (*module._parameters.values(), *module._buffers.values())
    return [tensor for tensor in held if tensor is not None]
