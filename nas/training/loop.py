"""Trains a network on a task, epoch by epoch, on the CPU or on CUDA.

Both devices run the same code. The data lies on the device and is shuffled and augmented there, and
a step never makes the host wait. On the CPU one seed gives one result, bit for bit. It does not
depend on the state of the global generators.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.seeds import derive
from nas.tasks.task import Task
from nas.training.checkpoint import Paused, TrainingState
from nas.training.devices import fastest_convolutions, half_precision, own_randomness
from nas.training.optimizers import OPTIMIZERS, ParameterGroups
from nas.training.outputs import (
    check_evaluation_outputs,
    check_training_outputs,
    in_single_precision,
)
from nas.training.recipe import Recipe, batch_bounds, learning_rates
from nas.training.scoring import NotFinite, evaluate_split
from nas.training.unsaved_state import unsaved_state
from spaces.structure import call, mapped


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        validation: the metric on the validation split after the last epoch. The best epoch's would
            be biased upwards.
        curve: the metric after each epoch.
        seconds: wall-clock time, validation included.
        epochs: the number of epochs trained, with those before a pause.
        paused: the state to resume from; None if the recipe's last epoch is done, or if the module
            keeps state that a checkpoint does not hold (see `nas.training.unsaved_state`).
    """

    validation: float
    curve: tuple[float, ...]
    seconds: float
    epochs: int
    paused: Paused | None = None


def train(
    module: nn.Module,
    task: Task,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[int, float], None] | None = None,
    until: int | None = None,
    paused: Paused | None = None,
) -> Trained:
    """Trains the module in place, and scores it on the validation split after each epoch.

    The module is moved to the device. A training that was paused and resumed gives the same result
    as one without a pause: bit for bit on the CPU.

    Args:
        module: takes inputs (N, *task.shapes.input); several of them as arguments.
        seed: of the order of the samples, the augmentation, and the module's own random draws, such
            as dropout.
        on_epoch: called with the number of epochs done and the validation score.
        until: the training pauses after this epoch, with the learning rates of the whole recipe;
            None: it runs to the recipe's last epoch.
        paused: the state that an earlier call with the same arguments has paused in. It must fit
            the module and have at most `until` epochs.

    Raises:
        NotFinite: the loss of an epoch or an output on the validation split is not finite.
        ValueError: the module has no parameters, or the recipe or the network does not suit the
            task.
    """
    last = recipe.epochs if until is None else until
    task = task.resident(device, "train", "validation")
    module.to(device)
    if recipe.channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if task.check is not None:
        task.check(module, task.prepare(task.validation.rows(slice(0, 2))[0]))
    state = _initial_state(module, recipe, seed, device)
    with own_randomness(derive(seed, "outputs"), device):
        check_evaluation_outputs(module, task)
    step = _make_step(state, task, recipe)
    bounds = batch_bounds(len(task.train), recipe.batch_size)
    rates = learning_rates(recipe, len(bounds))
    augmentation = state.generators["augmentation"]
    curve: list[float] = []
    started = time.perf_counter()
    with own_randomness(derive(seed, "module"), device), fastest_convolutions():
        pauses = last < recipe.epochs
        begun = unsaved_state(module) if pauses else None
        if paused is not None:
            state.resume(paused)
            curve += paused.curve
        for epoch in range(len(curve), last):
            module.train()
            total = torch.zeros((), device=device)
            order = torch.randperm(
                len(task.train), generator=state.generators["order"], device=device
            )
            for (first, end), rate in zip(bounds, rates[epoch * len(bounds) :], strict=False):
                inputs, targets = task.train.rows(order[first:end])
                if task.augment is not None:
                    inputs = task.augment(inputs, augmentation)
                if task.corrupt is not None:
                    inputs, targets = task.corrupt(inputs, targets, augmentation)
                total += step(task.prepare(inputs), targets, rate)
            # Apart from the validation, the host waits for the device here only.
            if not torch.isfinite(total):
                raise NotFinite(
                    f"the loss was not finite in epoch {epoch + 1} of {recipe.epochs}: lower the "
                    "learning rate, or clip the gradient"
                )
            score = evaluate_split(
                module, task.validation, task, recipe.batch_size, device, amp=recipe.amp
            )
            curve.append(score)
            if on_epoch is not None:
                on_epoch(epoch + 1, score)
        is_whole = pauses and begun is not None and unsaved_state(module) == begun
        rest = state.pause(tuple(curve)) if is_whole else None
    return Trained(curve[-1], tuple(curve), time.perf_counter() - started, last, rest)


def _initial_state(
    module: nn.Module, recipe: Recipe, seed: int, device: torch.device
) -> TrainingState:
    precision = half_precision(device) if recipe.amp else None
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    generators = {
        purpose: torch.Generator(device).manual_seed(derive(seed, purpose))
        for purpose in ("order", "augmentation")
    }
    return TrainingState(module, make_optimizer(module, recipe), scaler, generators, device)


def _make_step(
    state: TrainingState, task: Task, recipe: Recipe
) -> Callable[[Any, Any, float], Tensor]:
    """The function `step(inputs, targets, learning_rate)`, which updates the weights once.

    It returns the loss as a tensor that stays on the device.
    """
    loss_function = task.loss_function(recipe.label_smoothing)
    module, optimizer, scaler, device = state.module, state.optimizer, state.scaler, state.device
    precision = half_precision(device) if recipe.amp else None

    def step(inputs: Any, targets: Any, learning_rate: float) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        if recipe.channels_last:
            inputs = mapped(_channels_last, inputs)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            outputs = call(module, inputs)
        check_training_outputs(task, outputs)
        loss = loss_function(in_single_precision(outputs), targets)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        if recipe.gradient_clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), recipe.gradient_clip)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


def _channels_last(inputs: Tensor) -> Tensor:
    if inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; only weights of two or more dimensions have weight decay.

    Biases and the parameters of norms have one dimension, so they are not decayed.

    Raises:
        ValueError: the module has no parameters to train.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(
            "the network has no parameters to train; its space should give every architecture at "
            "least a head"
        )
    decayed = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    groups: ParameterGroups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rule = OPTIMIZERS[recipe.optimizer]
    return rule.construct(groups, recipe.learning_rate, recipe.momentum)
