"""The score of a network on a whole split, computed batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nas.tasks.task import Split, Task
from nas.tasks.token_scores import Mean
from nas.training.devices import half_precision
from nas.training.outputs import all_finite, in_single_precision, joined
from spaces.structure import call, mapped


class NotFinite(Exception):
    """The loss or the outputs became infinite or not a number; the message says when."""


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

    The split may lie on another device; each batch is copied to `device`.

    Raises:
        NotFinite: an output is not finite.
    """
    module.eval()
    precision = half_precision(device) if amp else None

    def outputs_for(inputs: Any) -> Any:
        moved = mapped(lambda tensor: tensor.to(device), inputs)
        with torch.autocast(device.type, precision, enabled=precision is not None):
            outputs = call(module, task.prepare(moved))
        task.check_outputs("metric", outputs)
        return in_single_precision(outputs)

    metric = task.metric_function()
    if isinstance(metric, Mean):
        score, finite = _mean_score(metric, outputs_for, split, batch_size, device)
    else:
        outputs = joined([outputs_for(inputs) for inputs, _ in split.batches(batch_size)])
        finite = bool(all_finite(outputs))
        targets = mapped(lambda tensor: tensor.to(device), split.targets)
        score = float(metric(outputs, targets)) if finite else math.nan
    if not finite:
        raise NotFinite(f"the network's outputs for {len(split)} samples are not all finite")
    return score


def _mean_score(
    metric: Mean,
    outputs_for: Callable[[Any], Any],
    split: Split,
    batch_size: int,
    device: torch.device,
) -> tuple[float, bool]:
    """The metric, and whether all outputs are finite.

    The outputs of one batch are freed before those of the next are computed. The host waits for the
    device only at the end.
    """
    total = torch.zeros((), dtype=torch.float64, device=device)
    count = torch.zeros((), dtype=torch.float64, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    for inputs, targets in split.batches(batch_size):
        outputs = outputs_for(inputs)
        moved = mapped(lambda tensor: tensor.to(device), targets)
        added, counted = metric.parts(outputs, moved)
        total = total + added
        count = count + counted
        finite = finite & all_finite(outputs)
    return (total / count).item(), bool(finite)
