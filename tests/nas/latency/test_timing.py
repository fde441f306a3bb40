"""The statistics of repeated passes, with a clock that the tests advance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy
import pytest
from scipy.signal import lfilter

from nas.latency import time_passes
from nas.latency.timing import BLOCKS, summarize, trouble


class Turned:
    """A clock that advances only in passes; each pass takes the next of the given times."""

    def __init__(self, seconds: Iterator[float]) -> None:
        self.seconds, self.now, self.passes = seconds, 0.0, 0

    def __call__(self) -> float:
        return self.now

    def run(self) -> None:
        self.now += next(self.seconds)
        self.passes += 1


def forever(draw: Callable[[], float]) -> Iterator[float]:
    while True:
        yield draw()


def timed(draw: Callable[[], float], within: float = 0.02, limit: float = 100.0):
    clock = Turned(forever(draw))
    return time_passes(clock.run, within=within, limit=limit, clock=clock, processor=clock), clock


def test_equal_passes_have_error_0() -> None:
    timing, _ = timed(lambda: 0.25)
    assert (timing.median, timing.error, timing.repeats) == (0.25, 0.0, 5 * BLOCKS)
    assert (timing.spread, timing.drift) == (0.0, 0.0)
    assert trouble(timing, 0.02) == ""


def test_the_warm_up_lasts_while_passes_get_faster_and_is_not_timed() -> None:
    seconds = [2.0 * 0.8**number if number < 15 else 0.1 for number in range(5000)]
    clock = Turned(iter(seconds))
    timing = time_passes(clock.run, within=0.02, limit=1000, clock=clock, processor=clock)
    assert timing.median == pytest.approx(0.1)
    assert clock.passes - timing.repeats >= 20
    assert timing.error == pytest.approx(0)


def test_passes_are_repeated_until_the_error_is_small_enough() -> None:
    def repeats(deviation: float, within: float) -> int:
        source = numpy.random.default_rng(1)
        timing, _ = timed(lambda: float(source.lognormal(-3, deviation)), within, limit=1e9)
        assert timing.error <= within * timing.median
        return timing.repeats

    assert repeats(0.02, 0.02) < repeats(0.3, 0.02) < repeats(0.3, 0.005)


def test_it_stops_at_the_time_limit_and_reports_the_error() -> None:
    source = numpy.random.default_rng(0)
    timing, clock = timed(lambda: float(source.lognormal(-3, 1.0)), within=0.001, limit=20.0)
    assert 20 <= clock.now < 30
    assert "only" in trouble(timing, 0.001)
    assert trouble(timing, 0.9) == ""


def test_a_pass_longer_than_the_limit_is_timed_ten_times() -> None:
    timing, clock = timed(lambda: 30.0, limit=1.0)
    assert (timing.repeats, clock.passes) == (BLOCKS, BLOCKS + 1)


def test_a_drift_of_the_machine_is_reported() -> None:
    timing = summarize(numpy.r_[numpy.full(50, 0.1), numpy.full(50, 0.3)])
    assert timing.drift == pytest.approx(2.0)
    assert "200% slower in the second half" in trouble(timing, 0.5)
    faster = summarize(numpy.linspace(0.12, 0.1, 100))
    assert "faster in the second half" in trouble(faster, 0.5)


def test_some_slow_passes_change_neither_the_median_nor_its_error() -> None:
    seconds_N = numpy.full(200, 0.1)
    seconds_N[::9] = 5.0
    timing = summarize(seconds_N)
    assert (timing.median, timing.error) == (0.1, 0.0)
    assert timing.spread > 10


@pytest.mark.parametrize("calm_every", [3, 1000])
def test_passes_in_which_the_process_was_suspended_are_discarded(calm_every: int) -> None:
    """An undisturbed pass takes 2 ms of processor time; the others wait 24 ms more.

    All waits are equal, so the disturbed passes cannot be recognised by their spread.
    """
    passes, wall, own = 0, 0.0, 0.0

    def run() -> None:
        nonlocal passes, wall, own
        passes += 1
        wall += 0.002 if passes % calm_every == 0 else 0.026
        own += 0.002

    timing = time_passes(run, within=0.02, limit=2.0, clock=lambda: wall, processor=lambda: own)
    if calm_every == 3:
        assert timing.median == pytest.approx(0.002)
        assert (timing.disturbed, trouble(timing, 0.02)) == (0.0, "")
        assert BLOCKS <= timing.repeats < passes / 2
    else:
        assert timing.median == pytest.approx(0.026)
        assert timing.disturbed > 0.9
        assert trouble(timing, 0.02) == "disturbed in 100% of the passes"


@pytest.mark.parametrize("persistence", [0.0, 0.8])
def test_the_confidence_interval_has_about_its_nominal_coverage(persistence: float) -> None:
    """For independent and for autocorrelated passes (log-normal, AR(1)) with the true median 1."""
    source, inside, naive = numpy.random.default_rng(7), 0, 0
    for _ in range(400):
        noise_N = source.normal(size=600) * math.sqrt(1 - persistence**2)
        log_N = numpy.asarray(lfilter([1.0], [1.0, -persistence], noise_N))[200:]
        seconds_N = numpy.exp(0.2 * log_N)
        timing = summarize(seconds_N)
        inside += abs(timing.median - 1) <= timing.error
        naive += abs(timing.median - 1) <= 1.96 * 1.2533 * seconds_N.std() / 20
    assert 0.90 <= inside / 400 <= 0.995
    # The standard error of the median of independent values covers too little if they are not.
    assert (naive / 400 > 0.9) == (persistence == 0.0)
