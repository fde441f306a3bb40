"""How the learning rate goes on after the warm-up: its share of the peak at each step.

Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, get_args

# The names that a configuration accepts.
ScheduleName = Literal["cosine", "cosine_power", "power", "constant"]


class Settings(Protocol):
    """What schedules read of a recipe (`nas.training.recipe.Recipe`)."""

    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def annealing_power(self) -> float: ...
    @property
    def power_scale(self) -> float: ...
    @property
    def power_exponent(self) -> float: ...
    @property
    def decay_share(self) -> float: ...


# `schedule(recipe, warmup, steps)` returns a share of the peak for each of the steps `warmup` to
# `steps` - 1, numbered from the beginning of the training.
Schedule = Callable[[Settings, int, int], list[float]]


def _cosine(recipe: Settings, warmup: int, steps: int) -> list[float]:
    """Half a period of a cosine (Loshchilov & Hutter 2017)."""
    rest = steps - warmup
    return [0.5 * (1 + math.cos(math.pi * step / rest)) for step in range(rest)]


def _cosine_power(recipe: Settings, warmup: int, steps: int) -> list[float]:
    """Cosine power annealing (Hundt et al. 2019): (p^c - 1) / (p - 1) of the cosine's share c."""
    falling = _cosine(recipe, warmup, steps)
    logarithm = math.log(recipe.annealing_power)
    if logarithm == 0:
        return falling
    return [math.expm1(share * logarithm) / math.expm1(logarithm) for share in falling]


def _power(recipe: Settings, warmup: int, steps: int) -> list[float]:
    """The power scheduler (Shen et al. 2024), and a linear decay at the end.

    Before the decay a rate depends on the samples seen, and not on how many there will be.
    """
    last = steps - round(recipe.decay_share * steps)

    def at(step: int) -> float:
        seen = (step + 1) * recipe.batch_size
        rate = recipe.batch_size * recipe.power_scale * seen**recipe.power_exponent
        return min(1.0, rate / recipe.learning_rate)

    begin = max(warmup, last)
    flat = [at(step) for step in range(warmup, begin)]
    decay = [at(begin) * (1 - step / (steps - begin)) for step in range(steps - begin)]
    return flat + decay


def _constant(recipe: Settings, warmup: int, steps: int) -> list[float]:
    """The peak."""
    return [1.0] * (steps - warmup)


SCHEDULES: Mapping[ScheduleName, Schedule] = {
    "cosine": _cosine,
    "cosine_power": _cosine_power,
    "power": _power,
    "constant": _constant,
}

assert tuple(SCHEDULES) == get_args(ScheduleName), "ScheduleName and SCHEDULES differ"
