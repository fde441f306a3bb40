"""Forecasts of a run's gain and duration, on made-up journals and in the output of a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.config.loading import parse_config
from nas.config.plan import plan_of
from nas.config.sections import RunConfig
from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.record.events import (
    final_event,
    finalist_event,
    outcome_event,
    resumed_event,
    round_end_event,
    round_event,
)
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.record.journal import Event, open_for_reading
from nas.record.trials import Final, Finalist, Trial
from nas.report import summarize, terminal_summary
from nas.report.outlook import outlook, time_range
from nas.search.durations import (
    Pace,
    pace_of,
    running_clock,
    search_seconds,
    side_by_side,
    total,
    trained,
)
from nas.search.durations import measured_rounds as rounds_of
from nas.search.expected_gain import LEAST, gain_ahead, gain_of
from nas.search.forecast import forecast
from nas.search.run import start
from spaces import Architecture

SCORES = st.lists(
    st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 6)),
    min_size=2,
    max_size=80,
)
GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def config_of(**changes: object) -> RunConfig:
    values = {
        "space": "nasbench201",
        "task": "digits",
        "budget": 12,
        "batch": 4,
        "training": {"epochs": 2},
        "baseline": "none",
        **changes,
    }
    return parse_config(
        {"finalists": {"count": 2, "seeds": 2, "epochs": 6}, "executor": {"workers": 2}, **values},
        "the test's configuration",
    )


class Script:
    """A made-up journal with its clock."""

    def __init__(self) -> None:
        self.now, self.events, self.count, self.rounds = 1000.0, list[Event](), 0, dict[str, int]()

    def add(self, event: Event, after: float = 0.0) -> None:
        self.now += after
        self.events.append(replace(event, number=len(self.events) + 1, time=self.now))

    def round(
        self,
        arm: str,
        scores: list[float],
        *,
        thinking: float,
        wall: float,
        seconds: float = 10.0,
        origin: str = "mutation",
        keys: str = "",
    ) -> None:
        """The trainings end together after `wall` seconds."""
        number = self.rounds[arm] = self.rounds.get(arm, -1) + 1
        architecture = Architecture("toy", (("op", "x"),))
        trials = [
            Trial(
                self.count + place,
                number,
                arm,
                architecture,
                origin,
                None,
                f"{keys or arm}-{number}-{place}",
                7,
            )
            for place in range(len(scores))
        ]
        self.count += len(scores)
        self.add(round_event(number, arm, trials), thinking)
        for place, (trial, score) in enumerate(zip(trials, scores, strict=True)):
            self.add(
                outcome_event(trial.number, Observation(score, seconds)),
                wall if place == 0 else 0.0,
            )
        self.add(round_end_event(number, arm, {"predicted": 0}))

    @property
    def history(self) -> History:
        return fold(self.events)


def told(script: Script, config: RunConfig):
    ahead = forecast(script.events, script.history, plan_of(config))
    assert ahead is not None
    return ahead


@given(SCORES, st.integers(0, 500))
def test_a_gain_is_never_negative_and_its_interval_is_ordered(
    scores: list[float], further: int
) -> None:
    gain = gain_of(scores, further)
    assert gain.mean >= 0
    assert 0 <= gain.low <= gain.high
    assert 0 <= gain.probability < 1
    assert further or gain == gain_of(scores, 0)


@given(SCORES, st.integers(0, 300), st.integers(1, 300))
def test_more_budget_never_promises_less(scores: list[float], further: int, more: int) -> None:
    less, much = gain_of(scores, further), gain_of(scores, further + more)
    for name in ("mean", "low", "high", "probability"):
        assert getattr(much, name) >= getattr(less, name) * (1 - 1e-9)


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=60),
    st.integers(1, 100),
    st.floats(0.01, 100),
    st.floats(-10, 10),
)
def test_the_unit_of_the_score_does_not_matter(
    scores: list[int], further: int, unit: float, origin: float
) -> None:
    plain, scaled = (
        gain_of(scores, further),
        gain_of([unit * score + origin for score in scores], further),
    )
    assert scaled.mean == pytest.approx(unit * plain.mean, rel=1e-6, abs=1e-6 * unit)
    assert scaled.high == pytest.approx(unit * plain.high, rel=1e-6, abs=1e-6 * unit)


def test_gains_that_are_known_by_hand() -> None:
    assert gain_of([0.5] * 20, 100).mean == 0
    assert gain_of(range(20), 0).mean == 0
    # Without an improvement in the second half: a = 1.5, c = 1 + ln 2, L = ln 2.
    scores = [0.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    gain = gain_of(scores, 8)
    assert gain.probability == pytest.approx(1 - (1.693147 / 2.386294) ** 1.5, rel=1e-5)
    # The one improvement was of 1, the best quarter spreads by (1.0 + 0.5) / 2 - 0.5 = 0.25, so one
    # is expected to be 0.35 * 0.5.
    assert gain.mean == pytest.approx(0.35 * 0.5 * 1.5 * 0.693147 / 1.693147, rel=1e-5)
    assert gain.low == 0 < gain.mean < gain.high


def test_a_search_that_has_just_improved_has_more_ahead_than_one_that_stands_still() -> None:
    still = [0.0, 0.3, 0.6, 0.9, 0.5, 0.5, 0.5, 0.4, 0.5, 0.4]
    rising = [0.5, 0.5, 0.5, 0.4, 0.5, 0.4, 0.0, 0.6, 0.8, 0.9]
    assert gain_of(rising, 10).probability > gain_of(still, 10).probability


def test_few_scores_tell_nothing_and_failures_count_as_budget() -> None:
    script = Script()
    script.round("search", [0.1 * place for place in range(LEAST - 1)], thinking=1, wall=10)
    assert gain_ahead(script.history, 10) is None
    script.round("search", [0.5], thinking=1, wall=10)
    whole = gain_ahead(script.history, 10)
    trials = [
        Trial(
            100 + place,
            2,
            "search",
            Architecture("toy", (("op", "x"),)),
            "random",
            None,
            f"f{place}",
            7,
        )
        for place in range(LEAST)
    ]
    script.add(round_event(2, "search", trials))
    for trial in trials:
        script.add(outcome_event(trial.number, Failed("exception", "no")))
    failing = gain_ahead(script.history, 10)
    assert whole is not None
    assert failing is not None
    assert failing.evaluations == 10
    assert failing.mean == pytest.approx(
        gain_of([trial.score for trial in script.history.observed], 5).mean
    )
    assert failing.mean < whole.mean


def test_the_time_between_a_death_and_its_resume_does_not_count() -> None:
    script = Script()
    script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=5, wall=20)
    script.add(resumed_event(), 5000.0)
    script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=5, wall=20)
    assert running_clock(script.events)[-1] == 45
    assert search_seconds(script.events, "search") == 45
    script.add(resumed_event(), 5000.0)
    script.round("random", [0.1], thinking=1, wall=100)
    assert search_seconds(script.events, "search") == 45
    assert running_clock([]) == ()


def test_time_left_of_a_steady_run() -> None:
    """The time forecast with two workers.

    An evaluation takes 10 s, so a round of four takes 20 s after 5 s of thinking. Full trainings
    take three times as long.
    """
    script = Script()
    config = config_of()
    assert told(script, config).seconds is None
    for _ in range(2):
        script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=5, wall=20)
    assert side_by_side(rounds_of(script.events, script.history), script.history) == 2
    # 4 evaluations in 20 s, 5 s of thinking, 4 full trainings of 30 s by two workers.
    left = told(script, config)
    assert left.evaluations == 4
    assert left.seconds is not None
    assert left.seconds.mean == pytest.approx(20 + 5 + 60)
    assert 60 < left.seconds.low < left.seconds.mean < left.seconds.high < 120
    script.round("search", [0.1, 0.2, 0.3, 0.5], thinking=5, wall=20)
    left = told(script, config)
    assert (left.evaluations, left.gain) == (0, None)
    assert left.seconds is not None
    assert left.seconds.mean == pytest.approx(60)


def test_a_round_under_way_counts_what_is_pending_and_a_finished_run_has_nothing_ahead() -> None:
    script = Script()
    script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=5, wall=20)
    trials = [
        Trial(
            10 + place,
            1,
            "search",
            Architecture("toy", (("op", "x"),)),
            "mutation",
            None,
            f"p{place}",
            7,
        )
        for place in range(4)
    ]
    script.add(round_event(1, "search", trials), 5)
    assert told(script, config_of()).evaluations == 8
    script.add(Event("finished", {"reason": "the budget is used"}))
    assert forecast(script.events, script.history, plan_of(config_of())) is None


def test_what_the_baseline_takes_over_costs_nothing() -> None:
    script, config = Script(), config_of(baseline="random", finalists={"count": 0})
    script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=0, wall=20, origin="random", keys="same")
    for _ in range(2):
        script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=0, wall=20)
    left = told(script, config)
    assert left.seconds is not None
    # The search's first four are random draws, which the baseline shares; eight of 5 s are left.
    assert left.seconds.mean == pytest.approx(8 * 5)
    script.round("random", [0.1, 0.2, 0.3, 0.4], thinking=0, wall=0, keys="same")
    assert trained(script.history) == set(range(12))
    left = told(script, config)
    assert left.seconds is not None
    assert left.seconds.mean == pytest.approx(8 * 5)


def test_the_baseline_is_as_slow_as_what_is_drawn_at_random() -> None:
    script, config = Script(), config_of(baseline="random", finalists={"count": 0})
    script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=0, wall=30, origin="random", keys="same")
    for _ in range(2):
        script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=0, wall=80, seconds=40.0)
    left = told(script, config)
    assert left.seconds is not None
    # A network of the search now takes 20 s of the two workers, a random one a quarter of that.
    # The start of the workers does not count.
    assert left.seconds.mean == pytest.approx(8 * 5)


def test_finalists_that_are_trained_tell_what_the_others_take() -> None:
    script, config = Script(), config_of(budget=4)
    script.round("search", [0.1, 0.2, 0.3, 0.4], thinking=0, wall=20)
    script.add(finalist_event(Finalist(3, 1, "search")))
    script.add(finalist_event(Finalist(2, 2, "search")))
    script.add(final_event(Final(3, 90, FinalResult(0.4, 0.4, 100.0))), 100)
    script.add(final_event(Final(3, 91, FinalResult(0.4, 0.4, 100.0))))
    left = told(script, config)
    assert left.seconds is not None
    assert left.seconds.mean == pytest.approx(100)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e3), st.floats(0.01, 1e4), st.floats(0, 1e4), st.integers(0, 50)),
        max_size=5,
    )
)
def test_an_interval_of_time_is_ordered_and_positive(
    parts: list[tuple[float, float, float, int]],
) -> None:
    work = [(pieces, Pace(mean, deviation, count)) for pieces, mean, deviation, count in parts]
    summed = total(work)
    assert 0 <= summed.low <= summed.mean <= summed.high
    assert summed.mean == pytest.approx(sum(pieces * pace.mean for pieces, pace in work))


def test_more_measurements_narrow_the_interval() -> None:
    few, many = total([(100, pace_of([8.0, 12.0]))]), total([(100, pace_of([8.0, 12.0] * 50))])
    assert few.high - few.low > many.high - many.low


def test_the_sentence() -> None:
    ahead = {
        "seconds": {"mean": 34 * 60, "low": 27 * 60, "high": 45 * 60},
        "gain": {"mean": 0.0021, "low": 0.0, "high": 0.006},
        "stopped": None,
    }
    assert (
        outlook(ahead, 4)
        == "about 34 min left (27 to 45); going on is expected to bring +0.0021 (90 %: 0 to 0.0060)"
    )
    assert outlook(
        {"seconds": None, "gain": None, "stopped": "no better score in 20 evaluations"}, 4
    ) == ("the search has ended: no better score in 20 evaluations")
    assert outlook({"seconds": None, "gain": None, "stopped": None}, 4) == ""
    assert (
        time_range({"mean": 7200, "low": 3000, "high": 90000}) == "2 h 00 min (50 min to 1 d 01 h)"
    )


def test_a_run_says_at_every_moment_what_is_ahead(tmp_path: Path) -> None:
    section = {
        "name": "table",
        "path": "builtin:nasbench201",
        "score": "c100_val_200",
        "test": "c100_test_200",
    }
    config = parse_config(
        {
            "space": "nasbench201",
            "evaluator": section,
            "strategy": "evolution",
            "executor": "inline",
            "budget": 24,
        },
        "test",
    )
    start(config, tmp_path / "run", lambda history, events: None)
    with open_for_reading(tmp_path / "run") as journal:
        events = journal.events()
    history, shown = EMPTY, set[bool]()
    for place, event in enumerate(events):
        history = fold([event], history)
        summary = summarize(history, config, events[: place + 1])
        json.dumps(summary, allow_nan=False)
        assert (summary["forecast"] is None) == (event.kind == "finished")
        shown.add("expected to bring +" in terminal_summary(summary))
    assert shown == {True, False}


def test_the_journal_of_an_old_run_has_a_forecast(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "journal_v1.sqlite", tmp_path / "journal.sqlite")
    with open_for_reading(tmp_path) as journal:
        events = journal.events()
    assert forecast(events, fold(events), plan_of(config_of())) is None
    # Its arms have other names than those of the plan.
    open_ = tuple(event for event in events if event.kind != "finished")
    other = forecast(open_, fold(open_), plan_of(config_of()))
    assert other is not None
    assert other.seconds is None
    named = tuple(
        replace(event, body={**event.body, "arm": "search"}) if "arm" in event.body else event
        for event in open_
    )
    ahead = forecast(named, fold(named), plan_of(config_of()))
    assert ahead is not None
    assert ahead.seconds is not None
    assert ahead.gain is None
