"""Shares of a computation are the same on one core, on many, and where forks fail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from torch import nn

from nas.evaluators.evaluator import Observation
from nas.record.history import EMPTY
from nas.strategies import SurrogateSearch, forks
from nas.strategies.forks import in_shares
from predictors import PREDICTORS
from spaces import Architecture, SearchSpace, Shapes
from tests.nas.strategies.test_surrogate import evaluated

PARENT = os.getpid()


def in_forks_only(action: Callable[[], object]) -> Callable[[int], int]:
    """A share that does something else in a fork than in the test's own process."""

    def share(number: int) -> int:
        if os.getpid() != PARENT:
            action()
        return number * number

    return share


@pytest.mark.parametrize("cores", [1, 2, 3, 9])
def test_the_shares_are_in_order(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_cores", lambda: cores)
    assert in_shares(lambda number: (number, "x" * number), 5) == [
        (number, "x" * number) for number in range(5)
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_shares_are_computed_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_cores", lambda: 3)
    processes = in_shares(lambda number: os.getpid(), 6)
    assert processes[0] == processes[3] == PARENT
    assert len(set(processes)) == 3


@pytest.mark.parametrize(
    "action",
    [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9), lambda: time.sleep(60), lambda: 1 / 0],
    ids=["ends", "is killed", "hangs", "fails"],
)
def test_a_fork_that_does_not_answer_is_replaced(
    action: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_cores", lambda: 2)
    monkeypatch.setattr(forks, "PATIENCE", 0.2)
    assert in_shares(in_forks_only(action), 4) == [0, 1, 4, 9]


def test_an_error_is_raised_and_no_process_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_cores", lambda: 3)
    started, fork = list[int](), os.fork

    def noted() -> int:
        started.append(fork())
        return started[-1]

    def share(number: int) -> int:
        raise ValueError(f"share {number}")

    monkeypatch.setattr(os, "fork", noted)
    with pytest.raises(ValueError, match="share 0"):
        in_shares(share, 4)
    assert len(started) == 2
    for process in started:
        with pytest.raises(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


def test_a_search_of_modules_does_not_depend_on_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def define(choose, shapes):
        widths = [choose.integer(f"width{place}", 1, 40) for place in range(3)]
        return nn.Sequential(
            nn.Linear(4, widths[0]),
            nn.Linear(widths[0], widths[1]),
            nn.Linear(widths[1], widths[2]),
            nn.Linear(widths[2], 2),
        )

    space = SearchSpace("chain", define, Shapes((4,), (2,)))
    strategy = SurrogateSearch(PREDICTORS["ridge"](), initial=4, candidates=40)
    found = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(forks, "_cores", lambda cores=cores: cores)
        history = evaluated_rounds(strategy, space)
        found.append([trial.architecture for trial in history.trials])
    assert found[0] == found[1] == found[2]


def total_width(architecture: Architecture) -> Observation:
    return Observation(float(sum(int(answer) for _, answer in architecture.decisions)))


def evaluated_rounds(strategy, space):
    history = EMPTY
    for _ in range(3):
        proposals = strategy.ask(space, history, 4, 0).proposals
        history = evaluated(history, proposals, total_width)
    return history
