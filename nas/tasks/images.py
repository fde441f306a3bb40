"""The task `images`: classifying your own images, from an npz file or a folder of class folders."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch

from nas.tasks.arrays import array_names, labelled, read_npz
from nas.tasks.augment import FlipAndCrop
from nas.tasks.folders import read_folder
from nas.tasks.splits import class_numbers, refuse_one_file, stratified_split
from nas.tasks.task import Augment, Split, Task
from spaces import Shapes


def images(
    path: str,
    *,
    test: str | None = None,
    image_size: int | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    flip: bool = True,
    crop_padding: int = 4,
    seed: int = 0,
) -> Task:
    """The task of classifying the images under `path`.

    The splits are drawn class by class. The images are normalised by the mean and the standard
    deviation of the training images.

    Args:
        path: an npz file with the arrays `train_x` (N, H, W[, C]) uint8 or float, `train_y` (N,)
            whole numbers, and perhaps `test_x`, `test_y`; or a folder with one folder of image
            files for each class.
        test: a second npz file with `test_x` and `test_y`, or a second folder with the same
            classes. Without it, and without test arrays in `path`, a share `test_share` of the
            images becomes the test split.
        image_size: image files are scaled and cropped to squares of this many pixels; not for
            arrays.
        validation_share: the share of the images that becomes the validation split.
        flip: mirror training images at random.
        crop_padding: shift training images at random by at most this many pixels; 0: not shifted.
        seed: of the splits.

    Raises:
        ValueError: the data has another form; the message says what was found.
    """
    if (inside := _test_inside(path)) and test is not None:
        raise ValueError(
            f"{path} has test arrays ({', '.join(inside)}), and test={test} gives others: leave "
            "one out"
        )
    if test is not None:
        refuse_one_file({"path": path, "test": test})
    pixels, labels, classes = _read(path, "train", image_size)
    labels = class_numbers(labels, str(path))
    if test is None and not inside:
        rows, validation_rows, train_rows = stratified_split(
            labels, (test_share, validation_share), seed, ("test_share", "validation_share")
        )
        test_split = _split(pixels, labels, rows)
    else:
        known = classes or list(range(labels.max() + 1))
        test_split = _test_split(test or path, image_size, pixels.shape[1:], known)
        validation_rows, train_rows = stratified_split(
            labels, (validation_share,), seed, ("validation_share",)
        )
    train = _split(pixels, labels, train_rows)
    augment: Augment | None = FlipAndCrop(flip, crop_padding) if flip or crop_padding else None
    shapes = Shapes(tuple(pixels.shape[1:]), (int(labels.max()) + 1,))
    return Task(
        Path(path).stem,
        train,
        _split(pixels, labels, validation_rows),
        test_split,
        shapes,
        augment=augment,
        normalize=_statistics(train.inputs),
        classes=tuple(classes),
    )


def _read(
    path: str, part: str, image_size: int | None
) -> tuple[numpy.ndarray, numpy.ndarray, list[str]]:
    if Path(path).is_dir():
        return read_folder(Path(path), image_size)
    if not Path(path).exists():
        raise ValueError(f"there is no file or folder {path} (looked from {Path.cwd()})")
    if image_size is not None:
        raise ValueError(
            f"image_size is for folders of image files; {path} is a file of arrays, which are "
            "taken as they are"
        )
    return (*labelled(read_npz(path), part, path), [])


def _test_inside(path: str) -> list[str]:
    if not Path(path).is_file():
        return []
    return [name for name in array_names(path) if name.startswith("test_")]


def _test_split(path: str, image_size: int | None, shape: tuple[int, ...], classes: list) -> Split:
    pixels, labels, names = _read(path, "test", image_size)
    if names and names != classes:
        raise ValueError(
            f"the test folder {path} has the classes {', '.join(names)}; the training folder has "
            f"{', '.join(map(str, classes))}"
        )
    if pixels.shape[1:] != shape:
        raise ValueError(
            f"the test images of {path} have the shape {pixels.shape[1:]}, the training images "
            f"{shape}; bring them to one"
        )
    # A small test set may lack a class, so its labels are compared with the training classes.
    whole = labels.dtype.kind in "iu" and len(labels) > 0
    if not whole or labels.min() < 0 or labels.max() >= len(classes):
        found = f"{labels.dtype} {numpy.unique(labels).tolist()}"
        raise ValueError(
            f"the test labels of {path} should be whole numbers 0 to {len(classes) - 1} as in "
            f"training; they are {found}"
        )
    return Split(torch.from_numpy(pixels), torch.from_numpy(labels.astype(numpy.int64)))


def _split(pixels: numpy.ndarray, labels: numpy.ndarray, rows: numpy.ndarray) -> Split:
    return Split(torch.from_numpy(pixels[rows]), torch.from_numpy(labels[rows]))


def _statistics(inputs: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the standard deviation of each channel, computed in float64.

    The deviation of a constant channel is given as 1, so that it is not scaled.
    """
    scale = 255 if inputs.dtype == torch.uint8 else 1
    channels = [inputs[:, channel].double() / scale for channel in range(inputs.shape[1])]
    means = tuple(values.mean().item() for values in channels)
    return means, tuple(values.std().item() or 1.0 for values in channels)
