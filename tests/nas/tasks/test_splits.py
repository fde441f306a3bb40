"""Splits are stratified and drawn from the seed; labels are checked."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.tasks.splits import class_numbers, random_rows, stratified_split


@given(st.lists(st.integers(0, 3), min_size=30, max_size=200), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_stratified_parts_are_disjoint_complete_and_true_to_the_classes(labels, seed):
    labels = numpy.array(labels)
    parts = stratified_split(labels, (0.2, 0.25), seed)
    assert sorted(numpy.concatenate(parts)) == list(range(len(labels)))
    assert [len(part) for part in parts[:2]] == [int(0.2 * len(labels)), int(0.25 * len(labels))]
    for label in range(4):
        exact = len(parts[0]) * (labels == label).mean()
        assert abs((labels[parts[0]] == label).sum() - exact) <= 1


def test_the_seed_draws_the_split():
    labels = numpy.arange(100) % 4
    first, again, other = (stratified_split(labels, (0.3,), seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ((0.01,), "leaves a split empty"),
        ((0.5, 0.5), "leaves a split empty"),
        ((1.5,), "between 0 and 1"),
    ],
)
def test_an_empty_part_is_refused(shares, says):
    with pytest.raises(ValueError, match=says):
        stratified_split(numpy.arange(20) % 2, shares, 0)


def test_a_share_is_called_as_its_user_knows_it():
    with pytest.raises(ValueError, match=r"validation_share lies between 0 and 1; got 2\.0"):
        stratified_split(numpy.arange(20) % 2, (0.2, 2.0), 0, ("test_share", "validation_share"))
    with pytest.raises(
        ValueError, match=r"test_share is 0\.01, which of 20 samples leaves a split empty"
    ):
        stratified_split(numpy.arange(20) % 2, (0.01,), 0, ("test_share",))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (numpy.array([0.0, 1.0]), "whole numbers; they are float64"),
        (numpy.array(["cat", "dog"]), "whole numbers"),
        (numpy.array([3, 3]), "one class only, the label 3"),
        (numpy.array([1, 2, 5]), "3 numbers from 1 to 5; they should be 0 to 2"),
        (numpy.array([], dtype=int), "no samples"),
    ],
)
def test_labels_that_are_not_class_numbers_are_refused(labels, says):
    with pytest.raises(ValueError, match=says):
        class_numbers(labels, "here")


def test_a_limit_draws_rows_in_order():
    assert random_rows(5, None, 0).tolist() == random_rows(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    rows = random_rows(100, 10, 0).tolist()
    assert len(set(rows)) == 10
    assert rows == sorted(rows)
    with pytest.raises(ValueError, match="at least 1"):
        random_rows(5, 0, 0)
