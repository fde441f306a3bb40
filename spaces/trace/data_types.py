"""The data types of traced values, as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch

# Operations that keep the type of their inputs, whatever it is.
_KEEP = frozenset(
    (
        *("identity", "flatten", "unflatten", "reshape", "expand", "permute", "transpose"),
        *("squeeze", "unsqueeze", "chunk", "split", "getitem", "cat", "stack", "amax", "amin"),
        *("zero_pad2d", "maximum", "minimum", "pixel_shuffle"),
    )
)
_COMPARISONS = frozenset(
    (
        "eq_scalar",
        *(f"function:torch.{name}" for name in ("eq", "ne", "lt", "le", "gt", "ge", "isnan")),
        *(f"function:torch.logical_{name}" for name in ("and", "or", "not", "xor")),
    )
)


def result_type(op: str, given: Sequence[torch.dtype | None]) -> torch.dtype | None:
    """The type of an operation's value; None if it is not known.

    Operations of the table give floating point numbers where they are given them.

    Args:
        op: the operation's name.
        given: the types of its inputs.
    """
    if op in _COMPARISONS:
        return torch.bool
    if not given or None in given or op.startswith("function:"):
        return None
    known = [kind for kind in given if kind is not None]
    if op == "masked_fill":
        return known[0]
    kept = op in _KEEP and all(kind == known[0] for kind in known)
    if kept or all(kind.is_floating_point for kind in known):
        return reduce(torch.promote_types, known)
    return None
