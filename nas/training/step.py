"""One step of a training: the loss of a batch, its gradient, and the optimizer's update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nas.tasks.task import Task
from nas.training.checkpoint import TrainingState
from nas.training.devices import half_precision
from nas.training.losses import loss_of, of_part
from nas.training.mixing import Mixed
from nas.training.outputs import check_training_outputs, in_single_precision
from nas.training.recipe import Recipe
from spaces.structure import call, leaves, mapped

# `step(inputs, targets, learning_rate)` updates the weights once and returns the loss, as a tensor
# that stays on the device.
Step = Callable[[Any, Any, float], Tensor]


def make_step(state: TrainingState, task: Task, recipe: Recipe, network: nn.Module) -> Step:
    """The step of a training.

    Args:
        state: of the training; steps change it.
        task: on the training's device.
        recipe: the targets of its steps are `Mixed` if it mixes samples.
        network: what computes the outputs: the state's module, or the same one compiled.
    """
    loss_function = loss_of(task, recipe)
    module, optimizer, scaler, device = state.module, state.optimizer, state.scaler, state.device
    precision = half_precision(device) if recipe.amp else None

    def loss_for(inputs: Any, targets: Any) -> Tensor:
        with torch.autocast(device.type, precision, enabled=precision is not None):
            outputs = call(network, inputs)
        check_training_outputs(task, outputs)
        return loss_function(in_single_precision(outputs), targets)

    def gradients_in_parts(inputs: Any, targets: Any) -> Tensor:
        total = torch.zeros((), device=device)
        optimizer.zero_grad(set_to_none=True)
        for part, part_targets in parts_of(inputs, targets, recipe.accumulate):
            loss = of_part(loss_for(part, part_targets), part_targets, targets, task)
            scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def step(inputs: Any, targets: Any, learning_rate: float) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        if recipe.channels_last:
            inputs = mapped(_channels_last, inputs)
        if recipe.accumulate == 1:
            loss = loss_for(inputs, targets)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()
        else:
            loss = gradients_in_parts(inputs, targets)
        if recipe.gradient_clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), recipe.gradient_clip)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


def parts_of(inputs: Any, targets: Any, count: int) -> Iterator[tuple[Any, Any]]:
    """The batch in `count` parts of about one size, or fewer, so that each has two samples."""
    size = len(leaves(inputs)[0])
    count = max(1, min(count, size // 2))
    for number in range(count):
        which = slice(size * number // count, size * (number + 1) // count)
        if isinstance(targets, Mixed):
            part = targets.rows(which)
        else:
            part = mapped(lambda tensor, which=which: tensor[which], targets)
        yield mapped(lambda tensor, which=which: tensor[which], inputs), part


def _channels_last(inputs: Tensor) -> Tensor:
    if inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)
