"""What a search is after: its score alone, or several numbers of each observation at once.

Shapes: N trials, K objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy

from nas.evaluators.evaluator import Observation
from nas.record.history import Trial


@dataclass(frozen=True)
class Objective:
    """One number of an observation, and which way is better.

    Attributes:
        name: `score`, `seconds`, or one of the observation's metrics, such as `parameters` or a
            latency. A run adds those that the graph alone tells
            (`nas.objectives.constrained_space.completed`).
        goal: a score is maximised; a cost is minimised.
    """

    name: str
    goal: Literal["maximise", "minimise"] = "maximise"

    @property
    def sign(self) -> float:
        """What the number is multiplied by, so that higher is better."""
        return 1.0 if self.goal == "maximise" else -1.0

    def of(self, trial: Trial) -> float:
        """The number of an observed trial, times the sign.

        Raises:
            ValueError: the observation has no such number; the message lists those that it has.
        """
        assert isinstance(trial.outcome, Observation)
        known = trial.outcome.numbers
        if self.name not in known:
            raise ValueError(
                f"the objective {self.name!r} is none of the numbers that trial {trial.number} "
                f"was observed with: {', '.join(known)}"
            )
        return self.sign * known[self.name]


SCORE = Objective("score")


def values(trials: Sequence[Trial], objectives: Sequence[Objective]) -> numpy.ndarray:
    """(N, K) the observed trials' objectives, higher is better in each.

    Raises:
        ValueError: see `Objective.of`.
    """
    return numpy.array(
        [[objective.of(trial) for objective in objectives] for trial in trials], dtype=numpy.float64
    ).reshape(len(trials), len(objectives))
