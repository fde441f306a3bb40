"""The objectives of a search: the score alone, or several numbers of each observation at once.

Shapes: N trials, K objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy

from nas.evaluators.evaluator import Observation
from nas.record.trials import Trial


@dataclass(frozen=True)
class Objective:
    """One number of an observation, to be maximised or minimised.

    Attributes:
        name: `score`, `seconds`, or one of the observation's metrics, such as `parameters` or a
            latency. A run adds the metrics that are computed from the graph
            (`nas.objectives.graph_numbers.completed`).
        goal: `maximise` for a score, `minimise` for a cost.
    """

    name: str
    goal: Literal["maximise", "minimise"] = "maximise"

    @property
    def sign(self) -> float:
        """1 or -1: the factor that makes a higher number better."""
        return 1.0 if self.goal == "maximise" else -1.0

    def of(self, trial: Trial) -> float:
        """The number of an observed trial, multiplied by the sign.

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
    """(N, K) the objectives of the observed trials; higher is better in each.

    Raises:
        ValueError: see `Objective.of`.
    """
    return numpy.array(
        [[objective.of(trial) for objective in objectives] for trial in trials], dtype=numpy.float64
    ).reshape(len(trials), len(objectives))
