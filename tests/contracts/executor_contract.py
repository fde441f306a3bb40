"""The contract of executors, as checks that the author of a plug-in can run.

A check calls `make()`, which returns a new executor of the evaluator `toy_evaluators.Scripted`. The
evaluator behaves as the decision `do` of the architecture says.

    @pytest.mark.parametrize("check", EXECUTOR_CONTRACT, ids=lambda check: check.__name__)
    def test_contract(check):
        check(make)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.executors import Executor, Job
from spaces import Architecture

Make = Callable[[], Executor]


def job(
    trial: int,
    do: str = "score",
    *,
    final: bool = False,
    weights: str | None = None,
    fidelity: float = 1.0,
) -> Job:
    return Job(
        trial,
        Architecture("toy", (("do", do), ("x", trial))),
        seed=1000 + trial,
        weights=weights,
        final=final,
        fidelity=fidelity,
    )


def every_job_comes_back_once_with_its_own_outcome(make: Make) -> None:
    jobs = [job(trial) for trial in range(7)]
    with make() as executor:
        done = dict(executor.run(jobs))
    assert set(done) == set(jobs)
    for item, outcome in done.items():
        assert isinstance(outcome, Observation)
        assert outcome.score == item.trial + item.seed / 10_000
        assert dict(outcome.metrics)["fidelity"] == 1.0


def what_the_job_says_reaches_the_evaluator(make: Make) -> None:
    with make() as executor:
        asked = job(3, fidelity=0.25, weights="somewhere/w.safetensors")
        ((_, outcome),) = executor.run([replace(asked, checkpoint="elsewhere/c.paused")])
    assert isinstance(outcome, Observation)
    assert dict(outcome.metrics) == {
        "fidelity": 0.25,
        "weights": float(len("w.safetensors")),
        "checkpoint": float(len("c.paused")),
    }


def finals_are_finalized(make: Make) -> None:
    with make() as executor:
        ((_, outcome),) = executor.run([job(2, final=True)])
    assert outcome == FinalResult(0.75, 0.5, 1.0, (0.25, 0.75))


def no_jobs_are_no_outcomes(make: Make) -> None:
    with make() as executor:
        assert list(executor.run([])) == []


def an_exception_is_a_failure_that_says_where(make: Make) -> None:
    jobs = [job(0, "raise"), job(1), job(2, "raise", final=True)]
    with make() as executor:
        done = {item.trial: outcome for item, outcome in executor.run(jobs)}
    for number in (0, 2):
        failure = done[number]
        assert isinstance(failure, Failed)
        assert failure.kind == "exception"
        assert failure.reason.startswith("RuntimeError: this architecture does not train (")
        assert "toy_evaluators.py:" in failure.reason
        assert "Traceback (most recent call last)" in failure.detail
    assert isinstance(done[1], Observation)


def failures_keep_their_kinds(make: Make) -> None:
    behaviours = {
        "memory": "out of memory",
        "cuda memory": "out of memory",
        "nan": "not finite",
        "curve": "not finite",
        "missing": "missing",
        "wrong": "exception",
    }
    jobs = [job(number, do) for number, do in enumerate(behaviours)]
    kinds = {}
    with make() as executor:
        for item, outcome in executor.run(jobs):
            assert isinstance(outcome, Failed)
            kinds[item.architecture.answers["do"]] = outcome.kind
    assert kinds == behaviours


def numbers_come_back_as_plain_floats(make: Make) -> None:
    with make() as executor:
        ((_, outcome),) = executor.run([job(1, "numpy")])
    assert isinstance(outcome, Observation)
    numbers = (outcome.score, outcome.seconds, *outcome.curve, *dict(outcome.metrics).values())
    assert [type(number) for number in numbers] == [float] * 5


def runs_follow_each_other(make: Make) -> None:
    with make() as executor:
        for first in (0, 10, 20):
            done = [item.trial for item, _ in executor.run([job(first), job(first + 1)])]
            assert sorted(done) == [first, first + 1]


def a_run_left_early_does_not_disturb_the_next(make: Make) -> None:
    with make() as executor:
        iterator = iter(executor.run([job(trial, "pause") for trial in range(4)]))
        next(iterator)
        iterator.close()  # pyright: ignore[reportAttributeAccessIssue]
        ((item, outcome),) = executor.run([job(9)])
    assert item.trial == 9
    assert isinstance(outcome, Observation)


def closing_twice_is_allowed(make: Make) -> None:
    executor = make()
    executor.close()
    executor.close()


EXECUTOR_CONTRACT: tuple[Callable[[Make], None], ...] = (
    every_job_comes_back_once_with_its_own_outcome,
    what_the_job_says_reaches_the_evaluator,
    finals_are_finalized,
    no_jobs_are_no_outcomes,
    an_exception_is_a_failure_that_says_where,
    failures_keep_their_kinds,
    numbers_come_back_as_plain_floats,
    runs_follow_each_other,
    a_run_left_early_does_not_disturb_the_next,
    closing_twice_is_allowed,
)
