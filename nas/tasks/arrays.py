"""Reads arrays from npz files: the columns of tables, and images with their labels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy

# The column of a table, of any space, that holds the architecture of each row as JSON, in the form
# of `Architecture.to_json`.
ARCHITECTURE = "architecture"


def read_npz(path: str | Path) -> dict[str, numpy.ndarray]:
    """All arrays of an npz file; nothing is unpickled.

    Raises:
        ValueError: there is no such file, it is not an npz file, or it holds Python objects.
    """
    _check_npz(path)
    with numpy.load(path, allow_pickle=False) as arrays:
        try:
            return {name: arrays[name] for name in arrays.files}
        except ValueError as error:
            raise ValueError(
                f"{path} could not be read: {error}. Save plain arrays of numbers, not Python "
                "objects"
            ) from error


def array_names(path: str | Path) -> list[str]:
    """The names of the arrays in an npz file; the arrays themselves are not read.

    Raises:
        ValueError: there is no such file, or it is not an npz file.
    """
    _check_npz(path)
    with numpy.load(path, allow_pickle=False) as arrays:
        return list(arrays.files)


def _check_npz(path: str | Path) -> None:
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path} (looked from {Path.cwd()})")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an npz file, as numpy.savez writes it")


def labelled(
    arrays: Mapping[str, numpy.ndarray], part: str, path: str | Path
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The images `{part}_x` (N, C, H, W) and the labels `{part}_y` (N,).

    Raises:
        ValueError: an array is missing, the first does not hold images, or the numbers of images
            and labels differ.
    """
    missing = [name for name in (f"{part}_x", f"{part}_y") if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} needs the arrays {part}_x (images) and {part}_y (labels); it holds "
            f"{', '.join(arrays) or 'none'}"
        )
    images, labels = arrays[f"{part}_x"], arrays[f"{part}_y"]
    if len(images) != len(labels):
        raise ValueError(
            f"{path} has {len(images)} images in {part}_x and {len(labels)} labels in {part}_y; "
            "the two numbers should be equal"
        )
    return channels_first(images, f"{part}_x of {path}"), labels


def channels_first(images: numpy.ndarray, where: str) -> numpy.ndarray:
    """The images as an array (N, C, H, W) of uint8 or float32.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), where C is 1, 3 or 4; uint8 or floating
            point.
        where: names the array in an error message.

    Raises:
        ValueError: the array has another shape or type.
    """
    if images.dtype != numpy.uint8 and images.dtype.kind != "f":
        raise ValueError(
            f"images are uint8 (0 to 255) or floating point; {where} is {images.dtype}"
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3, 4):
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or images.shape[1] not in (1, 3, 4):
        raise ValueError(
            "images have the shape (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 "
            f"channels; {where} has {images.shape}"
        )
    if images.dtype != numpy.uint8:
        images = images.astype(numpy.float32)
    return numpy.ascontiguousarray(images)
