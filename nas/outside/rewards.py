"""Rewards of an agent outside that are relative to targets.

They are those of ArchGym (Krishnan et al., 2023, arXiv 2306.08888), but one-sided. For a cost, with
excess = max((value - target) / |target|, 0):

    sum_of_excess       -sum of excess over the targets: 0 if all are met, else negative
    product_of_ratios   product of 1 / (1 + excess): 1 if all are met, else between 0 and 1

For a number to be maximised the excess is max((target - value) / |target|, 0). The published
product is that of |target| / |value - target|. It is infinite at the target and falls again beyond
it; `two_sided=True` gives it.
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
        value: the value to reach. It is not 0, because differences are relative to it.
        goal: whether the number should be at most the value (a cost) or at least (a score).
    """

    name: str
    value: float
    goal: Literal["minimise", "maximise"] = "minimise"

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or self.value == 0:
            raise ValueError(
                "a target is a finite number other than 0, because differences are relative to it; "
                f"{self.name!r} got {self.value}"
            )

    def beyond(self, observation: Observation) -> float:
        """The share of the target by which the number is worse than it; negative if it is better.

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
    """Minus the sum of the excess over each target: 0 if all are met.

    >>> reward = sum_of_excess([Target("seconds", 10.0)])
    >>> reward(Observation(0.9, seconds=15.0))
    -0.5
    """

    def reward(observation: Observation) -> float:
        return 0.0 - sum(max(target.beyond(observation), 0.0) for target in targets)

    return reward


def product_of_ratios(targets: Sequence[Target], *, two_sided: bool = False) -> Reward:
    """The product of a ratio for each target: 1 if all targets are met.

    `two_sided` gives the published form, whose reward grows without bound at a target.
    """

    def ratio(target: Target, observation: Observation) -> float:
        beyond = target.beyond(observation)
        if two_sided:
            return 1 / abs(beyond) if beyond else math.inf
        return 1 / (1 + max(beyond, 0.0))

    return lambda observation: math.prod(ratio(target, observation) for target in targets)
