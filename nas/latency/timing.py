"""The median time of repeated passes with a confidence interval, on a machine with other load.

The times of consecutive passes are correlated: the processor changes its speed, and other programs
run for a while. So the error is not computed from the single times as if they were independent, but
from the medians of ten blocks of consecutive passes (the method of batch means, Conway 1963, with
medians). The half-width of the 95 % confidence interval is t * s / sqrt(10), where s is the
standard deviation of the ten medians and t the 97.5 % quantile of Student's distribution with 9
degrees of freedom.

A pass during which the operating system suspended the process measures the load of the machine, not
the network. Such passes are recognised by the processor time of the process, which does not advance
meanwhile. They are discarded if at least ten others remain.

This module imports no torch, and uses only the clocks that it is given.

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

# The warm-up ends if the median of a window of passes is no longer lower than that of the previous
# window by more than the share _FALLING, or after the share _WARM_UP_SHARE of the time limit.
_WINDOW, _FALLING, _WARM_UP_SHARE = 5, 0.03, 0.25
# The number of passes before the error is first computed. With fewer it would often be small by
# chance.
_FIRST = 5 * BLOCKS
_GROWTH = 1.5

# A pass is undisturbed if its processor time is at least this share of its wall time.
_UNDISTURBED = 0.9

# A drift larger than this is reported even if the confidence interval is narrow.
DRIFT = 0.05


@dataclass(frozen=True)
class Timing:
    """Statistics of the times of repeated passes.

    Attributes:
        median: the median time, in seconds.
        error: half-width of the 95 % confidence interval of the median, in seconds.
        repeats: the number of passes, without the warm-up and discarded passes.
        spread: the difference between the 90th and the 10th percentile, relative to the median.
        drift: the median of the second half divided by that of the first half, minus 1.
        disturbed: the share of passes during which the process was suspended; 0 if these passes
            were discarded.
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
    """The timing of `run`, which is called at least ten times after a warm-up.

    It is called until the error is at most the share `within` of the median, or `limit` seconds
    have passed.

    Args:
        run: performs one pass.
        within, limit: see `LatencySettings`.
        clock: the current time in seconds; monotonic.
        processor: the processor time of this process in seconds.

    Example::

        timing = time_passes(lambda: sum(range(10_000)), within=0.05, limit=1.0)
        print(f"{1e6 * timing.median:.0f} ± {1e6 * timing.error:.0f} µs")
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
    """The timing of at least ten times, in their order."""
    median = float(numpy.median(seconds_N))
    blocks = [float(numpy.median(block)) for block in numpy.array_split(seconds_N, BLOCKS)]
    low, high = numpy.quantile(seconds_N, [0.1, 0.9])
    first, second = (float(numpy.median(half)) for half in numpy.array_split(seconds_N, 2))
    error = _STUDENT_9 * statistics.stdev(blocks) / math.sqrt(BLOCKS)
    return Timing(median, error, len(seconds_N), float(high - low) / median, second / first - 1)


def _undisturbed(seconds_N: numpy.ndarray, own_N: numpy.ndarray) -> Timing:
    """The timing of the undisturbed passes if there are at least ten, else of all passes."""
    calm_N = own_N >= _UNDISTURBED * seconds_N
    if calm_N.sum() >= BLOCKS:
        return summarize(seconds_N[calm_N])
    return replace(summarize(seconds_N), disturbed=float(1 - calm_N.mean()))


def trouble(timing: Timing, within: float) -> str:
    """What makes a timing unreliable, in a few words; empty if nothing does."""
    found = [] if timing.disturbed == 0 else [f"disturbed in {timing.disturbed:.0%} of the passes"]
    if timing.error > within * timing.median:
        found.append(f"known to {timing.error / timing.median:.1%} only")
    if abs(timing.drift) > DRIFT and abs(timing.drift) * timing.median > timing.error:
        direction = "slower" if timing.drift > 0 else "faster"
        found.append(f"{abs(timing.drift):.0%} {direction} in the second half")
    if found and timing.spread > 1:
        found.append(
            f"nine tenths and one tenth of the passes are {timing.spread:.1f} medians apart"
        )
    return ", ".join(found)


def _warm_up(run: Callable[[], object], limit: float, clock: Callable[[], float]) -> None:
    """Untimed passes, in which caches fill, memory is allocated, and the processor speeds up."""
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
    """The seconds that one pass takes."""
    began = clock()
    run()
    return clock() - began
