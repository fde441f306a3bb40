"""Proposals, trials, rounds and finalists of a run, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from spaces import Architecture


@dataclass(frozen=True)
class Predicted:
    """The surrogate's prediction for an architecture, made before its evaluation.

    Attributes:
        mean: of the validation score.
        aleatoric, epistemic: standard deviations, in units of the score.
    """

    mean: float
    aleatoric: float
    epistemic: float


@dataclass(frozen=True)
class Proposal:
    """An architecture that a strategy proposes for evaluation.

    Attributes:
        architecture: the decisions.
        origin: where it comes from: `random`, `prior`, `mutation`, `crossover`, ...
        prediction: made by the surrogate; None if the strategy used none.
        canonical: the canonical key of its graph; two proposals with one key are one architecture.
        fidelity: the share of an evaluation's epochs that it is to be trained, more than 0.
        continues: the number of the trial whose training goes on: the same architecture with a
            lower fidelity. Then this is a promotion of that trial.
    """

    architecture: Architecture
    origin: str
    prediction: Predicted | None
    canonical: str
    fidelity: float = 1.0
    continues: int | None = None


@dataclass(frozen=True)
class Trial:
    """A proposal that was accepted for evaluation, and what came of it.

    Attributes:
        number: its number in the run, from 0, over all rounds and arms.
        round: the number of its round within its arm.
        arm: which of the compared strategies proposed it.
        architecture, origin, prediction, canonical: as in `Proposal`.
        seed: of the evaluation; a promotion has the seed of the trial that it continues.
        outcome: None while it is pending.
        fidelity, continues: as in `Proposal`.
        donor: the number of the trial whose trained weights its training begins with; None for
            fresh weights.
    """

    number: int
    round: int
    arm: str
    architecture: Architecture
    origin: str
    prediction: Predicted | None
    canonical: str
    seed: int
    outcome: Observation | Failed | None = None
    fidelity: float = 1.0
    continues: int | None = None
    donor: int | None = None

    @property
    def is_observed(self) -> bool:
        """Whether it has a score: it neither failed nor is pending."""
        return isinstance(self.outcome, Observation)

    @property
    def score(self) -> float:
        """The validation score.

        Raises:
            ValueError: the trial was not observed.
        """
        if not isinstance(self.outcome, Observation):
            raise ValueError(
                f"trial {self.number} has no score: "
                f"{'it is pending' if self.outcome is None else self.outcome.reason}"
            )
        return self.outcome.score

    def with_score(self, score: float) -> Trial:
        """The trial with another score.

        Raises:
            ValueError: the trial was not observed.
        """
        if not isinstance(self.outcome, Observation):
            raise ValueError(f"trial {self.number} has no score, so there is none to replace")
        return replace(self, outcome=replace(self.outcome, score=score))


@dataclass(frozen=True)
class Round:
    """Trials that were proposed together.

    Attributes:
        number: from 0, within its arm.
        arm: of the strategy that proposed them.
        trials: their numbers.
        note: the strategy's own remark.
        ranking: how right the surrogate was (`nas.record.scorecard`); None before the round ends.
    """

    number: int
    arm: str
    trials: tuple[int, ...]
    note: str = ""
    ranking: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Finalist:
    """A trial chosen for full training; rank 1 is the best of its arm."""

    trial: int
    rank: int
    arm: str


@dataclass(frozen=True)
class Final:
    """A finalist's full training with one seed."""

    trial: int
    seed: int
    result: FinalResult | Failed
