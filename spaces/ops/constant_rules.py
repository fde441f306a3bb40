"""What a parameter or a buffer may start as: one number everywhere, or a pattern. See `shape_rules`
for how shapes are written.
"""

from __future__ import annotations

from typing import Any

from spaces.ops.shape_rules import DTYPES, Attributes, Shape, is_number

# By name, how many numbers say more of it:
#   ("uniform", low, high)  drawn between two numbers
#   ("cosine",)             the orthonormal cosine transform (DCT-II) as a matrix
#   ("distance", most)      at (i, j) the distance j - i, held between -most and most, plus most: a number for each distance
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
    if (
        not isinstance(fill, tuple)
        or not fill
        or fill[0] not in PATTERNS
        or len(fill) != 1 + PATTERNS[fill[0]]
        or not all(map(is_number, fill[1:]))
    ):
        known = ", ".join(
            f"({', '.join((name, *['number'] * count))})" for name, count in PATTERNS.items()
        )
        raise ValueError(f"fill must be a number, or one of {known}; got {fill!r}")
    if fill[0] != "uniform" and (len(shape) != 2 or shape[0] != shape[1]):
        raise ValueError(f"fill={fill!r} is for a square, (size, size); got the shape {shape}")
    if fill[0] == "distance" and not (isinstance(fill[1], int) and fill[1] > 0):
        raise ValueError(f"distances are held within a whole number above 0, got {fill[1]!r}")
