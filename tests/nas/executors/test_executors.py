"""Executors keep the contract, and outlive workers that crash, hang or cannot start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.evaluators.evaluator import Failed, Observation
from nas.executors import InlineExecutor, Job, Outcome, ProcessExecutor, WorkerError, attempt
from tests.contracts.executor_contract import EXECUTOR_CONTRACT, job
from tests.nas.executors import toy_evaluators

FACTORY = "tests.nas.executors.toy_evaluators:scripted"


def inline() -> InlineExecutor:
    return InlineExecutor(lambda: toy_evaluators.scripted({}, "cpu"))


def process() -> ProcessExecutor:
    return ProcessExecutor(FACTORY, {}, ["cpu", "cpu"])


@pytest.fixture(scope="module")
def one_worker() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(FACTORY, {}, ["cpu"]) as executor:
        yield executor


def by_trial(executor: ProcessExecutor, jobs: list[Job]) -> dict[int, Outcome]:
    return {item.trial: outcome for item, outcome in executor.run(jobs)}


@pytest.mark.parametrize("check", EXECUTOR_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", [inline, process], ids=["inline", "process"])
def test_contract(make, check):
    check(make)


def test_inline_runs_in_order_and_refuses_a_time_limit():
    with inline() as executor:
        assert [item.trial for item, _ in executor.run([job(3), job(1), job(2)])] == [3, 1, 2]
    with pytest.raises(ValueError, match="cannot stop a trial, so a time limit"):
        InlineExecutor(lambda: toy_evaluators.scripted({}, "cpu"), time_limit=5.0)


def test_ctrl_c_passes_through_an_attempt():
    class Interrupted(toy_evaluators.Scripted):
        def behave(self, do):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(Interrupted({}, "cpu"), job(0))


def test_a_long_traceback_is_cut():
    class Deep(toy_evaluators.Scripted):
        def behave(self, do):
            raise ValueError("x" * 100_000 + "end")

    failure = attempt(Deep({}, "cpu"), job(0))
    assert isinstance(failure, Failed)
    assert len(failure.detail) == 20_000
    assert failure.detail.rstrip().endswith("end")


@pytest.mark.parametrize(
    ("do", "sentence"),
    [
        ("kill -9", "was ended by signal 9 .*run out of memory"),
        ("segmentation fault", "was ended by signal 11"),
        ("exit", "exited with status 3"),
        ("polite exit", "exited with status 1"),
        ("fork and die", "was ended by signal 9"),
    ],
)
def test_a_worker_that_dies_costs_one_trial(one_worker, do, sentence):
    done = by_trial(one_worker, [job(0), job(1, do), job(2)])
    failure = done[1]
    assert isinstance(failure, Failed)
    assert failure.kind == "killed"
    assert re.search(sentence, failure.reason)
    assert isinstance(done[0], Observation)
    assert isinstance(done[2], Observation)


def test_a_trial_over_its_time_is_stopped_with_what_it_started():
    with ProcessExecutor(FACTORY, {}, ["cpu", "cpu"], time_limits=(0.5, 60.0)) as executor:
        done = by_trial(executor, [job(0, "sleep"), job(1, "sleep with a child"), job(2), job(3)])
    for number in (0, 1):
        failure = done[number]
        assert isinstance(failure, Failed)
        assert failure.kind == "time-out"
        assert "time limit of 0.5 s" in failure.reason
        assert failure.seconds >= 0.5
    assert isinstance(done[2], Observation)
    assert isinstance(done[3], Observation)


def test_workers_stay_warm_between_runs_and_compute_with_the_threads_asked_for():
    with ProcessExecutor(FACTORY, {}, ["cpu"], threads=3) as executor:
        (_, first), (_, second) = executor.run([job(0, "who"), job(1, "who")])
        ((_, third),) = executor.run([job(2, "who")])
    for calls, outcome in enumerate((first, second, third), start=1):
        assert isinstance(outcome, Observation)
        assert outcome.score == first.score != os.getpid()  # pyright: ignore[reportAttributeAccessIssue]
        assert dict(outcome.metrics) == {"calls": calls, "threads": 3.0}


def test_each_worker_has_its_device_and_the_settings():
    with ProcessExecutor(FACTORY, {"number": 0.1 + 0.2}, ["toy:0", "toy:1"]) as executor:
        jobs = [job(number, "device") for number in range(2)]
        outcomes = [outcome for _, outcome in executor.run(jobs)]
    observed = [outcome for outcome in outcomes if isinstance(outcome, Observation)]
    assert len(observed) == len(outcomes) == 2
    assert {outcome.score for outcome in observed} == {0.0, 1.0}
    assert all(dict(outcome.metrics)["setting"] == 0.1 + 0.2 for outcome in observed)


def test_big_outcomes_and_much_output_do_not_block(capfd):
    with ProcessExecutor(FACTORY, {}, ["cpu"]) as executor:
        done = by_trial(executor, [job(0, "big"), job(1, "print"), job(2, "big")])
    assert all(isinstance(outcome, Observation) for outcome in done.values())
    assert len(done[2].curve) == 300_000  # pyright: ignore[reportAttributeAccessIssue]
    output = capfd.readouterr()
    assert (output.out.count("x"), output.err.count("y")) == (300_000, 300_000)


def test_a_worker_that_dies_idle_is_replaced(one_worker):
    assert isinstance(by_trial(one_worker, [job(0, "die later")])[0], Observation)
    worker = one_worker._workers[0]
    assert worker is not None
    worker.process.wait(10)
    assert isinstance(by_trial(one_worker, [job(1)])[1], Observation)


def test_a_device_error_gives_the_next_trial_a_fresh_worker(one_worker):
    done = by_trial(one_worker, [job(0, "who"), job(1, "cuda error"), job(2, "who")])
    assert isinstance(done[1], Failed)
    assert done[0].score != done[2].score  # pyright: ignore[reportAttributeAccessIssue]


def test_ctrl_c_does_not_reach_a_trial(one_worker):
    assert isinstance(by_trial(one_worker, [job(0, "interrupt")])[0], Observation)


def test_a_factory_that_fails_ends_the_run_with_its_sentence_and_traceback():
    with (
        ProcessExecutor(
            "tests.nas.executors.toy_evaluators:failing", {"path": "cifar.npz"}, ["cpu", "cpu"]
        ) as executor,
        pytest.raises(
            WorkerError,
            match=r"ValueError: the data file cifar.npz is missing; download it first\n\nTraceback",
        ) as caught,
    ):
        list(executor.run([job(0), job(1), job(2)]))
    assert "toy_evaluators.py" in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("tests.nas.executors.toy_evaluators:dying", "died while it started: exited with status 7"),
        ("tests.nas.executors.toy_evaluators:absent", "has no function 'absent'"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("scripted", "\"module:function\"; got 'scripted'"),
    ],
)
def test_a_worker_that_cannot_start_is_an_error_with_its_reason(factory, sentence):
    with ProcessExecutor(factory, {}, ["cpu"]) as executor, pytest.raises(WorkerError) as caught:
        list(executor.run([job(0)]))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"devices": []}, "at least one device"),
        ({"time_limits": (0.0, 1.0)}, "positive numbers of seconds"),
        ({"threads": 0}, "at least one thread"),
        ({"settings": {"a": object()}}, "travel to the workers as JSON"),
    ],
)
def test_arguments_are_checked(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ProcessExecutor(**{"factory": FACTORY, "settings": {}, **arguments})


def test_one_run_at_a_time():
    with process() as executor:
        iterator = executor.run([job(number, "pause") for number in range(4)])
        next(iterator)
        with pytest.raises(ValueError, match="is running jobs already"):
            next(executor.run([job(9)]))
        assert len(list(iterator)) == 3


# This program is run by `python -c`. Its main module has no guard, and the workers inherit its
# standard output.
PARENT = """
import sys
from tests.contracts.executor_contract import job
from nas.executors import ProcessExecutor
executor = ProcessExecutor("tests.nas.executors.toy_evaluators:scripted", {}, ["cpu", "cpu"])
done = executor.run([job(0), job(1, "sleep with a child"), job(2, "sleep")])
print(next(done)[0].trial, flush=True)
if sys.argv[1] == "leave":
    sys.exit()
next(done)
"""


@pytest.mark.parametrize("end", ["kill", "interrupt", "leave"])
def test_workers_end_with_their_parent(end):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"0\n"
    if end != "leave":
        # Usually a trial has begun by then. The test also holds if it has not.
        time.sleep(0.3)
        parent.send_signal(signal.SIGKILL if end == "kill" else signal.SIGINT)
    # Its output ends when the last process that inherited it has ended.
    output, _ = parent.communicate(timeout=10)
    assert output == b""
    assert (parent.returncode == 0) is (end == "leave")
