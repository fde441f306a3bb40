"""Trains a network on a task, epoch by epoch, on the CPU or on CUDA.

Both devices run the same code. The data lies on the device and is shuffled and augmented there, and
a step never makes the host wait. On the CPU one seed gives one result, bit for bit. It does not
depend on the state of the global generators.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.seeds import derive
from nas.tasks.task import Task
from nas.training.averaging import average_of
from nas.training.checkpoint import Paused, TrainingState
from nas.training.compiling import compiled
from nas.training.devices import fastest_convolutions, half_precision, own_randomness
from nas.training.hopeless import trivial_loss
from nas.training.mixing import mixed
from nas.training.outputs import check_evaluation_outputs
from nas.training.parameter_groups import make_optimizer
from nas.training.recipe import Recipe, batch_bounds, learning_rates
from nas.training.scoring import NotFinite, evaluate_split
from nas.training.step import Step, make_step
from nas.training.suits import check_suits
from nas.training.unsaved_state import unsaved_state


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        validation: the metric on the validation split after the last epoch. The best epoch's would
            be biased upwards. If the recipe averages the weights, it is the averaged network's.
        curve: the metric after each epoch.
        seconds: wall-clock time, validation included.
        epochs: the number of epochs trained, with those before a pause.
        paused: the state to resume from; None if the recipe's last epoch is done, or if the module
            keeps state that a checkpoint does not hold (see `nas.training.unsaved_state`).
        stopped: whether the training ended before its last epoch because it was hopeless.
        uncompiled: why the network could not be compiled, as a sentence; empty if it was, or was
            not to be.
    """

    validation: float
    curve: tuple[float, ...]
    seconds: float
    epochs: int
    paused: Paused | None = None
    stopped: bool = False
    uncompiled: str = ""


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
    as one without a pause: bit for bit on the CPU. If the recipe averages the weights, the module
    has the averages at the end.

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
    check_suits(recipe, task)
    if task.check is not None:
        task.check(module, task.prepare(task.validation.rows(slice(0, 2))[0]))
    state = _initial_state(module, recipe, seed, device)
    with own_randomness(derive(seed, "outputs"), device):
        check_evaluation_outputs(module, task)
    bounds = batch_bounds(len(task.train), recipe.batch_size)
    rates = learning_rates(recipe, len(bounds))
    plan = [(number, bounds[number % len(bounds)], rate) for number, rate in enumerate(rates)]
    bar = None if recipe.hopeless is None else trivial_loss(task, recipe)
    curve: list[float] = []
    stopped = False
    started = time.perf_counter()
    with own_randomness(derive(seed, "module"), device), fastest_convolutions():
        pauses = last < recipe.epochs
        begun = unsaved_state(module) if pauses else None
        step, uncompiled = _step_of(state, task, recipe, bounds[0])
        if paused is not None:
            state.resume(paused)
            curve += paused.curve
        while len(curve) < last and not stopped:
            epoch = len(curve)
            loss = _epoch(state, task, recipe, step, plan[epoch * len(bounds) :][: len(bounds)])
            # Apart from the validation, the host waits for the device here only.
            if not math.isfinite(loss):
                raise NotFinite(
                    f"the loss was not finite in epoch {epoch + 1} of {recipe.epochs}: lower the "
                    "learning rate, or clip the gradient"
                )
            with _to_be_scored(state):
                score = evaluate_split(
                    module, task.validation, task, recipe.samples_at_once, device, amp=recipe.amp
                )
            curve.append(score)
            if on_epoch is not None:
                on_epoch(epoch + 1, score)
            stopped = bar is not None and loss >= bar and _may_stop(recipe, epoch + 1)
        is_whole = pauses and begun is not None and unsaved_state(module) == begun
        rest = state.pause(tuple(curve)) if is_whole and not stopped else None
        if state.average is not None:
            state.average.move_into(module)
    seconds = time.perf_counter() - started
    return Trained(curve[-1], tuple(curve), seconds, len(curve), rest, stopped, uncompiled)


def _epoch(
    state: TrainingState,
    task: Task,
    recipe: Recipe,
    step: Step,
    plan: list[tuple[int, tuple[int, int], float]],
) -> float:
    """The mean loss of the batches in one pass over the training data.

    Args:
        plan: of each step its number in the training, its rows' bounds, and its learning rate.
    """
    state.module.train()
    total = torch.zeros((), device=state.device)
    order = torch.randperm(
        len(task.train), generator=state.generators["order"], device=state.device
    )
    for number, (first, end), rate in plan:
        total += step(*_batch(state, task, recipe, order[first:end]), rate)
        if state.average is not None:
            state.average.update(state.module, number)
    return total.item() / len(plan)


def _batch(state: TrainingState, task: Task, recipe: Recipe, rows: Tensor) -> tuple[Any, Any]:
    """The inputs of some samples as the network takes them, augmented, and their targets."""
    inputs, targets = task.train.rows(rows)
    augmentation = state.generators["augmentation"]
    if task.augment is not None:
        inputs = task.augment(inputs, augmentation)
    if task.corrupt is not None:
        inputs, targets = task.corrupt(inputs, targets, augmentation)
    inputs = task.prepare(inputs)
    if recipe.mixes:
        return mixed(inputs, targets, recipe, state.generators["mixing"])
    return inputs, targets


def _step_of(
    state: TrainingState, task: Task, recipe: Recipe, bounds: tuple[int, int]
) -> tuple[Step, str]:
    """The step, and why the network could not be compiled for it (see `Trained.uncompiled`)."""
    if not recipe.compile:
        return make_step(state, task, recipe, state.module), ""

    def try_out(network: nn.Module) -> None:
        rows = torch.arange(*bounds, device=state.device)
        state.module.train()
        make_step(state, task, recipe, network)(*_batch(state, task, recipe, rows), 0.0)

    network, uncompiled = compiled(state, try_out)
    return make_step(state, task, recipe, network), uncompiled


def _to_be_scored(state: TrainingState) -> AbstractContextManager[None]:
    """Inside, the module has the weights that are validated."""
    return nullcontext() if state.average is None else state.average.within(state.module)


def _may_stop(recipe: Recipe, epochs: int) -> bool:
    """Whether a hopeless training ends after so many epochs."""
    assert recipe.hopeless is not None
    return recipe.epochs_at(recipe.hopeless) <= epochs < recipe.epochs


def _initial_state(
    module: nn.Module, recipe: Recipe, seed: int, device: torch.device
) -> TrainingState:
    precision = half_precision(device) if recipe.amp else None
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    generators = {
        purpose: torch.Generator(device).manual_seed(derive(seed, purpose))
        for purpose in ("order", "augmentation")
    }
    if recipe.mixes:
        generators["mixing"] = torch.Generator("cpu").manual_seed(derive(seed, "mixing"))
    optimizer = make_optimizer(module, recipe)
    average = None if recipe.ema is None else average_of(module, recipe.ema)
    return TrainingState(module, optimizer, scaler, generators, device, average)
