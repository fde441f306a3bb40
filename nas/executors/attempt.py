"""Runs one job: an exception that leaves the evaluator becomes a `Failed` here.

Failures have three further sources. An evaluator may return a `Failed` itself, as
`nas.evaluators.train` does when the loss is not finite or memory runs out. The process executor
reports a worker that died or exceeded its time limit. And an evaluation may have a result that
cannot be used: a needed number is missing (`nas.objectives`), or an inner search found nothing
(`nas.flows`).
"""

from __future__ import annotations

import errno
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nas.evaluators.evaluator import Donor, Evaluator, Failed, FinalResult, Observation
from spaces import Architecture

Outcome = Observation | FinalResult | Failed

# The only kind of failure that is no fault of the architecture. A run stops without writing it to
# the journal, so that the trial is evaluated again later.
DISK_FULL = "disk full"

# The most characters of a traceback that go into the journal. Its end is kept, which is the most
# useful part.
_LONGEST_DETAIL = 20_000


@dataclass(frozen=True)
class Job:
    """One evaluation to run.

    Attributes:
        trial: the number of the trial; with `seed` and `final` it identifies the job.
        architecture: to evaluate.
        seed: of the random draws of the evaluation.
        weights: the file for the trained weights; None: they are not kept.
        final: whether this is a full training with a test score (`Evaluator.finalize`) instead of a
            search evaluation.
        fidelity: the share of a search evaluation's epochs, more than 0 and at most 1.
        checkpoint: the file for the state of a paused training, which a later job resumes from;
            None: no state is kept.
        donor: the weights that a search evaluation begins with; None: fresh weights.
    """

    trial: int
    architecture: Architecture
    seed: int
    weights: str | None = None
    final: bool = False
    fidelity: float = 1.0
    checkpoint: str | None = None
    donor: Donor | None = None


class Executor(Protocol):
    """Runs jobs and returns their outcomes. As a context manager it closes itself."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job once, with its outcome, in the order in which they finish.

        If the iterator is closed early, running jobs are stopped.
        """
        ...

    def close(self) -> None:
        """Releases the resources of the executor. Calling it twice is allowed."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(self, *_: object) -> None: ...


def attempt(evaluator: Evaluator, job: Job) -> Outcome:
    """The outcome of the job. An `Exception` of the evaluator is returned as a `Failed`.

    The reason of the `Failed` names the line that raised. A result with a number that is not finite
    becomes a failure too (`not finite`), because the journal holds finite numbers only.
    """
    start = time.perf_counter()
    weights, checkpoint = (
        None if path is None else Path(path) for path in (job.weights, job.checkpoint)
    )
    try:
        if job.final:
            outcome = _checked(
                evaluator.finalize(job.architecture, seed=job.seed, weights=weights), FinalResult
            )
        else:
            # Only given where needed: some evaluators have no checkpoints, and only `train` has
            # donors.
            further: dict[str, Any] = {} if checkpoint is None else {"checkpoint": checkpoint}
            if job.donor is not None:
                further["donor"] = job.donor
            observed = evaluator.evaluate(
                job.architecture, seed=job.seed, weights=weights, fidelity=job.fidelity, **further
            )
            outcome = _checked(observed, Observation)
    except Exception as error:
        # Compared by name, so that torch need not be imported.
        memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        kind = "out of memory" if memory else DISK_FULL if disk_full(error) else "exception"
        seconds = time.perf_counter() - start
        return Failed(kind, _sentence(error), seconds, traceback.format_exc()[-_LONGEST_DETAIL:])
    return outcome


def _checked(outcome: object, expected: type[Observation] | type[FinalResult]) -> Outcome:
    """The outcome with Python's floats, or a failure if a number is not finite.

    An evaluator may return numbers of numpy or torch.
    """
    if isinstance(outcome, Failed):
        return outcome
    if not isinstance(outcome, expected):
        raise TypeError(
            f"the evaluator returned {type(outcome).__name__}, expected {expected.__name__} or "
            "Failed"
        )
    curve = tuple(float(value) for value in outcome.curve)
    if isinstance(outcome, Observation):
        metrics = tuple((str(name), float(value)) for name, value in outcome.metrics)
        plain = Observation(float(outcome.score), float(outcome.seconds), curve, metrics)
        named = [("score", plain.score), ("seconds", plain.seconds), *metrics]
    else:
        plain = FinalResult(
            float(outcome.validation), float(outcome.test), float(outcome.seconds), curve
        )
        named = [
            ("validation score", plain.validation),
            ("test score", plain.test),
            ("seconds", plain.seconds),
        ]
    named += [
        (f"validation score after epoch {epoch}", value)
        for epoch, value in enumerate(curve, start=1)
    ]
    for name, value in named:
        if not math.isfinite(value):
            seconds = plain.seconds if math.isfinite(plain.seconds) else 0.0
            return Failed(
                "not finite",
                f"the evaluation ended with the {name} {value}, expected a finite number; did "
                "the training diverge?",
                seconds,
            )
    return plain


def disk_full(error: BaseException) -> bool:
    """Whether the error means that no space is left on the disk.

    A library in another language may only give the operating system's words instead of its number.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)


def _sentence(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
