"""What a handler is: a function that turns a call of a torch function into nodes.

A handler takes `record`, which adds a node to the graph (see `Record`), and the arguments of the
call. It returns the result of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from spaces.trace.untraceable import Untraceable
from spaces.trace.value import Traced


class Record(Protocol):
    """Adds a node: `record(op, attributes, inputs)` returns its value.

    Attributes that are equal to their defaults are left out of the node.
    """

    def __call__(
        self, op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...]
    ) -> Traced: ...


Handler = Callable[..., Any]


def function_name(function: Callable[..., Any]) -> tuple[str, bool]:
    """The plain name of a torch function, and whether it works in place.

    It is ("relu", True) for `Tensor.relu_`, and ("add", True) for `Tensor.__iadd__`.
    """
    name = getattr(function, "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        bare = name[2:-2]
        return (bare[1:], True) if bare in ("iadd", "isub", "imul", "itruediv") else (bare, False)
    return (name[:-1], True) if name.endswith("_") else (name, False)


def bound(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments behind the tensor by name.

    Other arguments are ignored if they do not change the result (`inplace`, `training`, None,
    False).

    Args:
        names: the names of the arguments that a handler knows, in order.
        args, kwargs: of the call, without the tensor.

    Raises:
        Untraceable: there is another argument.
    """
    result = dict(zip(names, args, strict=False))
    extra = [value for value in args[len(names) :] if value not in (None, False, True)]
    for name, value in kwargs.items():
        if name in names:
            result[name] = value
        elif name in ("inplace", "training", "train", "_stacklevel"):
            continue
        elif value is not None and value is not False:
            extra.append(f"{name}={value!r}")
    if extra:
        raise Untraceable(f"the argument {extra[0]} has no place in the vocabulary")
    return result
