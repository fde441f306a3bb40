"""What a run is likely to bring and to take: how far its best score will rise in the evaluations
that are left, and for how long it goes on.

Pure functions of the history, the events' times and the configuration. What a score is likely to do
is in `nas.search.expected_gain`, sums of time in `nas.search.durations`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.config.compose import final_count, final_recipe
from nas.config.config import RunConfig, TableSection
from nas.evaluators.evaluator import FinalResult
from nas.objectives.constraints import feasible
from nas.record.arms import BASELINE, SEARCH
from nas.record.history import History
from nas.record.journal import Event
from nas.search.durations import (
    Measured,
    Pace,
    Range,
    evaluation_pace,
    measured_rounds,
    pace_of,
    search_seconds,
    side_by_side,
    total,
)
from nas.search.expected_gain import Gain, evaluations_left, gain_ahead
from nas.search.stopping import budget_of, reason_to_stop

# How far a finalist's full training may lie off the search's trainings times the epochs, before one
# was seen.
UNSEEN = 0.15


@dataclass(frozen=True)
class Forecast:
    """What is ahead of a run.

    Attributes:
        seconds: of wall clock until the run is finished; None before an evaluation has ended.
        evaluations: that the search has left; 0 when it is over.
        gain: what these bring; None where there are too few scores.
        gains: the same for fewer evaluations, a batch and on.
        stopped: the rule that has ended the search, as a sentence.
    """

    seconds: Range | None
    evaluations: int
    gain: Gain | None
    gains: tuple[Gain, ...] = ()
    stopped: str | None = None


def forecast(events: Sequence[Event], history: History, config: RunConfig) -> Forecast | None:
    """What is ahead of the run that these are the events and the history of; None for a finished
    one.
    """
    if history.finished is not None:
        return None
    arm = feasible(history.of_arm(SEARCH), config.constraints)
    between = not arm.pending and bool(arm.trials) and evaluations_left(arm, config.budget) > 0
    stopped = (
        reason_to_stop(arm, config, lambda: search_seconds(events, SEARCH)) if between else None
    )
    over = (
        stopped is not None
        or (not evaluations_left(arm, config.budget) and not arm.pending)
        or any(trial.arm != SEARCH for trial in history.trials)
    )
    left = (
        0 if over or history.finalists else evaluations_left(arm, config.budget) + len(arm.pending)
    )
    steps = sorted({min(left, config.batch * 2**power) for power in range(5)}) if left else []
    gains = tuple(gain for step in steps if (gain := gain_ahead(arm, step)) is not None)
    return Forecast(
        _seconds(events, history, config, left),
        left,
        gain_ahead(arm, left) if left else None,
        gains,
        stopped,
    )


def _seconds(
    events: Sequence[Event], history: History, config: RunConfig, left: int
) -> Range | None:
    """The evaluations of both arms, less those that the baseline takes over from the search, the
    strategy's thinking, and the full trainings.
    """
    rounds = measured_rounds(events, history)
    own = [item for item in rounds if item.round.arm == SEARCH]
    search = evaluation_pace(_latest(own), history) or evaluation_pace(own, history)
    if search is None:
        return None
    arm = history.of_arm(SEARCH)
    unproposed = max(0, left - len(arm.pending))
    work = [
        (left * _share(arm), search),
        (
            -(-unproposed // config.batch),
            pace_of([item.thinking for item in _latest(own)], doubt=0.2),
        ),
    ]
    if _has_baseline(history, config):
        baseline = history.of_arm(BASELINE)
        done = len(baseline.trials) - len(baseline.pending)
        # The search's draws at random are the baseline's own at the same number of trials.
        shared = sum(
            trial.origin == "random" for trial in arm.trials[done:]
        ) + unproposed * _random_share(arm)
        wanted = config.budget if left else budget_of(BASELINE, history, config)
        mine = [item for item in rounds if item.round.arm == BASELINE]
        pace = evaluation_pace(mine, history) or _of_draws(search, _latest(own), arm)
        work.append((0.0 if history.finalists else max(0.0, wanted - done - shared), pace))
    work.append(_full_trainings(rounds, history, config, search))
    return total(work)


def _full_trainings(
    rounds: Sequence[Measured], history: History, config: RunConfig, search: Pace
) -> tuple[float, Pace]:
    """How many are left, networks of both arms once, and their pace: from those that were done,
    else from the trainings of the best so far.
    """
    arms = (SEARCH, BASELINE) if _has_baseline(history, config) else (SEARCH,)
    chosen = [history.trial(item.trial) for item in history.finalists]
    networks = {trial.canonical for trial in chosen}
    if not chosen:
        ranked = {name: history.of_arm(name).ranked[: config.finalists.count] for name in arms}
        chosen = [trial for trials in ranked.values() for trial in trials]
        missing = sum(config.finalists.count - len(trials) for trials in ranked.values())
        networks = {trial.canonical for trial in chosen}
        count = (len(networks) + missing) * final_count(config)
    else:
        done = {(history.trial(final.trial).canonical, final.seed) for final in history.finals}
        count = len(networks) * final_count(config) - len(done)
    seconds = [
        final.result.seconds for final in history.finals if isinstance(final.result, FinalResult)
    ]
    longer, doubt = 1.0, 0.1
    if not sum(seconds):
        longer, doubt = _longer(config), UNSEEN
        seconds = [trial.outcome.seconds for trial in chosen if trial.outcome is not None]
    if not sum(seconds):
        return count, Pace(search.mean * longer, search.deviation * longer, search.count, doubt)
    workers = config.executor.workers or round(side_by_side(rounds, history))
    pace = pace_of([value * longer for value in seconds], doubt=doubt)
    # The last of them do not fill the workers.
    shared = -(-count // workers) / count if count else 1.0
    return count, Pace(pace.mean * shared, pace.deviation * shared, pace.count, doubt)


def _has_baseline(history: History, config: RunConfig) -> bool:
    return (config.baseline == "random" and config.strategy.name != "random") or any(
        trial.arm == BASELINE for trial in history.trials
    )


def _longer(config: RunConfig) -> float:
    return (
        1.0
        if isinstance(config.evaluator, TableSection)
        else final_recipe(config).epochs / config.training.epochs
    )


def _latest(rounds: Sequence[Measured]) -> Sequence[Measured]:
    """The later half: a strategy comes to prefer slower networks, and the first round has the start
    of the workers in it.
    """
    return rounds[len(rounds) // 2 :]


def _of_draws(search: Pace, rounds: Sequence[Measured], arm: History) -> Pace:
    """The pace of networks drawn at random: a strategy comes to prefer others, often larger ones.
    By the seconds of those that it drew itself.
    """
    drawn = [
        trial.outcome.seconds
        for trial in arm.trials
        if trial.origin == "random" and trial.outcome is not None
    ]
    latest = [
        trial.outcome.seconds
        for item in rounds
        for number in item.round.trials
        if (trial := arm.trial(number)).outcome is not None
    ]
    if not sum(drawn) or not sum(latest):
        return search
    scale = statistics.fmean(drawn) / statistics.fmean(latest)
    return Pace(
        search.mean * scale, search.deviation * scale, min(search.count, len(drawn)), UNSEEN
    )


def _share(arm: History) -> float:
    """Which share of a full evaluation the latest ones were."""
    return statistics.fmean(arm.cost(trial) for trial in arm.trials[len(arm.trials) // 2 :])


def _random_share(arm: History) -> float:
    later = [trial for trial in arm.trials if trial.round >= arm.rounds[-1].number / 2]
    return statistics.fmean(trial.origin == "random" for trial in later)
