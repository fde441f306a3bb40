"""An evaluator that trains a small part of an epoch, to measure what an evaluation will take."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nas.config.evaluator import evaluator
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.evaluators.train import TrainEvaluator
from nas.tasks.task import Split, Task
from nas.training.devices import find_device
from nas.training.recipe import Recipe
from spaces import Architecture

# Batches of an epoch that are trained, twice: once to warm up, once to measure.
BATCHES = 8


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """Measures what an evaluation by `whole` would take.

    `small` is the same evaluator with a share of the data and two epochs.
    """

    whole: TrainEvaluator
    small: TrainEvaluator

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
        checkpoint: Path | None = None,
    ) -> Observation | Failed:
        """An observation whose `seconds` are those of a whole evaluation. Its score means nothing.

        Every epoch is taken to be as long as the second one, which comes after the warm-up. What
        comes before the first epoch, such as building the network, counts once. The metric `memory`
        is in bytes.

        Raises:
            ValueError: as `TrainEvaluator.evaluate`.
        """
        device = find_device(self.whole.device)
        if device.type == "cuda":
            torch.cuda.init()
            torch.cuda.reset_peak_memory_stats(device)
        ends: list[float] = []
        started = time.perf_counter()
        evaluator = replace(
            self.small, on_epoch=lambda epoch, score: ends.append(time.perf_counter())
        )
        outcome = evaluator.evaluate(architecture, seed=seed, weights=weights)
        if isinstance(outcome, Failed):
            return outcome
        epoch = ends[-1] - ends[-2]
        before = max(0.0, ends[-2] - started - epoch)
        whole = epoch * len(self.whole.task.train) / len(self.small.task.train)
        metrics = (*outcome.metrics, ("memory", float(self._memory(device))))
        return Observation(
            outcome.score, before + self.whole.recipe.epochs_at(fidelity) * whole, metrics=metrics
        )

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        """Refuses: there is no full training in a rehearsal.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "a rehearsal trains no finalists; their time is computed from its evaluations"
        )

    def _memory(self, device: torch.device) -> int:
        """The peak memory in bytes: of the GPU with all of the data on it, else of this process."""
        if device.type == "cuda":
            return (
                torch.cuda.max_memory_allocated(device)
                + _bytes(self.whole.task)
                - _bytes(self.small.task)
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def rehearsal(settings: Mapping[str, Any], device: str) -> Rehearsal:
    """The rehearsal of a run on a device.

    Args:
        settings: the run's configuration as JSON values, for they travel between processes.
        device: such as `cpu` or `cuda:0`.
    """
    whole = evaluator(settings, device)
    assert isinstance(whole, TrainEvaluator)
    small = TrainEvaluator(
        whole.space,
        part_of(whole.task, whole.recipe),
        # Both epochs are timed, so it may not stop after the first one.
        replace(whole.recipe, epochs=2, warmup_epochs=0.0, hopeless=None),
        device=device,
    )
    return Rehearsal(whole, small)


def part_of(task: Task, recipe: Recipe) -> Task:
    """The task with a few batches of its training split, and the same share of its validation."""
    count = min(len(task.train), BATCHES * recipe.batch_size)
    share = count / len(task.train)
    return replace(
        task,
        train=_spread(task.train, count),
        validation=_spread(task.validation, max(1, round(share * len(task.validation)))),
    )


def _spread(split: Split, count: int) -> Split:
    rows = torch.linspace(0, len(split) - 1, count).long()
    return Split(*split.rows(rows))


def _bytes(task: Task) -> int:
    return sum(
        tensor.numel() * tensor.element_size()
        for part in (task.train, task.validation)
        for tensor in part.tensors()
    )
