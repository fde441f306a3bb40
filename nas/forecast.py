"""What a run is likely to bring and to take: how far its best score will rise in the evaluations that are left, and for how long it goes on.

Pure functions of the history, the events' times and the configuration. The time is in `nas.pace`; which model of the gain is honest was
measured by `benchmarks/forecast.py`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.compose import BASELINE, SEARCH, final_count, final_recipe
from nas.config import RunConfig, TableSection
from nas.constraints import feasible
from nas.evaluators.evaluator import FinalResult
from nas.history import History
from nas.journal import Event
from nas.pace import Measured, Pace, Range, evaluation_pace, measured_rounds, pace_of, search_seconds, side_by_side, total

# Fewer scores say nothing of the next ones.
LEAST = 10
# These were chosen on tuning seeds, by `benchmarks/forecast.py`. Improvements are counted since this share of the evaluations, beside so many seen
# beforehand; their sizes are those of the latest few; the next ones are so much smaller; and a gain is so much less regular than an exponential number.
SINCE, BEFOREHAND, LATEST, SHRINK, SHAPE = 0.5, 1.5, 3, 0.35, 0.75
# How far a finalist's full training may lie off the search's trainings times the epochs, before one was seen.
UNSEEN = 0.15


@dataclass(frozen=True)
class Gain:
    """How much the best validation score will rise.

    Attributes:
        evaluations: within so many more.
        mean, low, high: the expected rise, and the ends of its 90 % interval; never negative.
        probability: that it rises at all.
    """

    evaluations: int
    mean: float
    low: float
    high: float
    probability: float


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


def gain_ahead(arm: History, evaluations: int) -> Gain | None:
    """The gain of so many more evaluations in an arm, of which as large a share will give a score of the highest fidelity as has; None for too few."""
    scores = [trial.score for trial in arm.fullest]
    if len(scores) < LEAST:
        return None
    return gain_of(scores, evaluations, evaluations * len(scores) / (len(arm.trials) - len(arm.pending)))


def evaluations_left(arm: History, budget: float) -> int:
    """How many more evaluations the budget has room for, if they cost as much as those so far."""
    return max(0, round((budget - arm.spent) * len(arm.trials) / arm.spent)) if arm.trials else math.ceil(budget)


def gain_of(scores: Sequence[float], evaluations: int, succeeding: float | None = None) -> Gain:
    """The gain of so many more evaluations, `succeeding` of which give a score, after these scores, oldest first.

    Improvements of the best come at a steady rate in the logarithm of the number of evaluations: one for each factor e where the scores are
    independent draws (Rényi 1962). The rate is a Gamma variable that has seen 1.5 improvements in one such unit beforehand, and then the r
    improvements since half of the n evaluations. With a = 1.5 + r, c = 1 + ln 2 and L = ln(1 + k / n), of k more

        P(gain > 0) = 1 - (c / (c + L))^a,    E gain = s a L / c,

    where s is the expected size of one, and a gain that comes has a Weibull distribution.
    """
    ahead = math.log1p((evaluations if succeeding is None else succeeding) / len(scores))
    improved = _improvements(scores)
    seen, since = BEFOREHAND + sum(place >= len(scores) * SINCE for place, _ in improved), 1 - math.log(SINCE)
    probability = -math.expm1(-seen * math.log1p(ahead / since))
    mean = _size(scores, [size for _, size in improved[-LATEST:]]) * seen * ahead / since
    scale = mean / probability / math.gamma(1 + 1 / SHAPE) if probability else 0.0
    low, high = (scale * math.log(max(1.0, probability / tail)) ** (1 / SHAPE) for tail in (0.95, 0.05))
    return Gain(evaluations, mean, low, high, probability)


def _size(scores: Sequence[float], improvements: Sequence[float]) -> float:
    """Of the next improvement: a share of the geometric mean of what the latest ones were and of how far the best quarter of the scores spreads.

    The latest ones alone are too large where the first scores were poor, and the spread alone where a search has come close to the best there is.
    """
    best = sorted(scores, reverse=True)
    top = max(1, len(best) // 4)
    spread = statistics.fmean(best[:top]) - best[min(top, len(best) - 1)]
    if not improvements or spread <= 0:
        return SHRINK * max(spread, 0.0)
    return SHRINK * math.sqrt(math.exp(statistics.fmean(map(math.log, improvements))) * spread)


def forecast(events: Sequence[Event], history: History, config: RunConfig) -> Forecast | None:
    """What is ahead of the run that these are the events and the history of; None for a finished one."""
    from nas.stopping import reason_to_stop

    if history.finished is not None:
        return None
    arm = feasible(history.of_arm(SEARCH), config.constraints)
    between = not arm.pending and bool(arm.trials)
    stopped = reason_to_stop(arm, config, lambda: search_seconds(events, SEARCH)) if between else None
    over = (
        stopped is not None or (not evaluations_left(arm, config.budget) and not arm.pending) or any(trial.arm != SEARCH for trial in history.trials)
    )
    left = 0 if over or history.finalists else evaluations_left(arm, config.budget) + len(arm.pending)
    steps = sorted({min(left, config.batch * 2**power) for power in range(5)}) if left else []
    gains = tuple(gain for step in steps if (gain := gain_ahead(arm, step)) is not None)
    return Forecast(_seconds(events, history, config, left), left, gain_ahead(arm, left) if left else None, gains, stopped)


def _improvements(scores: Sequence[float]) -> list[tuple[int, float]]:
    """The place, from 0, and the size of each rise of the best score; the first score is none."""
    result, best = list[tuple[int, float]](), scores[0]
    for place, score in enumerate(scores):
        if score > best:
            result.append((place, score - best))
            best = score
    return result


def _seconds(events: Sequence[Event], history: History, config: RunConfig, left: int) -> Range | None:
    """The evaluations of both arms, less those that the baseline takes over from the search, the strategy's thinking, and the full trainings."""
    rounds = measured_rounds(events, history)
    own = [item for item in rounds if item.round.arm == SEARCH]
    search = evaluation_pace(_latest(own), history) or evaluation_pace(own, history)
    if search is None:
        return None
    arm = history.of_arm(SEARCH)
    unproposed = max(0, left - len(arm.pending))
    work = [(left * _share(arm), search), (-(-unproposed // config.batch), pace_of([item.thinking for item in _latest(own)], doubt=0.2))]
    if _has_baseline(history, config):
        baseline = history.of_arm(BASELINE)
        done = len(baseline.trials) - len(baseline.pending)
        # The search's draws at random are the baseline's own at the same number of trials.
        shared = sum(trial.origin == "random" for trial in arm.trials[done:]) + unproposed * _random_share(arm)
        wanted = round(arm.spent) if not left else config.budget
        mine = [item for item in rounds if item.round.arm == BASELINE]
        drawn = [item for item in own[1:] if all(history.trial(number).origin == "random" for number in item.round.trials)]
        pace = evaluation_pace(mine, history) or evaluation_pace(drawn, history) or search
        work.append((0.0 if history.finalists else max(0.0, wanted - done - shared), pace))
    work.append(_full_trainings(rounds, history, config, search))
    return total(work)


def _full_trainings(rounds: Sequence[Measured], history: History, config: RunConfig, search: Pace) -> tuple[float, Pace]:
    """How many are left, networks of both arms once, and their pace: from those that were done, else from the trainings of the best so far."""
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
    seconds = [final.result.seconds for final in history.finals if isinstance(final.result, FinalResult)]
    longer, doubt = 1.0, 0.05
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
    return (config.baseline == "random" and config.strategy.name != "random") or any(trial.arm == BASELINE for trial in history.trials)


def _longer(config: RunConfig) -> float:
    return 1.0 if isinstance(config.evaluator, TableSection) else final_recipe(config).epochs / config.training.epochs


def _latest(rounds: Sequence[Measured]) -> Sequence[Measured]:
    """The later half: a strategy comes to prefer slower networks, and the first round has the start of the workers in it."""
    return rounds[len(rounds) // 2 :]


def _share(arm: History) -> float:
    """Which share of a full evaluation the latest ones were."""
    return statistics.fmean(arm.cost(trial) for trial in arm.trials[len(arm.trials) // 2 :])


def _random_share(arm: History) -> float:
    later = [trial for trial in arm.trials if trial.round >= arm.rounds[-1].number / 2]
    return statistics.fmean(trial.origin == "random" for trial in later)
