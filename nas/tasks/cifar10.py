"""The task `cifar10` (Krizhevsky 2009): 32 x 32 colour images of ten classes, from a local file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy
import torch

from nas.tasks.arrays import labelled, read_npz
from nas.tasks.augment import FlipAndCrop
from nas.tasks.folders import decode
from nas.tasks.splits import class_numbers, random_rows, stratified_split
from nas.tasks.task import Split, Task
from spaces import Shapes

MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10(
    path: str,
    *,
    limit: int | None = None,
    test_limit: int | None = None,
    validation_share: float = 0.1,
    augment: bool = True,
    seed: int = 0,
) -> Task:
    """The task of classifying the images of CIFAR-10; nothing is downloaded.

    The validation split is drawn from the training images, class by class.

    Args:
        path: an npz file in one of two forms. Either it has the arrays `train_x` (N, 32, 32, 3)
            uint8, `train_y` (N,), `test_x` and `test_y`. Or it has `train_bytes` (JPEG files one
            after another), `train_offsets` (N + 1,), where each begins and ends, `train_labels`
            (N,), and the same for `test`; this form needs Pillow.
        limit: the most images for training and validation together, drawn at random.
        test_limit: the most images for the test, drawn at random.
        validation_share: the share of the training images that become the validation split.
        augment: whether training images are flipped, and shifted by up to 4 pixels.
        seed: of the random draws of images and splits.

    Raises:
        ValueError: the file is missing or holds other arrays.
    """
    arrays = read_npz(path)
    pixels, labels = _images(arrays, "train", path, limit, seed)
    test_pixels, test_labels = _images(arrays, "test", path, test_limit, seed)
    validation, train = stratified_split(labels, (validation_share,), seed, ("validation_share",))
    return Task(
        "cifar10",
        Split(torch.from_numpy(pixels[train]), torch.from_numpy(labels[train])),
        Split(torch.from_numpy(pixels[validation]), torch.from_numpy(labels[validation])),
        Split(torch.from_numpy(test_pixels), torch.from_numpy(test_labels)),
        Shapes((3, 32, 32), (10,)),
        augment=FlipAndCrop() if augment else None,
        normalize=(MEAN, DEVIATION),
        classes=CLASSES,
    )


def _images(
    arrays: Mapping[str, numpy.ndarray], part: str, path: str, limit: int | None, seed: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    encoded = [f"{part}_{name}" for name in ("bytes", "offsets", "labels")]
    if all(name in arrays for name in encoded):
        data, offsets, labels = (arrays[name] for name in encoded)
        rows = random_rows(len(labels), limit, seed)
        pixels = decode(data, offsets, rows)
    elif f"{part}_x" in arrays:
        pixels, labels = labelled(arrays, part, path)
        rows = random_rows(len(labels), limit, seed)
        pixels = pixels[rows]
    else:
        raise ValueError(
            f"{path} needs the arrays {part}_x and {part}_y, or {', '.join(encoded)}; it holds "
            f"{', '.join(arrays) or 'none'}"
        )
    if pixels.shape[1:] != (3, 32, 32):
        raise ValueError(
            f"the images of CIFAR-10 are 32 x 32 with 3 channels; {path} has {pixels.shape[1:]}: "
            "take the task `images` for others"
        )
    return pixels, class_numbers(labels, f"{part} of {path}")[rows]
