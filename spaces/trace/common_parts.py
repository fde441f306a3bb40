"""Nodes and edges of traced graphs, each kept once.

The networks of a space have most nodes and edges in common, and a search keeps thousands of graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from spaces.graph import Edge, Node
from spaces.ops.finding import find


def node_without_defaults(op: str, attributes: Mapping[str, Any], label: str) -> Node:
    """The node of an operation, without the attributes that are equal to their defaults."""
    defaults = find(op).defaults
    given = [
        (name, value)
        for name, value in attributes.items()
        if name not in defaults or defaults[name] != value
    ]
    stride_is_window = attributes.get("stride", False) == attributes.get("kernel_size", True)
    if stride_is_window and defaults["stride"] is None:
        given = [item for item in given if item[0] != "stride"]
    pairs = tuple(sorted(given))
    # 1, 1.0 and True are equal, and not the same to a reader.
    return _node(op, pairs, label, tuple([type(value) for _, value in pairs]))


@lru_cache(maxsize=65536)
def edge(source: int, target: int, slot: int) -> Edge:
    """The edge with these numbers."""
    return Edge(source, target, slot)


@lru_cache(maxsize=65536)
def _node(op: str, attributes: Any, label: str, types: tuple[type, ...]) -> Node:
    return Node(op, attributes, label)
