"""From a user's module to a graph: the module runs once on a value without numbers.

    graph = trace(module, (3, 32, 32))       module may be on the meta device
    built = build(graph)
    copy_state(module, built)                `built` now computes what the module computes

The user's own modules are entered. Modules of torch.nn, parameters and buffers become nodes, whose
label is their dotted path in the module. Shapes are inferred at each call, so `x.shape[1]` is a
plain number on which the program may branch; it cannot branch on the numbers in a tensor.
"""

from __future__ import annotations

from types import CodeType

import torch
from torch import nn

from spaces.choices import Rejected
from spaces.graph import Graph
from spaces.ops.shapes import Shape
from spaces.randomness import fixed_randomness
from spaces.trace.interception import recorded
from spaces.trace.modes import alike_in_evaluation, in_other_mode
from spaces.trace.recording import Recording
from spaces.trace.types_read import type_reader
from spaces.trace.untraceable import Untraceable
from spaces.trace.user_line import user_line


def trace(
    module: nn.Module,
    input_shape: Shape,
    vocabulary: int | None = None,
    *,
    most: int | None = None,
) -> Graph:
    """The graph of what `module` computes in its present mode.

    >>> from torch import nn
    >>> [node.op for node in trace(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (4,)).nodes]
    ['input', 'linear', 'relu', 'output']

    Args:
        module: any module of PyTorch.
        input_shape: of one sample, without the batch.
        vocabulary: the number of different tokens, if the inputs are tokens.
        most: the number of operations at which tracing stops; None: it follows all.

    Raises:
        ValueError: the module does something that a graph cannot hold, or its shapes do not fit.
            For example, it branches on the numbers in a tensor, mixes the samples of a batch, calls
            a function unknown to the vocabulary, returns something else than one tensor, or
            computes something else in the other mode. The message names the file and line, shows
            the line, and says what to do.
    """
    shape = tuple(input_shape)
    kind = torch.get_default_dtype() if vocabulary is None else torch.int64
    try:
        if reader := type_reader(module):
            raise Untraceable(
                f"{reader.co_qualname} in {reader.co_filename}:{reader.co_firstlineno} asks for "
                "type(...) of a value, which is not that of a tensor while the module is traced: "
                "use isinstance"
            )
        graph, reader = _run(module, shape, kind, most)
        if reader is not None:
            with in_other_mode(module):
                other, _ = _run(module, shape, kind, most)
            if not alike_in_evaluation(graph, other):
                raise Untraceable(
                    "it computes something else in evaluation than in training, and a graph is "
                    "one program for both. self.training decides in "
                    f"{reader.co_filename}:{reader.co_firstlineno}, {reader.co_qualname}: "
                    "let nn.Dropout, F.dropout(x, p, self.training) and norm modules make the "
                    "difference"
                )
    except Rejected:
        raise
    except Exception as error:
        raise ValueError(_sentence(module, error)) from error
    return graph


def _run(
    module: nn.Module, shape: Shape, kind: torch.dtype, most: int | None
) -> tuple[Graph, CodeType | None]:
    """The graph, and the code that read whether a module is in training."""
    recording = Recording(module, shape, kind, most)
    try:
        with fixed_randomness(), torch.enable_grad(), recorded(recording):
            result = recording.call_module(module, (recording.input,), {})
        return recording.finished(result), recording.mode_reader
    finally:
        recording.release()


def _sentence(module: nn.Module, error: Exception) -> str:
    """What went wrong, with the user's line."""
    what = str(error) if isinstance(error, Untraceable) else f"{type(error).__name__}: {error}"
    name, place = type(module).__name__, user_line(error)
    return f"{name} cannot be traced{': ' if place is None else f', {place}'}{what}"
