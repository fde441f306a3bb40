"""Rules that end a search: on made-up histories, on the shipped table, and after a kill."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.config.arms import budget_of
from nas.config.loading import parse_config
from nas.config.plan import plan_of
from nas.config.sections import ConfigError, RunConfig
from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.objective import SCORE, Objective
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import History
from nas.record.journal import Event, open_for_reading
from nas.record.journal_file import FILE
from nas.record.trials import Trial
from nas.search.run import resume, start
from nas.search.stopping import evaluations_since_better, reason_to_stop
from spaces import Architecture

TABLE = {
    "name": "table",
    "path": "builtin:nasbench201",
    "score": "c100_val_200",
    "test": "c100_test_200",
}


class Killed(Exception):
    """Stands for the death of the process."""


def config_of(stop: dict[str, float], **changes: object) -> RunConfig:
    values = {
        "space": "nasbench201",
        "evaluator": TABLE,
        "strategy": "evolution",
        "executor": "inline",
        "budget": 80,
        "batch": 4,
    }
    return parse_config({**values, "stop": stop, **changes}, "the test's configuration")


def quiet(history: History, events: object) -> None:
    """Watches and prints nothing."""


def never() -> float:
    raise AssertionError("no rule needs the time")


def arm_of(*scores: float | None, costs: tuple[float, ...] = ()) -> History:
    trials = [
        Trial(
            place, 0, "search", Architecture("toy", (("op", "x"),)), "random", None, str(place), 7
        )
        for place in range(len(scores))
    ]
    ends = [
        outcome_event(
            place,
            Failed("exception", "no")
            if score is None
            else Observation(score, metrics=(("cost", costs[place]),) if costs else ()),
        )
        for place, score in enumerate(scores)
    ]
    return fold([round_event(0, "search", trials), *ends])


def test_stale_counts_evaluations_since_the_best_failures_too() -> None:
    assert evaluations_since_better(arm_of(0.1, 0.5, 0.5, None, 0.2), [SCORE]) == 3
    assert evaluations_since_better(arm_of(0.1, 0.5), [SCORE]) == 0
    arm = arm_of(0.1, 0.5, 0.5, None, 0.2)
    assert (
        reason_to_stop(arm, plan_of(config_of({"stale": 3})), never)
        == "no better score in 3 evaluations"
    )
    assert reason_to_stop(arm, plan_of(config_of({"stale": 4})), never) is None
    assert reason_to_stop(arm_of(None, None, None), plan_of(config_of({"stale": 3})), never) is None


def test_with_several_objectives_stale_counts_since_the_front_changed() -> None:
    both = [SCORE, Objective("cost", "minimise")]
    # The third is on the front, the fourth equals it, the fifth is dominated.
    arm = arm_of(0.5, 0.4, 0.3, 0.3, 0.2, costs=(5.0, 6.0, 1.0, 1.0, 2.0))
    assert evaluations_since_better(arm, both) == 2
    assert evaluations_since_better(arm, [SCORE]) == 4
    config = config_of(
        {"stale": 2},
        strategy="nsga2",
        objectives=[{"name": "score"}, {"name": "cost", "goal": "minimise"}],
    )
    assert reason_to_stop(arm, plan_of(config), never) == "no change of the front in 2 evaluations"


def test_hours_are_those_of_the_running_clock() -> None:
    config = config_of({"hours": 2})
    assert reason_to_stop(arm_of(0.1), plan_of(config), lambda: 7199.0) is None
    assert (
        reason_to_stop(arm_of(0.1), plan_of(config), lambda: 7200.0)
        == "the search has run for 2 hours"
    )
    assert (
        reason_to_stop(arm_of(0.1), plan_of(config_of({"hours": 1})), lambda: 7200.0)
        == "the search has run for 1 hour"
    )


def test_gain_asks_what_the_rest_of_the_budget_would_bring() -> None:
    risen = arm_of(*(0.1 * place for place in range(12)))
    assert reason_to_stop(risen, plan_of(config_of({"gain": 1e-4})), never) is None
    said = reason_to_stop(risen, plan_of(config_of({"gain": 100})), never)
    assert said is not None
    assert said.startswith("the rest of the budget is expected to bring +")
    assert said.endswith(", less than 100")
    # Too few evaluations to judge.
    assert reason_to_stop(arm_of(0.1, 0.1), plan_of(config_of({"gain": 100})), never) is None


@pytest.mark.parametrize(
    "stop", [{"hour": 3}, {"stale": 0}, {"gain": -1}, {"hours": 0}, {"stale": 2.5}]
)
def test_wrong_rules_are_refused(stop: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="stop"):
        config_of(stop)


def test_gain_is_refused_for_several_objectives() -> None:
    with pytest.raises(ConfigError, match=r"stop\.gain is about the score alone"):
        config_of(
            {"gain": 1},
            strategy="nsga2",
            objectives=[{"name": "score"}, {"name": "seconds", "goal": "minimise"}],
        )


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ({"stale": 12}, r"no better score in (1[2-5]) evaluations"),
        ({"gain": 1.0}, r"the rest of the budget is expected to bring \+0\.\d+, less than 1"),
        ({"hours": 1e-9}, r"the search has run for 1e-09 hours"),
    ],
)
def test_a_rule_ends_the_search_and_the_baseline_gets_as_many(
    stop: dict[str, float], reason: str, tmp_path: Path
) -> None:
    config = config_of(stop)
    history = start(config, tmp_path / "run", quiet)
    search, random = history.of_arm("search"), history.of_arm("random")
    assert history.finished is not None
    assert re.fullmatch(reason, history.finished), history.finished
    assert 4 <= len(search.trials) == len(random.trials) < 80
    assert budget_of("random", history, 80, may_stop=True) == len(search.trials)
    assert len(search.finalists) == len(random.finalists) == 3
    assert len(history.finals) == 6


def test_without_rules_nothing_changes(tmp_path: Path) -> None:
    history = start(config_of({}, budget=24), tmp_path / "run", quiet)
    far = start(config_of({"stale": 1000, "hours": 1000}, budget=24), tmp_path / "far", quiet)
    assert history == far
    assert history.finished == "the budget is used"
    assert budget_of("random", History(), 80, may_stop=plan_of(config_of({})).may_stop) == 80


def events_of(directory: Path) -> tuple[Event, ...]:
    with open_for_reading(directory) as journal:
        return journal.events()


def killed_after(number: int) -> Callable[[History, tuple[Event, ...]], None]:
    left = [number]

    def watch(history: History, events: tuple[Event, ...]) -> None:
        left[0] -= len(events)
        if left[0] <= 0:
            raise Killed

    return watch


@pytest.mark.parametrize("stop", [{"stale": 10}, {"gain": 1.0}])
def test_a_killed_run_stops_where_the_whole_one_does(
    stop: dict[str, float], tmp_path: Path
) -> None:
    config = config_of(stop)
    whole = start(config, tmp_path / "whole", quiet)
    count, last = len(events_of(tmp_path / "whole")), len(whole.of_arm("search").trials)
    # Kills in the search, at its end, in the baseline and during the full trainings.
    for moment in (7, last + last // 2, last + last // 2 + 1, last + last // 2 + 9, count - 1):
        run = tmp_path / f"killed-{moment}"
        with pytest.raises(Killed):
            start(config, run, killed_after(moment))
        with pytest.raises(Killed):
            resume(run, killed_after(3 if moment < count - 1 else 2))
        assert resume(run, quiet) == whole


def test_hours_come_from_the_journal_not_from_the_process(tmp_path: Path) -> None:
    """For `hours` neither the clock of a new process nor the time without a process counts."""
    config = config_of({"hours": 5}, budget=24)
    with pytest.raises(Killed):
        start(config, tmp_path / "run", killed_after(24))
    # A day has passed since the kill.
    connection = sqlite3.connect(tmp_path / "run" / FILE)
    with connection:
        connection.execute("UPDATE events SET time = time - 86400")
    connection.close()
    assert resume(tmp_path / "run", quiet).finished == "the budget is used"
    # With six hours between its first two events, another run ends after the first round in every
    # process.
    with pytest.raises(Killed):
        start(config, tmp_path / "slow", killed_after(6))
    connection = sqlite3.connect(tmp_path / "slow" / FILE)
    with connection:
        connection.execute("UPDATE events SET time = time - 21600 WHERE number = 1")
    connection.close()
    history = resume(tmp_path / "slow", quiet)
    assert history.finished == "the search has run for 5 hours"
    assert len(history.of_arm("search").trials) == len(history.of_arm("random").trials) == 4
