"""What a network returns: one tensor, or several in a tuple, list, mapping or dataclass."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from nas.tasks.task import Task
from spaces.structure import call, is_shape, leaves, mapped, mismatch


def in_single_precision(outputs: Any) -> Any:
    """The outputs with all real floating-point tensors in float32."""
    return mapped(_in_single_precision, outputs)


def _in_single_precision(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def joined(batches: list[Any]) -> Any:
    """The outputs of all batches as those of one.

    Each tensor (N, ...) is joined along its first dimension. Tensors without dimensions, of which
    there is one for each batch, become one row. What is no tensor is that of the first batch.

    Raises:
        ValueError: the batches do not have the same structure.
    """
    return mapped(lambda *values: _joined(values), *batches)


def _joined(values: tuple[Any, ...]) -> Any:
    if not all(isinstance(value, Tensor) for value in values):
        return values[0]
    return torch.stack(values) if values[0].ndim == 0 else torch.cat(values)


def all_finite(outputs: Any) -> Tensor:
    """Whether all numbers are finite, as a tensor that stays on the device.

    Raises:
        ValueError: there is no tensor.
    """
    checks = [torch.isfinite(value).all() for value in leaves(outputs) if isinstance(value, Tensor)]
    if not checks:
        raise ValueError(
            f"the network returned no tensor in evaluation, but {type(outputs).__name__}: a score "
            "needs at least one"
        )
    return torch.stack(checks).all()


def check_shapes(task: Task, outputs: Any) -> None:
    """Checks a batch of outputs against the task's shapes (`spaces.structure.mismatch`).

    Raises:
        ValueError: they do not fit.
    """
    # Cross-entropy alone would accept a network with too many classes.
    if wrong := mismatch(outputs, task.shapes.output):
        raise ValueError(
            f"the network gives {wrong}, and the task {task.name!r} needs {task.shapes.output}: "
            "let the space's program take the shapes, `define(choose, shapes)`, and end in "
            "`shapes.output`"
        )


def check_training_outputs(task: Task, outputs: Any) -> None:
    """Checks what the network returns in training, which may be more than in evaluation.

    Raises:
        ValueError: a single tensor has not the task's output shape.
    """
    if is_shape(task.shapes.output):
        check_shapes(task, outputs)


@torch.no_grad()
def check_evaluation_outputs(module: nn.Module, task: Task) -> None:
    """Checks what the network returns in evaluation, for two samples of the validation split.

    A copy of the module runs, so that the module itself stays as it is; if it cannot be copied,
    nothing is checked before the first epoch's score. If the metric is the task's own and the task
    has one output shape, any outputs are accepted. A class that was generated from a graph gives
    one tensor, whose shape training checks.

    Raises:
        ValueError: the outputs have not the task's shapes, or the metric cannot take them.
    """
    own_metric = callable(task.metric) and is_shape(task.shapes.output)
    if own_metric or hasattr(module, "labels"):
        return
    try:
        copied = copy.deepcopy(module)
    except Exception:  # A module may hold anything, such as a computed tensor, which has no copy.
        return
    inputs, _ = task.validation.rows(slice(0, 2))
    outputs = call(copied.eval(), task.prepare(inputs))
    task.check_outputs("metric", outputs)
    check_shapes(task, outputs)
