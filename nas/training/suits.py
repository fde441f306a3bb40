"""Whether a recipe suits a task, which is known before anything is trained."""

from __future__ import annotations

from nas.tasks.task import Task
from nas.training.hopeless import trivial_loss
from nas.training.losses import loss_of
from nas.training.mixing import check_mixing
from nas.training.optimizers import check_installed
from nas.training.recipe import Recipe


def check_suits(recipe: Recipe, task: Task) -> None:
    """Refuses a recipe that cannot train on the task.

    Raises:
        ValueError: the optimizer is not installed, or the task's loss or inputs are not what label
            smoothing, class weights, mixing or `hopeless` are for.
    """
    check_installed(recipe.optimizer)
    check_mixing(recipe, task.name, task.train.inputs)
    loss_of(task, recipe)
    if recipe.hopeless is not None:
        trivial_loss(task, recipe)
