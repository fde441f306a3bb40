"""Reads files and numbers that may come from somebody else: bounded, finite, of expected shapes.

A saved predictor and a prior are a JSON file and a safetensors file. All that is read of them goes
through this module, so a damaged or hostile file ends in one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np

# The largest files that are read, in bytes. The shipped prior has 3 MB, a predictor of thousands of
# labels some hundred.
LARGEST_JSON, LARGEST_ARRAYS = 100_000_000, 4_000_000_000
# Whole numbers beyond this are no counts of anything.
LARGEST_COUNT = 2**53
# Numbers of which products and sums are finite too.
LARGEST = 1e100


def read_json(path: Path) -> Any:
    """The JSON value in a file; its numbers are finite, and its whole numbers not huge.

    Raises:
        ValueError: there is no such file, or it is not such JSON.
    """
    _check_file(path, LARGEST_JSON)
    try:
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_count,
        )
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not readable JSON: {error}") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers in a safetensors file; all are finite.

    Raises:
        ValueError: there is no such file, or it is not such a file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    _check_file(path, LARGEST_ARRAYS)
    try:
        arrays = load_file(path)
    # The last two are raised for a type that numpy does not have, such as one of 8 bits.
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is not a readable safetensors file: {error}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise ValueError(
                f"the array {name!r} in {path.name} must hold finite numbers only; it does not"
            )
    return arrays


def number(
    values: Mapping[str, Any], name: str, *, least: float = -inf, most: float = inf
) -> float:
    """The finite number of this name.

    Raises:
        ValueError: there is none, or it is no such number.
    """
    if name not in values:
        raise ValueError(f"the number {name!r} is missing")
    return checked(values[name], name, least=least, most=most)


def checked(value: Any, name: str, *, least: float = -inf, most: float = inf) -> float:
    """The value, if it is a finite number in these bounds; `name` is for the error.

    Raises:
        ValueError: it is not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not isfinite(value) or not least <= value <= most:
        bounds = "" if least == -inf and most == inf else f" from {least:g} to {most:g}"
        raise ValueError(f"{name} must be a finite number{bounds}; it is {value!r}")
    return float(value)


def floats(
    arrays: Mapping[str, np.ndarray],
    name: str,
    shape: tuple[int | None, ...],
    *,
    least: float = -LARGEST,
    most: float = LARGEST,
) -> np.ndarray:
    """The array of this name as float64.

    Args:
        arrays: by name.
        name: of the array.
        shape: that it must have; None: any number.
        least, most: bounds of its values.

    Raises:
        ValueError: there is none, or it has another shape, or values that are not finite or out of
            the bounds.
    """
    array = _shaped(arrays, name, shape).astype(np.float64)
    if not np.isfinite(array).all() or (array < least).any() or (array > most).any():
        raise ValueError(
            f"the array {name!r} must hold numbers from {least:g} to {most:g}; it does not"
        )
    return array


def counts(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...], *, most: int = 2**31
) -> np.ndarray:
    """The array of this name, of whole numbers from 0, as int64.

    Raises:
        ValueError: there is none, or it has another shape or type, or values out of the bounds.
    """
    array = _shaped(arrays, name, shape)
    if array.dtype.kind not in "iu" or (array < 0).any() or (array > most).any():
        raise ValueError(f"the array {name!r} must hold whole numbers from 0 to {most}")
    return array.astype(np.int64)


def _shaped(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...]
) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"the array {name!r} is missing")
    array = arrays[name]
    fits = len(array.shape) == len(shape) and all(
        wanted is None or wanted == got for wanted, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if each is None else str(each) for each in shape)
        raise ValueError(f"the array {name!r} must have the shape ({wanted}); it has {array.shape}")
    return array


def _check_file(path: Path, largest: int) -> None:
    try:
        # A pipe or a device might never end.
        is_file = path.is_file()
        size = path.stat().st_size if is_file else 0
    except OSError as error:
        raise ValueError(f"{path.name} cannot be opened: {error}") from error
    if not is_file:
        raise ValueError(f"there is no file {path.name} in {path.parent}")
    if size > largest:
        raise ValueError(f"{path.name} has more than {largest:,} bytes")


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _count(text: str) -> int:
    # Before it is converted: a number of a million digits takes minutes.
    if len(text) > 20 or abs(int(text)) > LARGEST_COUNT:
        raise ValueError(f"the whole number {text[:20]} is too large")
    return int(text)
