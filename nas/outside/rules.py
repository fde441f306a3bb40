"""The settings of an environment that are not the run's own: steps, rewards and sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nas.outside.rewards import Reward


@dataclass(frozen=True)
class Rules:
    """How a run appears to the agent.

    Attributes:
        steps: with `questions` a step answers the next question; with `whole` it answers all of
            them, which needs the same questions for every architecture.
        reward: a function of the observation; None: its score.
        penalty: the reward of an architecture that the space rejects or that fails, and of an
            action that is no option.
        bins: the number of options of a real number, and of a whole number with more values.
        patience: the run is truncated after this number of episodes in a row without a new
            architecture, as if the budget were used.
        num_actions, num_steps: the sizes of the mask and of the observation; None: the largest
            that a hundred random architectures need.
    """

    steps: Literal["questions", "whole"] = "questions"
    reward: Reward | None = None
    penalty: float = 0.0
    bins: int = 16
    patience: int = 1000
    num_actions: int | None = None
    num_steps: int | None = None

    def __post_init__(self) -> None:
        if (
            self.steps not in ("questions", "whole")
            or self.bins < 2
            or self.patience < 1
            or not math.isfinite(self.penalty)
        ):
            raise ValueError(
                "the rules need steps questions or whole, bins >= 2, patience >= 1 and a finite "
                f"penalty; got {self}"
            )
