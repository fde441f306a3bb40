"""Mixes the samples of a batch: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Each sample is mixed with the one before it in the batch, whose order is random. The loss is that of
both targets, by their shares; so targets may be class numbers, or what else the loss takes.

Shapes: N samples, C channels, S the lengths of one or two dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.training.recipe import Recipe
from spaces.structure import mapped


@dataclass(frozen=True)
class Mixed:
    """The targets of mixed samples.

    Attributes:
        first: of the samples themselves.
        second: of those that were mixed into them.
        share: of the first, 0..1.
    """

    first: Any
    second: Any
    share: float

    def rows(self, which: slice) -> Mixed:
        """Those of some samples."""
        first, second = (
            mapped(lambda tensor: tensor[which], each) for each in (self.first, self.second)
        )
        return Mixed(first, second, self.share)


def mixed(
    inputs: Tensor, targets: Any, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Mixed]:
    """The inputs (N, ...) of a batch, mixed as the recipe says, and their targets.

    Args:
        inputs: prepared, so that they are floating-point numbers; not changed.
        targets: (N, ...), one or several.
        recipe: with mixup, cutmix or both.
        generator: on the CPU, for the host has to know the shares.
    """
    # Imported here, because it takes a while and most trainings mix nothing.
    from scipy.special import betaincinv

    kind, level, *centre = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    cuts = recipe.cutmix > 0 and (recipe.mixup == 0 or kind < 0.5)
    alpha = recipe.cutmix if cuts else recipe.mixup
    # The inverse of the distribution function, because torch's own beta draws take no generator.
    share = float(betaincinv(alpha, alpha, level))
    second = mapped(lambda tensor: tensor.roll(1, 0), targets)
    if not cuts:
        return inputs.lerp(inputs.roll(1, 0), 1 - share), Mixed(targets, second, share)
    box = _box(tuple(inputs.shape[2:]), 1 - share, centre)
    result = inputs.clone()
    result[(..., *box)] = inputs.roll(1, 0)[(..., *box)]
    covered = 1.0
    for length, part in zip(inputs.shape[2:], box, strict=True):
        covered *= (part.stop - part.start) / length
    return result, Mixed(targets, second, 1 - covered)


def _box(lengths: tuple[int, ...], share: float, centre: list[float]) -> tuple[slice, ...]:
    """A box that covers this share of a signal (S), less what would be outside of it."""
    box = []
    for length, place in zip(lengths, centre, strict=False):
        half = length * share ** (1 / len(lengths)) / 2
        first, last = (round(place * length + side) for side in (-half, half))
        box.append(slice(max(0, first), min(length, last)))
    return tuple(box)


def of_mixed(loss: Callable[[Any, Any], Tensor]) -> Callable[[Any, Mixed], Tensor]:
    """The loss of mixed samples: the mean of the losses of both targets, by their shares."""

    def mixed_loss(outputs: Any, targets: Mixed) -> Tensor:
        first, second = loss(outputs, targets.first), loss(outputs, targets.second)
        return targets.share * first + (1 - targets.share) * second

    return mixed_loss


def check_mixing(recipe: Recipe, name: str, inputs: Any) -> None:
    """Refuses to mix inputs that have no mean, or no box to cut out.

    Args:
        recipe: of the training.
        name: the task's, for the message.
        inputs: of its training split.

    Raises:
        ValueError: there are several inputs, or tokens, or CutMix is asked for without a signal.
    """
    wanted = " and ".join(each for each in ("mixup", "cutmix") if getattr(recipe, each) > 0)
    if not wanted:
        return
    refused = ""
    if not isinstance(inputs, Tensor):
        refused = "several inputs"
    elif inputs.dtype == torch.int64:
        refused = "tokens as inputs, and numbers of tokens have no mean"
    elif recipe.cutmix > 0 and inputs.ndim not in (3, 4):
        refused = (
            f"inputs of shape {tuple(inputs.shape[1:])}, and a box is cut out of (channels, "
            "length) or (channels, height, width)"
        )
    if refused:
        raise ValueError(
            f"{wanted} is for one input of numbers; {name!r} has {refused}: set it to 0"
        )
