"""The vocabulary's table: every operation that a graph's nodes can name, by its name."""

from __future__ import annotations

from collections.abc import Mapping

from spaces.ops.activation_operations import activations
from spaces.ops.layer_operations import convolutions, norms, other_layers
from spaces.ops.operation import Op
from spaces.ops.pooling_operations import pools
from spaces.ops.tensor_operations import combinations, rearrangements

OPS: Mapping[str, Op] = {
    op.name: op
    for op in (
        *convolutions(),
        *norms(),
        *other_layers(),
        *activations(),
        *pools(),
        *rearrangements(),
        *combinations(),
    )
}
