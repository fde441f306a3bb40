"""Whether a module computes the same in training and in evaluation, as one graph must.

Only dropout and norms may differ: norms are modules of torch.nn, which know the mode.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType

from torch import nn

from spaces.canonical import canonical_key
from spaces.graph import Graph, Node

_DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"})


def mode_reader(module: nn.Module) -> CodeType | None:
    """The first of the user's own methods that reads `self.training`; None if none does."""
    codes = (_reader_of(type(part)) for part in module.modules())
    return next((code for code in codes if code is not None), None)


def alike_in_evaluation(first: Graph, second: Graph) -> bool:
    """Whether two graphs compute the same without dropout."""
    return canonical_key(_without_dropout(first)) == canonical_key(_without_dropout(second))


@contextmanager
def in_other_mode(module: nn.Module) -> Iterator[None]:
    """Within this context, the module is in the other mode, training or evaluation."""
    before = [(part, part.training) for part in module.modules()]
    other = not module.training
    for part, _ in before:
        part.training = other
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode


def _without_dropout(graph: Graph) -> Graph:
    def evaluated(item: Node) -> Node:
        if item.op in _DROPOUTS:
            return Node("identity")
        return Node(item.op, tuple(pair for pair in item.attributes if pair[0] != "dropout_p"))

    return Graph(tuple(map(evaluated, graph.nodes)), graph.edges)


@lru_cache(maxsize=4096)
def _reader_of(kind: type) -> CodeType | None:
    own = [item for item in kind.__mro__ if not item.__module__.startswith(("torch.", "builtins"))]
    for item in own:
        for value in vars(item).values():
            method = inspect.unwrap(value) if callable(value) else None
            if inspect.isfunction(method) and _reads(method.__code__):
                return method.__code__
    return None


def _reads(code: CodeType) -> bool:
    return "training" in code.co_names or any(
        _reads(item) for item in code.co_consts if isinstance(item, CodeType)
    )
