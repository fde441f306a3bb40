"""The graph that describes a user's module: its trace where that is faithful, else what it runs."""

from __future__ import annotations

from torch import nn

from spaces.graph import Graph
from spaces.ops import costs
from spaces.ops.shapes import Shape
from spaces.trace.tracing import trace
from spaces.trace.watching import watch


def describe(module: nn.Module, input_shape: Shape, vocabulary: int | None = None) -> Graph:
    """The graph of `module` in its present mode.

    It is the trace, if the module can be traced and the trace has all of its parameters. Otherwise
    it is the coarser graph of the operations that the module runs.

    Args:
        module: any module of PyTorch that takes one tensor and returns one.
        input_shape: of one sample, without the batch.
        vocabulary: the number of different tokens, if the inputs are tokens.

    Raises:
        ValueError: the module can be neither traced nor run.
    """
    try:
        graph = trace(module, input_shape)
        if costs(graph).parameters == sum(item.numel() for item in module.parameters()):
            return graph
    except ValueError as error:
        try:
            return watch(module, input_shape, vocabulary)
        except ValueError:
            # The sentence of the trace names the user's line.
            raise error from None
    return watch(module, input_shape, vocabulary)
