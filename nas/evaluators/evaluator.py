"""The results of an evaluation, and the protocol that every evaluator implements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spaces import Architecture


@dataclass(frozen=True)
class Observation:
    """One evaluation's result on the validation data; it never holds a test score.

    Attributes:
        score: the task's metric on the validation data, higher is better.
        seconds: the duration of the evaluation. A table gives the duration of the published
            training if it has one.
        curve: the validation score after each epoch, oldest first.
        metrics: further measured numbers by name, such as `parameters` and `multiply_adds`.
    """

    score: float
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    metrics: tuple[tuple[str, float], ...] = ()

    @property
    def numbers(self) -> dict[str, float]:
        """The score, the seconds and the metrics by name."""
        return {"score": self.score, "seconds": self.seconds, **dict(self.metrics)}


@dataclass(frozen=True)
class Failed:
    """An evaluation that gave no score.

    Attributes:
        kind: one of `exception`, `not finite`, `out of memory`, `time-out`, `killed`, `missing`
            (not in the table), `disk full`.
        reason: a sentence that says what happened.
        seconds: the duration of the evaluation until it failed.
        detail: the traceback or log, for the report.
    """

    kind: str
    reason: str
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class FinalResult:
    """The result of a finalist's full training with one seed; it alone holds a test score.

    Attributes:
        validation: the score on the validation data after the last epoch.
        test: the score on the test data, which is read once, after the search.
        seconds: the duration of the training.
        curve: the validation score after each epoch, oldest first.
    """

    validation: float
    test: float
    seconds: float = 0.0
    curve: tuple[float, ...] = ()


@dataclass(frozen=True)
class Donor:
    """An architecture that was trained before, and the safetensors file of its weights.

    Another training can begin with these weights.
    """

    architecture: Architecture
    weights: Path


class Evaluator(Protocol):
    """Scores architectures.

    An evaluator returns a `Failed` for a failure that it recognises. It may also raise: its caller,
    `nas.executors.attempt`, turns an exception into a `Failed`.
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
        """The validation score after `fidelity` times the epochs of a search evaluation.

        A fidelity below 1 is the beginning of the whole training, not a shorter training: its
        learning rates are those of the whole.

        Args:
            seed: of all random draws of the evaluation.
            weights: the safetensors file to write the trained weights to; None: not written.
            fidelity: a share of the epochs, more than 0 and at most 1.
            checkpoint: a file that may keep the state of the paused training. An evaluation of the
                same architecture with the same seed and a higher fidelity may resume from it. A
                missing file changes no result.
        """
        ...

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        """The result of a finalist's full training, with the test score at its end."""
        ...
