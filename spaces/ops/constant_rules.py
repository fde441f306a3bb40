"""What a parameter or a buffer may start as: one number everywhere, or a pattern."""

from __future__ import annotations

from typing import Any

from spaces.ops.shapes import Attributes, Shape, is_number

# The data types of a buffer. Only the values of this table reach the text of a module.
DTYPES = {
    name: name
    for name in (
        *("float32", "float64", "float16", "bfloat16"),
        *("int64", "int32", "int16", "int8", "uint8", "bool"),
    )
}

# The patterns, and how many numbers each takes:
#   ("uniform", low, high)  drawn uniformly between two numbers
#   ("cosine",)             the matrix of the orthonormal cosine transform (DCT-II)
#   ("distance", most)      at (i, j) the distance j - i, clipped to [-most, most], plus most
PATTERNS = {"uniform": 2, "cosine": 0, "distance": 1}


def constant(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The shape of a parameter or a buffer."""
    shape, fill, dtype = attributes["shape"], attributes["fill"], attributes.get("dtype", "float32")
    if not isinstance(shape, tuple) or any(not isinstance(size, int) or size < 1 for size in shape):
        raise ValueError(f"shape must be a tuple of sizes above 0, got {shape!r}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    if not is_number(fill):
        _check_pattern(fill, shape)
    return shape


def _check_pattern(fill: Any, shape: Shape) -> None:
    named = isinstance(fill, tuple) and fill and fill[0] in PATTERNS
    if not named or len(fill) != 1 + PATTERNS[fill[0]] or not all(map(is_number, fill[1:])):
        known = ", ".join(
            f"({', '.join((name, *['number'] * count))})" for name, count in PATTERNS.items()
        )
        raise ValueError(f"fill must be a number, or one of {known}; got {fill!r}")
    if fill[0] != "uniform" and (len(shape) != 2 or shape[0] != shape[1]):
        raise ValueError(f"fill={fill!r} is for a square, (size, size); got the shape {shape}")
    if fill[0] == "distance" and not (isinstance(fill[1], int) and fill[1] > 0):
        raise ValueError(f"the largest distance must be a whole number above 0, got {fill[1]!r}")
