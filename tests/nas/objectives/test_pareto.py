"""Fronts and hypervolumes against their definitions, point by point."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.objectives.pareto import (
    crowding,
    front,
    hypervolume,
    inverted_generational_distance,
    layers,
)

POINTS = st.integers(1, 3).flatmap(
    lambda k: arrays(np.int64, st.tuples(st.integers(1, 9), st.just(k)), elements=st.integers(0, 4))
)


def dominates(first, second):
    return bool((first >= second).all() and (first > second).any())


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points):
    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert front(points).tolist() == expected


@given(POINTS)
def test_layers_are_fronts_of_what_is_left(points):
    layer = layers(points)
    assert (layer >= 0).all()
    for number in range(layer.max() + 1):
        rest = layer >= number
        np.testing.assert_array_equal(front(points[rest]), layer[rest] == number)


@given(POINTS)
def test_the_volume_is_that_of_the_dominated_cells(points):
    # With whole numbers the dominated region consists of unit cells. A cell is dominated if its
    # upper corner is.
    side = np.arange(1, 5)
    corners = np.stack(np.meshgrid(*[side] * points.shape[1]), axis=-1).reshape(-1, points.shape[1])
    cells = sum(any((point >= corner).all() for point in points) for corner in corners)
    assert hypervolume(points, np.zeros(points.shape[1])) == pytest.approx(cells)


def test_crowding_by_hand():
    room = crowding(np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]]))
    assert np.isinf(room[[0, 3]]).all()
    np.testing.assert_allclose(room[1:3], 3 / 4 + 3 / 4)


def test_the_distance_to_the_true_front_by_hand():
    true = np.array([[0.0, 10.0], [2.0, 0.0]])
    assert inverted_generational_distance(true, true) == 0
    distance = inverted_generational_distance(np.array([[0.0, 10.0]]), true)
    assert distance == pytest.approx(np.sqrt(2) / 2)


def test_mistakes_are_sentences():
    with pytest.raises(ValueError, match="a row for each"):
        front(np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        front(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="one number for each of the 2 objectives"):
        hypervolume(np.zeros((1, 2)), np.zeros(3))
