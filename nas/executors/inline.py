"""Runs jobs in this process, one after the other: for tables, tests and debuggers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nas.evaluators.evaluator import Evaluator
from nas.executors.attempt import Job, Outcome, attempt


class InlineExecutor:
    """Evaluates in this process, in the order of the jobs.

    The evaluator is made for the first job and kept until `close`.
    """

    def __init__(
        self, make_evaluator: Callable[[], Evaluator], time_limit: float | None = None
    ) -> None:
        """No evaluator is made yet.

        Args:
            make_evaluator: returns the evaluator.
            time_limit: must be None, because a job in this process cannot be stopped.

        Raises:
            ValueError: there is a time limit.
        """
        if time_limit is not None:
            raise ValueError(
                f"the inline executor cannot stop a trial, so a time limit ({time_limit} s) "
                "needs the process executor; choose it, or no limit"
            )
        self._make_evaluator = make_evaluator
        self._evaluator: Evaluator | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, in order. An exception of `make_evaluator` is not caught."""
        for job in jobs:
            if self._evaluator is None:
                self._evaluator = self._make_evaluator()
            yield job, attempt(self._evaluator, job)

    def close(self) -> None:
        """Drops the evaluator."""
        self._evaluator = None

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
