"""How long the pieces of a run take, from its journal: evaluations, full trainings, thinking.

Each kind of piece has a `Pace`; the sum of several pieces is an `Interval`. Times are of the wall
clock with all workers together: two workers halve the time of a piece. Scores play no part.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas.record.history import History
from nas.record.journal import Event
from nas.record.scorecard import NINETY
from nas.record.trials import Round

# The standard deviation between pieces, as a share of their mean, if fewer than two were measured.
UNKNOWN = 0.5


@dataclass(frozen=True)
class Interval:
    """A predicted number: its mean, and the ends of a 90 % prediction interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Pace:
    """What one piece of work takes.

    Attributes:
        mean: seconds of wall clock, all workers together.
        deviation: the standard deviation between pieces, in seconds.
        count: how many pieces were measured.
        uncertainty: a further standard deviation of the mean, as a share of the mean: the pieces to
            come are not quite like those that were measured.
    """

    mean: float
    deviation: float
    count: int
    uncertainty: float = 0.1


def total(work: Iterable[tuple[float, Pace]]) -> Interval:
    """The seconds of all pieces together.

    The variance of the sum of n pieces has three parts: n deviation², n² deviation² / count for the
    measured mean, and (n uncertainty mean)². The interval is that of a log-normal variable with
    this mean and variance, so its ends are positive.

    Args:
        work: pairs of a number of pieces and their pace.
    """
    mean = variance = 0.0
    for pieces, pace in work:
        mean += pieces * pace.mean
        of_mean = pace.deviation**2 / max(pace.count, 1) + (pace.uncertainty * pace.mean) ** 2
        variance += pieces * pace.deviation**2 + pieces**2 * of_mean
    if mean < 1e-9:
        return Interval(mean, mean, mean)
    spread = math.sqrt(math.log1p(variance / mean**2))
    low, high = (mean * math.exp(side * NINETY * spread - spread**2 / 2) for side in (-1, 1))
    # The median of a very wide distribution is far below its mean.
    return Interval(mean, min(low, mean), max(high, mean))


def pace_of(pieces: Sequence[float], *, uncertainty: float = 0.1) -> Pace:
    """The pace of measured pieces, at least one."""
    mean = statistics.fmean(pieces)
    return Pace(
        mean,
        statistics.stdev(pieces) if len(pieces) > 1 else UNKNOWN * mean,
        len(pieces),
        uncertainty,
    )


def running_clock(events: Sequence[Event]) -> tuple[float, ...]:
    """The seconds for which the run had been running at each event.

    The time between an interruption and `resumed` does not count. A clock that was set back counts
    as no time.
    """
    clock = [0.0]
    for before, event in pairwise(events):
        clock.append(
            clock[-1] + (0.0 if event.kind == "resumed" else max(0.0, event.time - before.time))
        )
    return tuple(clock[: len(events)])


def search_seconds(events: Sequence[Event], arm: str) -> float:
    """The seconds for which the run had been running when the arm's last finished round ended.

    A crash does not change them.
    """
    clock = running_clock(events)
    return next(
        (clock[place] for place in reversed(range(len(events))) if _ends(events[place], arm)), 0.0
    )


@dataclass(frozen=True)
class Measured:
    """The times of one round.

    Attributes:
        round: the round.
        thinking: seconds before its proposals.
        evaluating: seconds from its proposals to its end, or to the last event.
    """

    round: Round
    thinking: float
    evaluating: float


def measured_rounds(events: Sequence[Event], history: History) -> tuple[Measured, ...]:
    """Every round that has begun, in order."""
    rounds = {(item.arm, item.number): item for item in history.rounds}
    clock, result, open_ = running_clock(events), list[Measured](), None
    ended = 0.0
    for event, now in zip(events, clock, strict=True):
        if event.kind == "round":
            open_ = rounds[event.body["arm"], event.body["round"]], now - ended, now
        elif event.kind == "round_end" and open_ is not None:
            result.append(Measured(open_[0], open_[1], now - open_[2]))
            open_ = None
        if event.kind in ("round_end", "resumed"):
            ended = now
    if open_ is not None:
        result.append(Measured(open_[0], open_[1], clock[-1] - open_[2]))
    return tuple(result)


def trained(history: History) -> frozenset[int]:
    """The numbers of the trials that were really evaluated.

    The others took over the result of the same network in another arm, which costs nothing.
    """
    seen, result = set[str](), set[int]()
    for trial in history.trials:
        if trial.outcome is not None and trial.canonical not in seen:
            result.add(trial.number)
            if trial.is_observed:
                seen.add(trial.canonical)
    return frozenset(result)


def evaluation_pace(rounds: Sequence[Measured], history: History) -> Pace | None:
    """The pace of an evaluation in these rounds; None if none of their trials has ended.

    An evaluation of a lower fidelity counts as that share of one. The standard deviation comes from
    the evaluations' own seconds if they are known, otherwise from the differences between rounds.
    """
    paid = trained(history)
    pieces = [
        (item, [history.trial(number) for number in item.round.trials if number in paid])
        for item in rounds
    ]
    pieces = [(item, trials) for item, trials in pieces if trials]
    shares = [sum(history.cost(trial) for trial in trials) for _, trials in pieces]
    if not pieces:
        return None
    mean = sum(item.evaluating for item, _ in pieces) / sum(shares)
    seconds = [
        trial.outcome.seconds / history.cost(trial)
        for _, trials in pieces
        for trial in trials
        if trial.outcome is not None
    ]
    if not sum(seconds):
        seconds = [item.evaluating / share for (item, _), share in zip(pieces, shares, strict=True)]
    own = pace_of(seconds)
    return Pace(mean, mean * (own.deviation / own.mean if own.mean else UNKNOWN), own.count)


def side_by_side(rounds: Sequence[Measured], history: History) -> float:
    """How many evaluations ran at once, at least 1: their own seconds over the wall clock's."""
    paid = trained(history)
    work = sum(
        trial.outcome.seconds
        for item in rounds
        for number in item.round.trials
        if number in paid and (trial := history.trial(number)).outcome
    )
    wall = sum(item.evaluating for item in rounds)
    return max(1.0, work / wall) if wall > 0 else 1.0


def _ends(event: Event, arm: str) -> bool:
    return event.kind == "round_end" and event.body["arm"] == arm
