"""Trains a module on a task. The data lies on the device and is shuffled and augmented there; a
step never makes the host wait.

CPU and CUDA run the same code. On the CPU one seed gives one result, bit for bit, whatever the
state of the global generators.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.seeds import derive
from nas.tasks.task import Split, Task
from nas.tasks.token_scores import Mean
from nas.training.checkpoint import Moving, Paused
from nas.training.recipe import Recipe, batch_bounds, learning_rates


class NotFinite(Exception):
    """The loss or the outputs became infinite or not a number; the message says when."""


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        validation: the metric on the validation split after the last epoch (not after the best,
            which would flatter).
        curve: the same after each epoch.
        seconds: wall-clock, validation included.
        epochs: how many were trained, those before a pause counted.
        paused: where it stands, if that is before the recipe's last epoch.
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
    """Trains the module where it stands (it is moved to the device), and scores it on the
    validation split after each epoch.

    A training that is paused and goes on is the same as one that was never paused: on the CPU bit
    for bit.

    Args:
        module: takes inputs of `task.shapes.input` behind the batch dimension.
        seed: draws the order of the samples, the augmentation, and what the module itself draws
            (dropout).
        on_epoch: called with the number of epochs done and the validation score.
        until: the epoch after which to pause, on the learning rates of the whole recipe; None: to
            its end.
        paused: where an earlier call with the same arguments has paused; it must fit the module,
            and not be further than `until`.

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
        task.check(module, task.prepare(task.validation.inputs[:2]))
    moving = _moving(module, recipe, seed, device)
    step = _make_step(moving, task, recipe)
    bounds = batch_bounds(len(task.train), recipe.batch_size)
    rates = learning_rates(recipe, len(bounds))
    curve: list[float] = []
    started = time.perf_counter()
    with own_randomness(derive(seed, "module"), device), _convolutions_tried_out():
        if paused is not None:
            moving.go_on(paused)
            curve += paused.curve
        for epoch in range(len(curve), last):
            module.train()
            total = torch.zeros((), device=device)
            order = torch.randperm(
                len(task.train), generator=moving.generators["order"], device=device
            )
            for (first, end), rate in zip(bounds, rates[epoch * len(bounds) :], strict=False):
                rows = order[first:end]
                inputs, targets = task.train.inputs[rows], task.train.targets[rows]
                if task.augment is not None:
                    inputs = task.augment(inputs, moving.generators["augmentation"])
                if task.corrupt is not None:
                    inputs, targets = task.corrupt(
                        inputs, targets, moving.generators["augmentation"]
                    )
                total += step(task.prepare(inputs), targets, rate)
            # The one place in an epoch, beside the validation, where the host waits for the device.
            if not torch.isfinite(total):
                raise NotFinite(
                    f"the loss was not finite in epoch {epoch + 1} of {recipe.epochs}: lower the "
                    "learning rate, or clip the gradient"
                )
            curve.append(
                evaluate_split(
                    module, task.validation, task, recipe.batch_size, device, amp=recipe.amp
                )
            )
            if on_epoch is not None:
                on_epoch(epoch + 1, curve[-1])
        rest = moving.pause(tuple(curve)) if last < recipe.epochs else None
    return Trained(curve[-1], tuple(curve), time.perf_counter() - started, last, rest)


def _moving(module: nn.Module, recipe: Recipe, seed: int, device: torch.device) -> Moving:
    precision = half_precision(device) if recipe.amp else None
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    generators = {
        purpose: torch.Generator(device).manual_seed(derive(seed, purpose))
        for purpose in ("order", "augmentation")
    }
    return Moving(module, make_optimizer(module, recipe), scaler, generators, device)


def _make_step(
    moving: Moving, task: Task, recipe: Recipe
) -> Callable[[Tensor, Tensor, float], Tensor]:
    """`step(inputs, targets, learning_rate)` changes the weights once and gives the loss, which
    stays on the device.
    """
    loss_function = task.loss_function(recipe.label_smoothing)
    module, optimizer, scaler, device = (
        moving.module,
        moving.optimizer,
        moving.scaler,
        moving.device,
    )
    precision = half_precision(device) if recipe.amp else None

    def step(inputs: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        if recipe.channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            outputs = module(inputs)
        if tuple(outputs.shape[1:]) != task.shapes.output:
            # Cross-entropy would train a network of too many classes without a word.
            raise ValueError(
                f"the network gives outputs of shape {tuple(outputs.shape[1:])}, and the task "
                f"{task.name!r} needs {task.shapes.output}: "
                "let the space's program take the shapes, `define(choose, shapes)`, and end in "
                "`shapes.output`"
            )
        loss = loss_function(outputs.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        if recipe.gradient_clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), recipe.gradient_clip)
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


@torch.no_grad()
def evaluate_split(
    module: nn.Module,
    split: Split,
    task: Task,
    batch_size: int,
    device: torch.device,
    *,
    amp: bool = False,
) -> float:
    """The task's metric on a whole split, with the module in evaluation mode.

    Raises:
        NotFinite: an output is not finite.
    """
    module.eval()
    precision = half_precision(device) if amp else None

    def outputs_for(inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, precision, enabled=precision is not None):
            return module(task.prepare(inputs.to(device))).float()

    metric = task.metric_function()
    if isinstance(metric, Mean):
        score, finite = _mean_score(metric, outputs_for, split, batch_size, device)
    else:
        joined = torch.cat([outputs_for(inputs) for inputs in split.inputs.split(batch_size)])
        finite = bool(torch.isfinite(joined).all())
        score = float(metric(joined, split.targets.to(device))) if finite else math.nan
    if not finite:
        raise NotFinite(f"the network's outputs for {len(split)} samples are not all finite")
    return score


def _mean_score(
    metric: Mean,
    outputs_for: Callable[[Tensor], Tensor],
    split: Split,
    batch_size: int,
    device: torch.device,
) -> tuple[float, bool]:
    """The metric, and whether all outputs are finite. A batch's outputs are forgotten before the
    next one's; the host waits at the end.
    """
    total, count = (
        torch.zeros((), dtype=torch.float64, device=device),
        torch.zeros((), dtype=torch.float64, device=device),
    )
    finite = torch.ones((), dtype=torch.bool, device=device)
    for inputs, targets in zip(
        split.inputs.split(batch_size), split.targets.split(batch_size), strict=True
    ):
        outputs = outputs_for(inputs)
        added, counted = metric.parts(outputs, targets.to(device))
        total, count, finite = (
            total + added,
            count + counted,
            finite & torch.isfinite(outputs).all(),
        )
    return (total / count).item(), bool(finite)


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; weight decay goes to weights of two or more dimensions only, so not
    to biases and norms.

    Raises:
        ValueError: the module has nothing to train.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(
            "the network has no parameters to train; its space should give every architecture at "
            "least a head"
        )
    groups: list[dict[str, Any]] = [
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": recipe.weight_decay,
        },
        {
            "params": [parameter for parameter in parameters if parameter.ndim < 2],
            "weight_decay": 0.0,
        },
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True, fused=True
    )


def half_precision(device: torch.device) -> torch.dtype | None:
    """The type for half precision on the device: bfloat16, float16 on older CUDA cards, None on the
    CPU, where it would not pay.
    """
    if device.type != "cuda":
        return None
    return (
        torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    )


def find_device(name: str = "auto") -> torch.device:
    """The device called `cpu`, `cuda` or `cuda:1`; `auto` is CUDA where there is such a card.

    Raises:
        ValueError: there is no such device on this machine.
    """
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", 0) if count else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"a device is called auto, cpu, cuda or cuda:0; got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"training runs on cpu or cuda; got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ValueError(
            f"the device {name!r} is not on this machine, which has {count or 'no'} CUDA cards: "
            "use cpu or auto"
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


@contextmanager
def _convolutions_tried_out() -> Iterator[None]:
    """Inside, cuDNN times its algorithms for each shape it meets and keeps the fastest; an epoch
    has at most two batch sizes.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's global generators (the CPU's and the device's) start at `seed`; afterwards
    they are as they were before.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
