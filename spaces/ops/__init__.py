"""The vocabulary: the primitive operations that a graph's nodes name, and what can be told of a
network without building it.
"""

from spaces.ops.counting import (
    OPS,
    REQUIRED,
    Costs,
    Op,
    costs,
    find,
    infer,
    infer_shapes,
    literal,
    needed,
    node_costs,
    settings,
    whole_shapes,
)

__all__ = [
    "OPS",
    "REQUIRED",
    "Costs",
    "Op",
    "costs",
    "find",
    "infer",
    "infer_shapes",
    "literal",
    "needed",
    "node_costs",
    "settings",
    "whole_shapes",
]
