"""How the program of a space is called: with which arguments, and what it may return."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spaces.graph import Graph

if TYPE_CHECKING:
    from torch import nn

# Programs that are known to return graphs. They are called without torch and without the meta
# device, which would cost more than the call.
_GRAPH_PROGRAMS: set[Callable[..., Any]] = set()


def gives_graphs(define: Callable[..., Any]) -> bool:
    """Whether the program is known to return graphs, because it did so before."""
    return define in _GRAPH_PROGRAMS


def run_program(define: Callable[..., Any], arguments: tuple[Any, ...]) -> Graph | nn.Module:
    """The graph that the program returns, or its module without memory (see `spaces.making`).

    Raises:
        ValueError: it returned something else.
    """
    if define in _GRAPH_PROGRAMS:
        return define(*arguments)
    if "torch" in sys.modules:
        from spaces.making import made

        result = made(define, arguments, arguments[0].restart)
    else:
        result = define(*arguments)
    if isinstance(result, Graph):
        _GRAPH_PROGRAMS.add(define)
        return result
    return checked_module(define, result)


def checked_module(define: Callable[..., Any], result: Any) -> nn.Module:
    """What the program returned, if it is a module.

    Raises:
        ValueError: it is not.
    """
    if "torch" in sys.modules and isinstance(result, sys.modules["torch"].nn.Module):
        return result
    raise ValueError(
        "a space's program returns a Graph or a torch.nn.Module; "
        f"{getattr(define, '__name__', define)!r} returned {type(result).__name__}"
    )


@lru_cache(maxsize=1024)
def takes_shapes(define: Callable[..., Any]) -> bool:
    """Whether the program is `define(choose, shapes)`, and not `define(choose)`.

    Raises:
        ValueError: it is neither.
    """
    required = [
        parameter
        for parameter in inspect.signature(define).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    if len(required) not in (1, 2):
        raise ValueError(
            f"a space's program is define(choose) or define(choose, shapes); {define!r} takes "
            f"{len(required)} arguments"
        )
    return len(required) == 2
