"""The loss of a prediction that knows nothing of the inputs, which a training should get below.

Shapes: N samples, K classes.
"""

from __future__ import annotations

import torch

from nas.tasks.task import Task
from nas.tasks.token_scores import IGNORED
from nas.training.losses import class_weights
from nas.training.recipe import Recipe


def trivial_loss(task: Task, recipe: Recipe) -> float:
    """The training loss of the best constant prediction, in the recipe's loss.

    For a cross-entropy it predicts the frequencies of the classes in training, each weighted and
    smoothed as the recipe says; its loss is their entropy. For the mean squared error it predicts
    the mean of the targets; its loss is their variance. Mixed targets change neither.

    Raises:
        ValueError: the loss is the task's own.
    """
    targets = task.train.targets
    if task.loss == "mse":
        return targets.double().var(0, correction=0).mean().item()
    if callable(task.loss):
        raise ValueError(
            f"`hopeless` compares with a trivial prediction, and {task.name!r} has a loss of its "
            "own, for which none is known: set it to null"
        )
    classes = task.shapes.output[0 if task.loss == "cross_entropy" else -1]
    counts = torch.bincount(targets[targets != IGNORED], minlength=classes).double()
    if recipe.class_weights == "balanced":
        counts = counts * class_weights(task)
    smoothing = recipe.label_smoothing
    shares = (1 - smoothing) * counts / counts.sum() + smoothing / classes
    return torch.special.entr(shares).sum().item()
