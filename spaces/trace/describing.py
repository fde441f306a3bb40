"""The graph that describes a user's module: its trace where that is faithful, else what it runs."""

from __future__ import annotations

from typing import Any

from torch import nn

from spaces.graph import Graph
from spaces.ops import costs
from spaces.structure import is_shape
from spaces.trace.tracing import trace
from spaces.trace.user_line import UserLine, user_line
from spaces.trace.watching import watch

# A larger network is described by blocks.
MOST_TRACED = 150


def describe(module: nn.Module, input_shape: Any, vocabulary: Any = None) -> Graph:
    """The graph of `module` in its present mode.

    It is the trace, if the module can be traced, the trace has all of its parameters, and it has at
    most `MOST_TRACED` operations. Otherwise it is the coarser graph of the operations that the
    module runs, so that the graphs of large networks stay readable and quick to learn from.

    Args:
        module: any module of PyTorch.
        input_shape: of one sample, without the batch; of several inputs a tuple or mapping of
            shapes, as in `spaces.Shapes`. Modules with several inputs are not traced.
        vocabulary: the number of different tokens, if the inputs are tokens, in the structure of
            the inputs.

    Raises:
        ValueError: the module can be neither traced nor run.
    """
    if not is_shape(input_shape):
        return watch(module, input_shape, vocabulary)
    try:
        graph = trace(module, input_shape, vocabulary, most=MOST_TRACED)
        if costs(graph).parameters == sum(item.numel() for item in module.parameters()):
            return graph
    except ValueError as untraced:
        try:
            return watch(module, input_shape, vocabulary)
        except ValueError as failed:
            # The trace may have given up before. Where both failed, it says what to do.
            same = _place(untraced) == _place(failed) is not None
            raise (untraced if same else failed) from None
    return watch(module, input_shape, vocabulary)


def _place(error: ValueError) -> UserLine | None:
    return None if error.__cause__ is None else user_line(error.__cause__)
