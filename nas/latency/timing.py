"""The median time of a repeated pass with its error, on a machine that is never quite still. Knows
no torch, and no clock but the one it is given.

Times of neighbouring passes resemble each other: a processor changes its speed, another program
runs for a while. So the error does not come from the single times, as if they were independent, but
from the medians of ten blocks of consecutive passes (the method of batch means, Conway 1963, with
medians): half-width = t * s / sqrt(10), s their standard deviation, t the 97.5 % quantile of
Student's distribution with 9 degrees of freedom.

A pass during which the process was taken off the processor says how busy the machine is, and not
how long the network takes. It is told by the process's own time, which stands still meanwhile, and
left out as long as ten others are there.

Shapes: N passes, in their order.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy

BLOCKS = 10
_STUDENT_9 = 2.2621571628

# The warm-up ends when a window's median is no longer lower than that of the window before by more
# than a share; and with a share of the limit.
_WINDOW, _FALLING, _WARM_UP_SHARE = 5, 0.03, 0.25
# So many passes are timed before the error is first looked at; with fewer it would often be small
# by chance.
_FIRST = 5 * BLOCKS
_GROWTH = 1.5

# The share of a pass in which the process has the processor, if nothing disturbs it.
_UNDISTURBED = 0.9

# A change from the first to the second half that is worth a word even where the interval is narrow.
DRIFT = 0.05


@dataclass(frozen=True)
class Timing:
    """What repeated passes took, in seconds.

    Attributes:
        median: of all passes.
        error: half-width of the median's 95 % interval.
        repeats: how many passes were timed, without the warm-up.
        spread: from the tenth to the ninetieth percentile of the single passes, as a share of the
            median.
        drift: the median of the second half over that of the first, less one.
        disturbed: the share of these passes during which the process was taken off the processor; 0
            where those could be left out.
    """

    median: float
    error: float
    repeats: int
    spread: float
    drift: float
    disturbed: float = 0.0


Clock = Callable[[], float]


def time_passes(
    run: Callable[[], object],
    *,
    within: float,
    limit: float,
    clock: Clock = time.perf_counter,
    processor: Clock = time.process_time,
) -> Timing:
    """The timing of `run`, called until the error is at most the share `within` of the median, or
    for `limit` seconds; at least ten times.

    Args:
        run: one pass, over when it returns.
        clock: gives seconds; never goes back.
        processor: the same, of this process's own time on the processor.
    """
    _warm_up(run, _WARM_UP_SHARE * limit, clock)
    seconds: list[float] = []
    own: list[float] = []
    wanted, began = _FIRST, clock()
    while True:
        while len(seconds) < wanted and (len(seconds) < BLOCKS or clock() - began < limit):
            before = processor()
            seconds.append(_pass(run, clock))
            own.append(processor() - before)
        timing = _undisturbed(numpy.array(seconds), numpy.array(own))
        if timing.error <= within * timing.median or clock() - began >= limit:
            return timing
        wanted = math.ceil(_GROWTH * wanted)


def summarize(seconds_N: numpy.ndarray) -> Timing:
    """The median, its error and what tells of a busy machine, of at least ten times in their order."""
    median = float(numpy.median(seconds_N))
    blocks = [float(numpy.median(block)) for block in numpy.array_split(seconds_N, BLOCKS)]
    low, high = numpy.quantile(seconds_N, [0.1, 0.9])
    first, second = (float(numpy.median(half)) for half in numpy.array_split(seconds_N, 2))
    error = _STUDENT_9 * statistics.stdev(blocks) / math.sqrt(BLOCKS)
    return Timing(median, error, len(seconds_N), float(high - low) / median, second / first - 1)


def _undisturbed(seconds_N: numpy.ndarray, own_N: numpy.ndarray) -> Timing:
    """Of the undisturbed passes, if there are enough; else of all."""
    calm_N = own_N >= _UNDISTURBED * seconds_N
    if calm_N.sum() >= BLOCKS:
        return summarize(seconds_N[calm_N])
    return replace(summarize(seconds_N), disturbed=float(1 - calm_N.mean()))


def trouble(timing: Timing, within: float) -> str:
    """What is wrong with a timing, in a few words; empty where nothing is."""
    found = [] if timing.disturbed == 0 else [f"disturbed in {timing.disturbed:.0%} of the passes"]
    if timing.error > within * timing.median:
        found.append(f"known to {timing.error / timing.median:.1%} only")
    if abs(timing.drift) > DRIFT and abs(timing.drift) * timing.median > timing.error:
        found.append(
            f"{abs(timing.drift):.0%} {'slower' if timing.drift > 0 else 'faster'} in the second "
            "half"
        )
    if found and timing.spread > 1:
        found.append(
            f"nine tenths and one tenth of the passes are {timing.spread:.1f} medians apart"
        )
    return ", ".join(found)


def _warm_up(run: Callable[[], object], limit: float, clock: Callable[[], float]) -> None:
    """Passes that do not count: caches fill, memory is allocated, a processor reaches its speed."""
    began, before = clock(), math.inf
    while True:
        window = []
        for _ in range(_WINDOW):
            window.append(_pass(run, clock))
            if clock() - began >= limit:
                return
        now = statistics.median(window)
        if now >= (1 - _FALLING) * before:
            return
        before = now


def _pass(run: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    run()
    return clock() - began
