"""One job and what comes of it: here, and nowhere else, an exception becomes a `Failed`."""

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

# The one failure that says nothing of the architecture: a run stops with it and journals nothing,
# so that the trial is made again.
DISK_FULL = "disk full"

# A traceback goes into the journal, so one of a deep recursion is cut; its end says most.
_LONGEST_DETAIL = 20_000


@dataclass(frozen=True)
class Job:
    """One evaluation that is to be made.

    Attributes:
        trial: the number of the trial; with `seed` and `final` it names the job.
        architecture: what is evaluated.
        seed: what the evaluation draws from.
        weights: the file that the trained weights go to; None keeps none.
        final: a full training with a test score (`Evaluator.finalize`), not a search evaluation.
        fidelity: the share of a search evaluation's epochs, 0 to 1.
        checkpoint: the file that a training of fewer epochs is paused in, and goes on from; None:
            nowhere.
        donor: whose weights a search evaluation begins with; None: nobody's.
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
    """Runs jobs, somewhere. A context manager that closes itself."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Every job once with its outcome, as each is finished. Work that is under way stops when
        the iterator is closed early.
        """
        ...

    def close(self) -> None:
        """Ends what the executor holds. Calling it twice is allowed."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(self, *_: object) -> None: ...


def attempt(evaluator: Evaluator, job: Job) -> Outcome:
    """What the evaluator makes of the job. Never raises an `Exception`: it becomes a `Failed` that
    says where it came from.

    A result with a number that is not finite is a failure too (`not finite`), as the journal takes
    finite numbers only.
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
            # An evaluator that knows no pauses is never asked for one, and only `train` for a start
            # with a donor's weights.
            further: dict[str, Any] = {} if checkpoint is None else {"checkpoint": checkpoint}
            if job.donor is not None:
                further["donor"] = job.donor
            observed = evaluator.evaluate(
                job.architecture, seed=job.seed, weights=weights, fidelity=job.fidelity, **further
            )
            outcome = _checked(observed, Observation)
    except Exception as error:
        # torch's own error has this name; torch is not imported to ask.
        memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        kind = "out of memory" if memory else DISK_FULL if disk_full(error) else "exception"
        return Failed(
            kind,
            _sentence(error),
            time.perf_counter() - start,
            traceback.format_exc()[-_LONGEST_DETAIL:],
        )
    return outcome


def _checked(outcome: object, expected: type[Observation] | type[FinalResult]) -> Outcome:
    """The outcome with plain finite floats (an evaluator may give numpy's or torch's), or the
    failure that it is.
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
    """Whether the error says that no space is left, in the operating system's number or, from a
    library in another language, in words.
    """
    return (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    ) or "No space left on device" in str(error)


def _sentence(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
