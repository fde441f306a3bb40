"""A node's attributes in a few words, as drawings and summaries show them."""

from __future__ import annotations

from spaces.details import DETAIL
from spaces.graph import Node, Value

_UNSEEN = frozenset(("padding", "bias", "count_include_pad", DETAIL))


def describe(item: Node) -> str:
    """A node's attributes in a few words, without padding, biases and a stride of 1.

    >>> from spaces import node
    >>> describe(node("conv2d", out_channels=16, kernel_size=3, padding=1, stride=2))
    '16 channels, 3×3, stride 2'
    """
    words = []
    for name, value in item.attributes:
        if name in ("out_channels", "out_features"):
            words.insert(0, f"{value} {name.removeprefix('out_')}")
        elif name == "kernel_size" and (item.op.endswith("1d") or item.op == "span_convolution"):
            words.append(f"kernel {value}")
        elif name == "kernel_size":
            words.append(_kernel(value))
        elif name == "shape" and isinstance(value, tuple):
            words.append(" × ".join(map(str, value)))
        elif name == "index" and isinstance(value, tuple):
            words.append(f"[{', '.join(map(_index, value))}]")
        elif name in _UNSEEN or (name == "stride" and value == 1):
            continue
        elif isinstance(value, bool):
            words.append(f"{'' if value else 'no '}{name.replace('_', ' ')}")
        else:
            words.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(words)


def _kernel(value: Value) -> str:
    if isinstance(value, int):
        return f"{value}×{value}"
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _index(item: Value) -> str:
    """An index as Python writes it; a slice is a tuple (start, stop, step)."""
    if isinstance(item, tuple) and len(item) == 3:
        places = item if item[2] is not None else item[:2]
        return ":".join("" if place is None else str(place) for place in places)
    return str(item)
