"""The loss of a training: the task's, with the recipe's class weights and mixed targets.

Shapes: N samples, K classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nas.tasks.task import Loss, Task
from nas.tasks.token_scores import IGNORED
from nas.training.mixing import Mixed, of_mixed
from nas.training.recipe import Recipe
from spaces.structure import leaves


def loss_of(task: Task, recipe: Recipe) -> Loss:
    """The loss that a step lowers, a mean over the samples of a batch.

    Raises:
        ValueError: the task's loss has no classes to smooth or to weight.
    """
    loss = task.loss_function(recipe.label_smoothing)
    if recipe.class_weights == "balanced":
        loss = _balanced(task, recipe.label_smoothing)
    return of_mixed(loss) if recipe.mixes else loss


def class_weights(task: Task) -> Tensor:
    """The weight (K,) of each class: inverse to its frequency in training, 1 for the mean sample.

    A class that does not occur has the weight 0.

    Raises:
        ValueError: the loss is not the cross-entropy of classes.
    """
    if task.loss != "cross_entropy":
        raise ValueError(
            f"class_weights='balanced' needs the loss 'cross_entropy'; {task.name!r} has "
            f"{task.loss!r}: set it to none"
        )
    counts = torch.bincount(task.train.targets.flatten(), minlength=task.shapes.output[0]).double()
    present = counts > 0
    return torch.where(present, counts.sum() / (present.sum() * counts.clamp(min=1)), 0.0).float()


def _balanced(task: Task, label_smoothing: float) -> Loss:
    weights = class_weights(task)

    def loss(outputs: Any, targets: Any) -> Tensor:
        task.check_outputs("loss", outputs)
        losses = functional.cross_entropy(
            outputs, targets, reduction="none", label_smoothing=label_smoothing
        )
        # Divided by the samples and not by their weights, so that what a sample counts does not
        # depend on the rest of its batch.
        return (losses * weights[targets]).mean()

    return loss


def of_part(loss: Tensor, part: Any, whole: Any, task: Task) -> Tensor:
    """What the loss of a part of a batch adds to the mean over the whole batch.

    It is the loss times the part's share of the samples, or of the tokens that are not ignored. So
    all parts together give the loss of the whole; where the loss is the task's own, this is so if
    that is a mean over samples.

    Args:
        loss: of the part, a mean.
        part, whole: targets; of the part and of the whole batch.
        task: the training's.
    """
    if isinstance(part, Mixed):
        return of_part(loss, part.first, whole.first, task)
    if task.loss != "token_cross_entropy":
        return loss * (len(leaves(part)[0]) / len(leaves(whole)[0]))
    counted = (part != IGNORED).sum()
    # A mean over no tokens is not a number.
    return loss.masked_fill(counted == 0, 0.0) * (counted / (whole != IGNORED).sum())
