"""Reads images from class folders and from encoded bytes, with Pillow (the extra `images`)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    from types import ModuleType

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
PARTS = frozenset({"test", "train", "training", "val", "valid", "validation"})


def read_folder(
    path: Path, image_size: int | None
) -> tuple[numpy.ndarray, numpy.ndarray, list[str]]:
    """Images (N, 3, H, W) uint8, labels (N,), and the names of the classes.

    The classes are the sub-folders, sorted by name.

    Args:
        path: a folder with one sub-folder of image files for each class.
        image_size: each image is scaled until its shorter side has this many pixels, and then
            cropped to its middle square; None: the images are left as they are.

    Raises:
        ValueError: there are fewer than two classes, a class has no images, the images differ in
            size and there is no `image_size`, an image cannot be read, or Pillow is not installed.
    """
    classes = sorted(
        item.name for item in path.iterdir() if item.is_dir() and not item.name.startswith(".")
    )
    if classes and PARTS.issuperset(classes):
        raise ValueError(
            f"{path} holds {', '.join(classes)}, which are splits, not classes: give "
            f"path={path / 'train'} and test={path / 'test'}"
        )
    if len(classes) < 2:
        found = f"only the folder {classes[0]!r}" if classes else "no folders"
        raise ValueError(
            f"{path} should hold one folder of images for each of at least two classes; it holds "
            f"{found}"
        )
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(item for item in (path / name).iterdir() if item.suffix.lower() in ENDINGS)
        if not files:
            raise ValueError(
                f"the class folder {path / name} holds no images ({', '.join(sorted(ENDINGS))})"
            )
        for file in files:
            images.append(_read_image(file, image_size))
            labels.append(label)
            if images[-1].shape != images[0].shape:
                sizes = " and ".join(
                    f"{image.shape[1]} x {image.shape[0]}" for image in (images[-1], images[0])
                )
                raise ValueError(
                    f"{file} and the first image differ in size, {sizes} pixels: give image_size "
                    "to bring all to one"
                )
    pixels = numpy.ascontiguousarray(numpy.stack(images).transpose(0, 3, 1, 2))
    return pixels, numpy.array(labels), classes


def decode(data: numpy.ndarray, offsets: numpy.ndarray, rows: numpy.ndarray) -> numpy.ndarray:
    """The decoded images of these rows, (len(rows), 3, H, W) uint8.

    The encoded bytes of image i are `data[offsets[i]:offsets[i + 1]]`.
    """
    pillow, images = _pillow(), []
    for row in rows:
        encoded = io.BytesIO(data[offsets[row] : offsets[row + 1]].tobytes())
        images.append(numpy.asarray(pillow.open(encoded).convert("RGB")))
    return numpy.ascontiguousarray(numpy.stack(images).transpose(0, 3, 1, 2))


def _read_image(file: Path, image_size: int | None) -> numpy.ndarray:
    pillow = _pillow()
    from PIL import ImageOps

    try:
        with pillow.open(file) as opened:
            image: Any = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        raise ValueError(f"{file} could not be read as an image: {error}") from error
    if image_size is not None:
        image = ImageOps.fit(image, (image_size, image_size), method=pillow.Resampling.BICUBIC)
    return numpy.asarray(image)


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise ValueError(
            "reading image files needs Pillow: install the extra `images` (pip install "
            "'surrogate-nas[images]')"
        ) from error
    return Image
