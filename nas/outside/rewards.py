"""Rewards relative to targets, for an agent outside: as in ArchGym (Krishnan et al., 2023, arXiv
2306.08888), but one-sided.

    sum_of_excess       - sum over the targets of max((value - target) / target, 0)      0 where all targets are met, below it elsewhere
    product_of_ratios   product over the targets of 1 / (1 + max((value - target) / target, 0))      1 where all are met, towards 0 elsewhere

so for a cost. For a number to be maximised it is (target - value) / target. The published product
is of target / |value - target|: it is infinite at the target and falls again beyond it.
`two_sided=True` gives that one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nas.evaluators.evaluator import Observation

Reward = Callable[[Observation], float]


@dataclass(frozen=True)
class Target:
    """A value that a number of the observation should reach.

    Attributes:
        name: `score`, `seconds`, or one of the observation's metrics.
        value: not 0, for what is missing is relative to it.
        goal: a cost should be at most the value, a score at least.
    """

    name: str
    value: float
    goal: Literal["minimise", "maximise"] = "minimise"

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or self.value == 0:
            raise ValueError(
                "a target is a finite number other than 0, for what is missing is relative to "
                f"it; {self.name!r} got {self.value}"
            )

    def beyond(self, observation: Observation) -> float:
        """By which share of the target the number is worse than it; negative where it is better.

        Raises:
            ValueError: the observation has no such number.
        """
        known = {
            "score": observation.score,
            "seconds": observation.seconds,
            **dict(observation.metrics),
        }
        if self.name not in known:
            raise ValueError(
                f"the target {self.name!r} is none of the numbers of the observation: "
                f"{', '.join(known)}"
            )
        sign = 1.0 if self.goal == "minimise" else -1.0
        return sign * (known[self.name] - self.value) / abs(self.value)


def sum_of_excess(targets: Sequence[Target]) -> Reward:
    """Minus the sum of what is missing to each target: 0 where all are met."""

    def reward(observation: Observation) -> float:
        return 0.0 - sum(max(target.beyond(observation), 0.0) for target in targets)

    return reward


def product_of_ratios(targets: Sequence[Target], *, two_sided: bool = False) -> Reward:
    """The product of how nearly each target is met: 1 where all are. `two_sided` is the published
    form, whose reward grows without bound at a target.
    """

    def ratio(target: Target, observation: Observation) -> float:
        beyond = target.beyond(observation)
        if two_sided:
            return 1 / abs(beyond) if beyond else math.inf
        return 1 / (1 + max(beyond, 0.0))

    return lambda observation: math.prod(ratio(target, observation) for target in targets)
