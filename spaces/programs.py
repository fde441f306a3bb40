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
_MODULE_PROGRAMS: set[Callable[..., Any]] = set()


def gives_graphs(define: Callable[..., Any]) -> bool:
    """Whether the program is known to return graphs, because it did so before."""
    return define in _GRAPH_PROGRAMS


def run_program(define: Callable[..., Any], arguments: tuple[Any, ...]) -> Graph | nn.Module:
    """The graph that the program returns, or its module without memory (see `spaces.making`).

    Raises:
        ValueError: it returned something else.
    """
    if define in _GRAPH_PROGRAMS:
        result = define(*arguments)
        if not isinstance(result, Graph):
            raise _refusal(define, result)
        return result
    if "torch" in sys.modules:
        result = _made(define, arguments)
    else:
        result = define(*arguments)
        if "torch" in sys.modules and not isinstance(result, Graph):
            # The program itself imported torch, so nothing was noted of how its module was made.
            arguments[0].restart()
            result = _made(define, arguments)
    if isinstance(result, Graph) and define not in _MODULE_PROGRAMS:
        _GRAPH_PROGRAMS.add(define)
        return result
    module = checked_module(define, result)
    _MODULE_PROGRAMS.add(define)
    return module


def _made(define: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    from spaces.making import made  # It imports torch.

    return made(define, arguments, arguments[0].restart)


def checked_module(define: Callable[..., Any], result: Any) -> nn.Module:
    """What the program returned, if it is a module.

    Raises:
        ValueError: it is not.
    """
    if not _is_module(result):
        raise _refusal(define, result)
    return result


def _is_module(result: Any) -> bool:
    return "torch" in sys.modules and isinstance(result, sys.modules["torch"].nn.Module)


def _refusal(define: Callable[..., Any], result: Any) -> ValueError:
    name = getattr(define, "__name__", define)
    if isinstance(result, Graph) or _is_module(result):
        return ValueError(
            f"the program {name!r} returns a Graph for some choices and a torch.nn.Module for "
            "others: let it return modules only, or make two spaces"
        )
    return ValueError(
        "a space's program returns a Graph or a torch.nn.Module; "
        f"{name!r} returned {type(result).__name__}"
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
