"""How fast a run goes, from its journal: what evaluations, full trainings and the strategy's own
thinking cost in wall clock.

Each is a `Pace`; a sum of so many pieces of each is a `Range`. All workers together count: two that
train side by side halve a piece's cost. Knows nothing of scores.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nas.record.history import History, Round
from nas.record.journal import Event

NINETY = 1.6448536269514722
# Without two measurements a piece's deviation is taken to be so many times its mean.
UNKNOWN = 0.5


@dataclass(frozen=True)
class Range:
    """A number that is not known yet: its mean, and the ends of an interval that holds it nine
    times in ten.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Pace:
    """What one piece of work takes.

    Attributes:
        mean: seconds of wall clock, all workers together.
        deviation: between pieces, in seconds.
        count: how many pieces were measured.
        doubt: how far the mean may lie off for other reasons, as a share of it: what was measured
            is not quite what comes.
    """

    mean: float
    deviation: float
    count: int
    doubt: float = 0.1


def total(work: Iterable[tuple[float, Pace]]) -> Range:
    """The seconds that so many pieces of each pace take together.

    The sum of n pieces varies by n * deviation², and by n² times the variance of a mean of `count`
    pieces, and by the doubt. The interval is that of a log-normal number with this mean and
    deviation, so its ends are positive.
    """
    mean = variance = 0.0
    for pieces, pace in work:
        mean += pieces * pace.mean
        of_mean = pace.deviation**2 / max(pace.count, 1) + (pace.doubt * pace.mean) ** 2
        variance += pieces * pace.deviation**2 + pieces**2 * of_mean
    if mean < 1e-9:
        return Range(mean, mean, mean)
    spread = math.sqrt(math.log1p(variance / mean**2))
    low, high = (mean * math.exp(side * NINETY * spread - spread**2 / 2) for side in (-1, 1))
    # Of a very wide one the median is far below the mean.
    return Range(mean, min(low, mean), max(high, mean))


def pace_of(pieces: Sequence[float], *, doubt: float = 0.1) -> Pace:
    """The pace of measured pieces, at least one."""
    mean = statistics.fmean(pieces)
    return Pace(
        mean, statistics.stdev(pieces) if len(pieces) > 1 else UNKNOWN * mean, len(pieces), doubt
    )


def running_clock(events: Sequence[Event]) -> tuple[float, ...]:
    """For how many seconds the run had been running at each event; the time between its death and
    `resumed` does not count, nor a clock set back.
    """
    clock = [0.0]
    for before, event in pairwise(events):
        clock.append(
            clock[-1] + (0.0 if event.kind == "resumed" else max(0.0, event.time - before.time))
        )
    return tuple(clock[: len(events)])


def search_seconds(events: Sequence[Event], arm: str) -> float:
    """For how long the run had been running when the arm's last finished round ended. The same
    before a crash and after it.
    """
    clock = running_clock(events)
    return next(
        (clock[place] for place in reversed(range(len(events))) if _ends(events[place], arm)), 0.0
    )


@dataclass(frozen=True)
class Measured:
    """One round of the running clock: the seconds from its proposals to its end (or to the last
    event), and those of thinking before it.
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
    """The trials that were evaluated themselves: those whose network another arm had evaluated
    before them took its result over and cost nothing.
    """
    seen, result = set[str](), set[int]()
    for trial in history.trials:
        if trial.outcome is not None and trial.canonical not in seen:
            result.add(trial.number)
            if trial.is_observed:
                seen.add(trial.canonical)
    return frozenset(result)


def evaluation_pace(rounds: Sequence[Measured], history: History) -> Pace | None:
    """What an evaluation costs, from these rounds; None where they hold none that was finished.

    A lower fidelity is so much of an evaluation. What evaluations differ by is seen in their own
    seconds, where these are told, else between rounds.
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
    """How many evaluations went on at once, at least 1: their own seconds over those of the wall
    clock.
    """
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
