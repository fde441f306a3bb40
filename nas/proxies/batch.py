"""The one batch that a proxy looks at: noise with random targets, or samples of a task's training
split.

Shapes: N samples, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from nas.tasks.task import Loss, Task
from nas.tasks.token_scores import token_cross_entropy
from spaces import Shapes


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs, targets and loss.

    Attributes:
        inputs: (N, ...), as the network takes them.
        targets: (N, ...), as the loss takes them.
        loss: `loss(outputs, targets)`, a scalar tensor.
        seed: of what a network in training draws at random, such as dropout.
    """

    inputs: Tensor
    targets: Tensor
    loss: Loss
    seed: int = 0

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on the device."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))


def noise_batch(shapes: Shapes, size: int, seed: int, *, tokens: int | None = None) -> Batch:
    """Gaussian noise of mean 0 and variance 1; or, where the network takes token numbers, each of
    `tokens` equally often.

    For outputs (K, ...) with K of at least 2 the targets are random class numbers (N, ...) and the
    loss is cross-entropy; where the shapes have a vocabulary, outputs (L, V) are V scores at each
    of L places, as those of a language model, and the targets are tokens (N, L). For others the
    targets are Gaussian noise and the loss is the mean squared error.
    """
    generator = torch.Generator().manual_seed(seed)
    if tokens is None:
        inputs = torch.randn((size, *shapes.input), generator=generator)
    else:
        inputs = torch.randint(tokens, (size, *shapes.input), generator=generator)
    if shapes.vocabulary is not None and len(shapes.output) == 2:
        length, scores = shapes.output
        return Batch(
            inputs,
            torch.randint(scores, (size, length), generator=generator),
            token_cross_entropy,
            seed,
        )
    if math.prod(shapes.output[:1]) > 1:
        targets = torch.randint(shapes.output[0], (size, *shapes.output[1:]), generator=generator)
        return Batch(inputs, targets, functional.cross_entropy, seed)
    return Batch(
        inputs, torch.randn((size, *shapes.output), generator=generator), functional.mse_loss, seed
    )


def task_batch(task: Task, size: int, seed: int) -> Batch:
    """Samples of the training split, drawn without repetition, corrupted and prepared as for
    training, but not augmented; with the task's loss.

    Raises:
        ValueError: the split has fewer than `size` samples.
    """
    if size > len(task.train):
        raise ValueError(
            f"the training split of {task.name!r} has {len(task.train)} samples, fewer than the "
            f"batch's {size}: ask for a smaller batch"
        )
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(task.train), generator=generator)[:size]
    inputs, targets = task.train.inputs[rows], task.train.targets[rows]
    if task.corrupt is not None:
        # Without it there is nothing to learn: what a corrupted input hides is its target.
        inputs, targets = task.corrupt(inputs, targets, generator)
    return Batch(task.prepare(inputs), targets, task.loss_function(), seed)
