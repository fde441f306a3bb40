"""Arguments of a call as the attributes of a node."""

from __future__ import annotations

import math
from typing import Any

from spaces.trace.sizes import BatchSize
from spaces.trace.untraceable import Untraceable

# Attributes that hold one number for each spatial dimension.
_SIZES = frozenset(
    (
        *("kernel_size", "stride", "padding", "dilation", "output_padding"),
        *("output_size", "size", "scale_factor"),
    )
)


def json_value(value: Any) -> Any:
    """The value as a node's attribute: a JSON value, with tuples for lists.

    Raises:
        Untraceable: it is not a JSON value.
    """
    if isinstance(value, tuple | list):
        return tuple(map(json_value, value))
    if isinstance(value, BatchSize):
        return "batch"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise Untraceable(
        f"the argument {value!r} has no place in a graph, which holds numbers, texts and tuples "
        "of them"
    )


def short(name: str, value: Any) -> Any:
    """The value of the attribute `name` as one writes it by hand: 3 for (3, 3)."""
    if type(value) in (int, bool, str):
        return value
    value = json_value(value)
    if name not in _SIZES:
        return value
    has_first = isinstance(value, tuple) and value and value[0] is not None
    if has_first and all(item == value[0] for item in value):
        value = value[0]
    return int(value) if isinstance(value, float) and value.is_integer() else value
