"""The score of a network on a whole split, computed batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nas.tasks.task import Split, Task
from nas.tasks.token_scores import Mean
from nas.training.devices import half_precision


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
    """The metric, and whether all outputs are finite.

    The outputs of one batch are freed before those of the next are computed. The host waits for the
    device only at the end.
    """
    total = torch.zeros((), dtype=torch.float64, device=device)
    count = torch.zeros((), dtype=torch.float64, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    batches = zip(split.inputs.split(batch_size), split.targets.split(batch_size), strict=True)
    for inputs, targets in batches:
        outputs = outputs_for(inputs)
        added, counted = metric.parts(outputs, targets.to(device))
        total = total + added
        count = count + counted
        finite = finite & torch.isfinite(outputs).all()
    return (total / count).item(), bool(finite)
