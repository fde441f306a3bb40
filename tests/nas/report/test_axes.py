"""Ticks are round and inside, labels do not overlap, and an outlier does not set the range."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nas.report.axes import labels, shown_range, spread_out, ticks

numbers = st.floats(-1e9, 1e9)


@given(numbers, numbers)
def test_ticks_are_few_and_inside(one, other):
    low, high = sorted((one, other))
    found = ticks(low, high)
    margin = 1e-6 * (high - low)
    assert 1 <= len(found) <= 10
    assert all(low - margin <= tick <= high + margin for tick in found)
    assert len(labels(found)) == len(found)


def test_ticks_are_round():
    assert labels(ticks(0, 40)) == ("0", "10", "20", "30", "40")
    assert labels(ticks(0.9312, 0.9475)) == ("0.935", "0.940", "0.945")
    assert labels(ticks(-1.0, 0.1)) == ("−1.0", "−0.8", "−0.6", "−0.4", "−0.2", "0.0")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_are_spread_out_in_their_order(places):
    found = spread_out(places, 10, 0, 100)
    ordered = sorted(found)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(ordered))
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in found)
    assert all(
        found[i] <= found[j]
        for i, one in enumerate(places)
        for j, other in enumerate(places)
        if one < other
    )


def test_a_hopeless_value_does_not_set_the_range():
    low, high = shown_range([0.1, *(0.90 + 0.003 * place for place in range(11))])
    assert 0.8 < low < 0.9
    assert 0.93 < high < 0.95
    assert shown_range([]) == (0.0, 1.0)
    # Half of the values are no outliers.
    assert shown_range([0.1, 0.2, 0.91, 0.91], pad=0.0) == (0.1, 0.91)
    assert shown_range([0.9] * 20, always=[0.5])[0] < 0.5
