"""What an evaluation is: the values that come out, and the protocol that every evaluator keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spaces import Architecture


@dataclass(frozen=True)
class Observation:
    """One evaluation's result on the validation data; the test data has no place here.

    Attributes:
        score: the task's metric on the validation data, higher is better.
        seconds: how long the evaluation took (a table gives the seconds that the training took,
            where it knows them).
        curve: the validation score after each epoch, oldest first.
        metrics: further measured numbers by name (parameters, multiply_adds, ...).
    """

    score: float
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    metrics: tuple[tuple[str, float], ...] = ()

    @property
    def numbers(self) -> dict[str, float]:
        """All that it tells, by name."""
        return {"score": self.score, "seconds": self.seconds, **dict(self.metrics)}


@dataclass(frozen=True)
class Failed:
    """An evaluation that gave no score.

    Attributes:
        kind: one of `exception`, `not finite`, `out of memory`, `time-out`, `killed`, `missing`
            (not in the table), `disk full`.
        reason: a sentence that says what happened.
        detail: the traceback or log, for the report.
    """

    kind: str
    reason: str
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class FinalResult:
    """A finalist's full training with one seed, and its test score: read once, after the search."""

    validation: float
    test: float
    seconds: float = 0.0
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Donor:
    """Whose weights a training begins with: an architecture that was trained before, and the file
    of its weights (safetensors).
    """

    architecture: Architecture
    weights: Path


class Evaluator(Protocol):
    """Scores architectures. May raise: whoever calls it (`nas.executors.attempt`) turns an
    exception into `Failed`.
    """

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
        checkpoint: Path | None = None,
    ) -> Observation | Failed:
        """The validation score after `fidelity` times a search evaluation's epochs: a training that
        is paused, not a shorter one.

        Trained weights go to the file `weights` (safetensors). What the training needs to go on may
        be kept in the file `checkpoint`, and taken from there by the evaluation of the same
        architecture with the same seed and a higher fidelity; whether it is there changes no
        result.
        """
        ...

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        """A full training for a finalist, and the test score at its end."""
        ...
