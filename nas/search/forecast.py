"""What is ahead of a run: how far its best score will rise, and how long the run will take.

Pure functions of the history, the events' times and the plan. The model of scores is in
`nas.search.expected_gain`, that of times in `nas.search.durations`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.config.arms import BASELINE, SEARCH, budget_of
from nas.config.plan import Plan
from nas.evaluators.evaluator import FinalResult
from nas.objectives.constraints import feasible
from nas.record.history import History
from nas.record.journal import Event
from nas.search.durations import (
    Interval,
    Measured,
    Pace,
    evaluation_pace,
    measured_rounds,
    pace_of,
    search_seconds,
    side_by_side,
    total,
)
from nas.search.expected_gain import Gain, evaluations_left, gain_ahead
from nas.search.stopping import reason_to_stop

# Relative uncertainty of a full training's time before one was seen: it is then the time of the
# search's trainings times the ratio of epochs.
UNSEEN = 0.15


@dataclass(frozen=True)
class Forecast:
    """What is ahead of a run.

    Attributes:
        seconds: of wall clock until the run is finished; None before an evaluation has ended.
        evaluations: how many the search has left; 0 when it is over.
        gain: how far the best score is expected to rise in them; None with too few scores.
        gains: the same for fewer evaluations: one batch, two, four and so on.
        stopped: the sentence of the rule that has ended the search; None if none has.
    """

    seconds: Interval | None
    evaluations: int
    gain: Gain | None
    gains: tuple[Gain, ...] = ()
    stopped: str | None = None


def forecast(events: Sequence[Event], history: History, plan: Plan) -> Forecast | None:
    """What is ahead of a run; None for a finished one.

    Args:
        events: of its journal, for their times.
        history: their fold.
        plan: the run's.
    """
    if history.finished is not None:
        return None
    arm = feasible(history.of_arm(SEARCH), plan.constraints)
    between = not arm.pending and bool(arm.trials) and evaluations_left(arm, plan.budget) > 0
    stopped = reason_to_stop(arm, plan, lambda: search_seconds(events, SEARCH)) if between else None
    over = (
        stopped is not None
        or (not evaluations_left(arm, plan.budget) and not arm.pending)
        or any(trial.arm != SEARCH for trial in history.trials)
    )
    left = 0 if over or history.finalists else evaluations_left(arm, plan.budget) + len(arm.pending)
    steps = sorted({min(left, plan.batch * 2**power) for power in range(5)}) if left else []
    gains = tuple(gain for step in steps if (gain := gain_ahead(arm, step)) is not None)
    return Forecast(
        _seconds(events, history, plan, left),
        left,
        gain_ahead(arm, left) if left else None,
        gains,
        stopped,
    )


def _seconds(events: Sequence[Event], history: History, plan: Plan, left: int) -> Interval | None:
    """The time of what is left: evaluations of both arms, thinking, and full trainings.

    An evaluation whose result the baseline takes over from the search counts once.
    """
    rounds = measured_rounds(events, history)
    own = [item for item in rounds if item.round.arm == SEARCH]
    search = evaluation_pace(_latest(own), history) or evaluation_pace(own, history)
    if search is None:
        return None
    arm = history.of_arm(SEARCH)
    unproposed = max(0, left - len(arm.pending))
    thinking = pace_of([item.thinking for item in _latest(own)], uncertainty=0.2)
    rounds_left = -(-unproposed // plan.batch)
    work = [(left * _share(arm), search), (rounds_left, thinking)]
    if _has_baseline(history, plan):
        baseline = history.of_arm(BASELINE)
        done = len(baseline.trials) - len(baseline.pending)
        # The search's random draws are the same architectures as the baseline's, in their order.
        proposed = sum(trial.origin == "random" for trial in arm.trials[done:])
        shared = proposed + unproposed * _random_share(arm)
        wanted = plan.budget
        if not left:
            wanted = budget_of(BASELINE, history, plan.budget, may_stop=plan.may_stop)
        mine = [item for item in rounds if item.round.arm == BASELINE]
        pace = evaluation_pace(mine, history) or _of_draws(search, _latest(own), arm)
        work.append((0.0 if history.finalists else max(0.0, wanted - done - shared), pace))
    work.append(_full_trainings(rounds, history, plan, search))
    return total(work)


def _full_trainings(
    rounds: Sequence[Measured], history: History, plan: Plan, search: Pace
) -> tuple[float, Pace]:
    """How many full trainings are left, a network of both arms once, and their pace.

    The pace comes from those that have ended, otherwise from the trainings of the best so far.
    """
    arms = (SEARCH, BASELINE) if _has_baseline(history, plan) else (SEARCH,)
    chosen = [history.trial(item.trial) for item in history.finalists]
    networks = {trial.canonical for trial in chosen}
    if not chosen:
        ranked = {name: history.of_arm(name).ranked[: plan.finalists] for name in arms}
        chosen = [trial for trials in ranked.values() for trial in trials]
        missing = sum(plan.finalists - len(trials) for trials in ranked.values())
        networks = {trial.canonical for trial in chosen}
        count = (len(networks) + missing) * plan.trainings
    else:
        done = {(history.trial(final.trial).canonical, final.seed) for final in history.finals}
        count = len(networks) * plan.trainings - len(done)
    seconds = [
        final.result.seconds for final in history.finals if isinstance(final.result, FinalResult)
    ]
    longer, uncertainty = 1.0, 0.1
    if not sum(seconds):
        longer, uncertainty = plan.longer, UNSEEN
        seconds = [trial.outcome.seconds for trial in chosen if trial.outcome is not None]
    if not sum(seconds):
        return count, Pace(
            search.mean * longer, search.deviation * longer, search.count, uncertainty
        )
    workers = plan.workers or round(side_by_side(rounds, history))
    pace = pace_of([value * longer for value in seconds], uncertainty=uncertainty)
    # The last full trainings leave workers idle.
    shared = -(-count // workers) / count if count else 1.0
    return count, Pace(pace.mean * shared, pace.deviation * shared, pace.count, uncertainty)


def _has_baseline(history: History, plan: Plan) -> bool:
    return BASELINE in plan.arms or any(trial.arm == BASELINE for trial in history.trials)


def _latest(rounds: Sequence[Measured]) -> Sequence[Measured]:
    """The later half of the rounds, which is more like those to come.

    Strategies come to prefer slower networks, and the first round includes the workers' start.
    """
    return rounds[len(rounds) // 2 :]


def _of_draws(search: Pace, rounds: Sequence[Measured], arm: History) -> Pace:
    """The pace of networks drawn at random, from those that the search itself drew at random.

    A strategy comes to prefer other networks than random ones, often larger ones.
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
    """The mean share of a full evaluation that the later half of the trials cost."""
    return statistics.fmean(arm.cost(trial) for trial in arm.trials[len(arm.trials) // 2 :])


def _random_share(arm: History) -> float:
    later = [trial for trial in arm.trials if trial.round >= arm.rounds[-1].number / 2]
    return statistics.fmean(trial.origin == "random" for trial in later)
