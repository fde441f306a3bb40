"""Shapes with the batch dimension written -1, and how settings and dimensions are read.

A shape here is a whole one, as torch has it, and its batch dimension is written `BATCH` (-1). The
batch is part of it because a program may move it (`x.permute(2, 0, 1)`) or combine a batch with a
parameter, which has none. An image is (BATCH, C, H, W), a vector (BATCH, F), a sequence
(BATCH, T, D).

A `Rule` infers the shape that an operation gives from its attributes and the shapes of its inputs.
It raises a `ValueError` that says what it expected; `ops.infer_shapes` adds the node to the
message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Shape = tuple[int, ...]
Attributes = Mapping[str, Any]
Rule = Callable[[Attributes, tuple[Shape, ...]], Shape]
BATCH = -1


def elements(shape: Shape) -> int:
    """The number of elements for one sample: the batch counts as 1."""
    return math.prod(size for size in shape if size != BATCH)


def each(value: Any, count: int) -> tuple[Any, ...]:
    """A setting such as `kernel_size=3` as one number for each of `count` dimensions.

    Raises:
        ValueError: `value` is neither a whole number nor a tuple of `count` of them.
    """
    values = value if isinstance(value, tuple) else (value,) * count
    if len(values) != count or not all(isinstance(item, int) for item in values):
        raise ValueError(f"expected a whole number or {count} of them, got {value!r}")
    return values


def dimension(dim: int, shape: Shape, *, extra: int = 0, batch: bool = False) -> int:
    """The position of the dimension `dim` of `shape`, counted from the front.

    Args:
        dim: may be negative, as in torch.
        shape: a whole shape.
        extra: 1 if `dim` may also be the place behind the last dimension.
        batch: whether `dim` may be the batch dimension.

    Raises:
        ValueError: there is no such dimension, or it is the batch.
    """
    rank = len(shape) + extra
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise ValueError(f"dim={dim!r} is not a dimension of {shown(shape)}")
    position = dim % rank
    if not batch and not extra and shape[position] == BATCH:
        raise ValueError(f"dim={dim} is the batch dimension, and samples may not be mixed")
    return position


def images(shape: Shape, spatial: int) -> tuple[int, Shape]:
    """The number of channels and the spatial sizes of a batch of (C, ...).

    Raises:
        ValueError: there are not exactly `spatial` dimensions behind the channels.
    """
    if len(shape) != spatial + 2 or shape[0] != BATCH:
        kinds = {
            0: "vectors (F,)",
            1: "signals (C, L)",
            2: "images (C, H, W)",
            3: "volumes (C, D, H, W)",
        }
        raise ValueError(f"expected {kinds[spatial]} behind the batch")
    return shape[1], shape[2:]


def channels(value: Any, in_channels: int) -> int:
    """A number of channels or groups; "in_channels" stands for the number of input channels."""
    return in_channels if value == "in_channels" else value


def is_number(value: Any) -> bool:
    """Whether `value` is a number, or the text of one that JSON lacks ("inf", "-inf", "nan")."""
    return isinstance(value, int | float) or value in ("inf", "-inf", "nan")


def shown(shape: Shape) -> str:
    """A shape for messages; the batch is left out if it comes first."""
    if shape[:1] == (BATCH,):
        shape = shape[1:]
    sizes = ", ".join("batch" if size == BATCH else str(size) for size in shape)
    return f"({sizes},)" if len(shape) == 1 else f"({sizes})"
