"""The batch of a proxy: noise with random targets, or samples of a task's training split.

Shapes: N samples, K classes, L positions, V tokens of the vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nas.tasks.task import Loss, Task
from nas.tasks.token_scores import token_cross_entropy
from spaces import Shapes
from spaces.structure import by_name, is_shape, leaves, mapped

# The losses of noise, which take one tensor.
_OF_ONE = (token_cross_entropy, functional.cross_entropy, functional.mse_loss)


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs, targets and loss.

    Attributes:
        inputs: (N, ...), in the form that the network takes: a tensor, or a tuple or mapping of
            tensors.
        targets: (N, ...), in the form that the loss takes.
        loss: a function `loss(outputs, targets)` that returns a scalar tensor.
        seed: of the network's own random draws in training mode, such as dropout.
    """

    inputs: Any
    targets: Any
    loss: Loss
    seed: int = 0

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on the device."""
        inputs, targets = (
            mapped(lambda tensor: tensor.to(device), tensors)
            for tensors in (self.inputs, self.targets)
        )
        return replace(self, inputs=inputs, targets=targets)

    def __len__(self) -> int:
        return len(leaves(self.inputs)[0])

    def loss_of(self, outputs: Any) -> Tensor:
        """The loss of a network's outputs.

        Raises:
            ValueError: the network returns several tensors, and the loss takes one.
        """
        if self.loss in _OF_ONE and not isinstance(outputs, Tensor):
            raise ValueError(
                f"the network returns several tensors ({', '.join(by_name(outputs, 'outputs'))}), "
                "and noise has no loss for them: take a batch of a task, which has a loss of its "
                "own, or leave out the proxies that need a loss"
            )
        return self.loss(outputs, self.targets)


def noise_batch(shapes: Shapes, size: int, seed: int, *, tokens: int | None = None) -> Batch:
    """A batch of standard Gaussian noise, or of uniformly drawn tokens, with random targets.

    The form of the targets and the loss follow from the output shape:

    - (L, V), if the shapes have a vocabulary: a language model. The targets are tokens (N, L), and
      the loss is the cross-entropy of tokens.
    - (K, ...) with K of at least 2: the targets are class numbers (N, ...), and the loss is the
      cross-entropy.
    - Others: the targets are Gaussian noise, and the loss is the mean squared error.

    Outputs of several tensors have no such loss; only a task knows it.

    Args:
        shapes: of the inputs and the outputs.
        size: the number of samples N.
        seed: of all random draws.
        tokens: the input is token numbers below this; None: the input is Gaussian noise. Of several
            inputs the vocabularies of the shapes say it.
    """
    generator = torch.Generator().manual_seed(seed)

    def drawn(shape: tuple[int, ...], tokens: int | None) -> Tensor:
        if tokens is None:
            return torch.randn((size, *shape), generator=generator)
        return torch.randint(tokens, (size, *shape), generator=generator)

    vocabularies = shapes.vocabularies if shapes.several else tokens
    inputs = mapped(drawn, shapes.input, vocabularies, leaf=is_shape)
    if not is_shape(shapes.output):
        return Batch(inputs, torch.zeros(size), functional.mse_loss, seed)
    if not shapes.several and shapes.vocabulary is not None and len(shapes.output) == 2:
        length, scores = shapes.output
        targets = torch.randint(scores, (size, length), generator=generator)
        return Batch(inputs, targets, token_cross_entropy, seed)
    if math.prod(shapes.output[:1]) > 1:
        targets = torch.randint(shapes.output[0], (size, *shapes.output[1:]), generator=generator)
        return Batch(inputs, targets, functional.cross_entropy, seed)
    targets = torch.randn((size, *shapes.output), generator=generator)
    return Batch(inputs, targets, functional.mse_loss, seed)


def task_batch(task: Task, size: int, seed: int) -> Batch:
    """A batch of training samples with the task's loss, drawn without replacement.

    The samples are corrupted and prepared as for training, but not augmented.

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
    inputs, targets = task.train.rows(rows)
    if task.corrupt is not None:
        # Without the corruption there is nothing to learn: its hidden tokens are the targets.
        inputs, targets = task.corrupt(inputs, targets, generator)
    return Batch(task.prepare(inputs), targets, task.loss_function(), seed)
