"""Draws stratified splits, and checks labels and files before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy


def stratified_split(
    labels: numpy.ndarray, shares: tuple[float, ...], seed: int, names: tuple[str, ...] = ()
) -> list[numpy.ndarray]:
    """Disjoint sets of row numbers, one for each share and one for the rest, stratified by class.

    The rows are shuffled and sorted by class. Each part then takes evenly spaced ones of the
    remaining rows (systematic sampling). So a part has floor(share * N) rows, and the number of its
    rows of a class differs from the exact share by at most one.

    Args:
        labels: (N,).
        shares: the parts' shares of all rows, each between 0 and 1.
        seed: of the shuffling.
        names: what the shares are called in error messages.

    Returns:
        `len(shares) + 1` arrays of row numbers, each in ascending order.

    Raises:
        ValueError: a share is out of its range, or a part would be empty.
    """
    left = numpy.random.default_rng(seed).permutation(len(labels))
    left = left[numpy.argsort(labels[left], kind="stable")]
    parts = []
    for place, share in enumerate(shares):
        name = names[place] if names else "a split's share"
        if not 0 < share < 1:
            raise ValueError(f"{name} lies between 0 and 1; got {share}")
        count = int(share * len(labels))
        if count == 0 or count >= len(left):
            raise ValueError(
                f"{name} is {share}, which of {len(labels)} samples leaves a split empty: give "
                "another share, or more samples"
            )
        chosen = numpy.zeros(len(left), dtype=bool)
        chosen[(numpy.arange(count) * len(left) + len(left) // 2) // count] = True
        parts.append(numpy.sort(left[chosen]))
        left = left[~chosen]
    return [*parts, numpy.sort(left)]


def refuse_one_file(files: Mapping[str, str]) -> None:
    """Refuses one file for two splits, because networks would be scored on their training data.

    `files` are by the names of the options that they came from.

    Raises:
        ValueError: two of the files are the same.
    """
    names: dict[Path, str] = {}
    for name, file in files.items():
        first = names.setdefault(Path(file).resolve(), name)
        if first != name:
            raise ValueError(
                f"{first} and {name} are the same, {file}, and each split needs samples of its "
                f"own: leave {name} out, or give another"
            )


def random_rows(count: int, limit: int | None, seed: int) -> numpy.ndarray:
    """At most `limit` of the row numbers below `count`, drawn at random, in ascending order.

    Raises:
        ValueError: the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"a limit on the number of samples is at least 1; got {limit}")
    if limit is None or limit >= count:
        return numpy.arange(count)
    return numpy.sort(numpy.random.default_rng(seed).choice(count, limit, replace=False))


def class_numbers(labels: numpy.ndarray, where: str) -> numpy.ndarray:
    """The labels as int64.

    Raises:
        ValueError: they are not whole numbers 0..K-1 of at least two classes K. In the message
            `where` names the labels.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"the labels in {where} should be a list of whole numbers; they are {labels.dtype} "
            f"of shape {labels.shape}"
        )
    if len(labels) == 0:
        raise ValueError(f"{where} holds no samples")
    values = numpy.unique(labels)
    if len(values) < 2:
        raise ValueError(
            f"{where} holds one class only, the label {values[0]}: there is nothing to tell apart"
        )
    if values[0] != 0 or values[-1] != len(values) - 1:
        raise ValueError(
            f"the labels in {where} are {len(values)} numbers from {values[0]} to {values[-1]}; "
            f"they should be 0 to {len(values) - 1}"
        )
    return labels.astype(numpy.int64)
