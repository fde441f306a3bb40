"""Structures of values: one value, several in a tuple, or several by name in a mapping.

A network's inputs and outputs are tensors in such a structure, and their shapes have the same one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from typing import Any

# Whether something is one value, and not a structure of several.
Leaf = Callable[[Any], bool]


class Named(Mapping[str, Any]):
    """A mapping that does not change, in the order of its names; hashable if its values are.

    >>> Named({"table": (16,), "image": (3, 32, 32)})
    {'image': (3, 32, 32), 'table': (16,)}
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: values[name] for name in sorted(values)}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


def is_single(value: Any) -> bool:
    """Whether a value is one value: no tuple, list, mapping or instance of a dataclass."""
    return not (isinstance(value, tuple | list | Mapping) or is_dataclass(value))


def is_shape(value: Any) -> bool:
    """Whether a value is one shape: a tuple or list of whole numbers, which may be empty."""
    return isinstance(value, tuple | list) and all(isinstance(size, int) for size in value)


def mapped(
    function: Callable[..., Any], structure: Any, *others: Any, leaf: Leaf = is_single
) -> Any:
    """The same structure with `function(value, *values of others)` in the place of each value.

    >>> mapped(lambda value, factor: value * factor, {"a": 2, "b": (3, 4)}, {"a": 5, "b": (6, 7)})
    {'a': 10, 'b': (18, 28)}

    Args:
        function: of one value, and of one of each further structure.
        structure: a value, or tuples, lists, mappings and dataclasses of structures.
        others: structures like it. They may have more inside.
        leaf: whether something is one value.

    Raises:
        ValueError: another structure lacks a part.
    """
    if leaf(structure):
        return function(structure, *others)
    parts = _parts(structure)
    parts_of_others = [_parts(other) for other in others]
    for other, each in zip(others, parts_of_others, strict=True):
        if parts.keys() - each.keys():
            raise ValueError(f"{other!r} has not the structure of {structure!r}")
    changed = {
        name: mapped(function, part, *(each[name] for each in parts_of_others), leaf=leaf)
        for name, part in parts.items()
    }
    return _with_parts(structure, changed)


def leaves(structure: Any, leaf: Leaf = is_single) -> list[Any]:
    """The values of a structure, in order."""
    if leaf(structure):
        return [structure]
    return [value for part in _parts(structure).values() for value in leaves(part, leaf)]


def by_name(structure: Any, root: str, leaf: Leaf = is_single) -> dict[str, Any]:
    """The values of a structure by the names of their places, in order.

    >>> by_name({"logits": 1, "heads": (2, 3)}, "outputs")
    {'logits': 1, 'heads_0': 2, 'heads_1': 3}
    >>> by_name((1, 2), "outputs")
    {'outputs_0': 1, 'outputs_1': 2}

    Args:
        structure: a value, or several.
        root: the name of a single value, and of an outermost tuple.
        leaf: whether something is one value.

    Raises:
        ValueError: two places have the same name, as in `{"a": (1, 2), "a_0": 3}`.
    """
    if leaf(structure):
        return {root: structure}
    return _by_place(structure, root if isinstance(structure, tuple | list) else "", leaf)


def _by_place(structure: Any, prefix: str, leaf: Leaf) -> dict[str, Any]:
    if leaf(structure):
        return {prefix: structure}
    named = dict[str, Any]()
    for place, part in _parts(structure).items():
        further = _by_place(part, f"{prefix}_{place}" if prefix else str(place), leaf)
        if both := named.keys() & further.keys():
            raise ValueError(
                f"two places of a structure would be named {min(both)!r}: give its parts other "
                "names"
            )
        named |= further
    return named


def plain(structure: Any, leaf: Leaf = is_single) -> Any:
    """The same structure in dictionaries, tuples and lists, and in no other classes."""
    if leaf(structure):
        return structure
    parts = {place: plain(part, leaf) for place, part in _parts(structure).items()}
    if isinstance(structure, list):
        return list(parts.values())
    return tuple(parts.values()) if isinstance(structure, tuple) else parts


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional arguments and those by name with which a network takes the inputs."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,), {}


def call(module: Callable[..., Any], inputs: Any) -> Any:
    """What the module returns: `module(x)`, `module(*inputs)` or `module(**inputs)`.

    Args:
        module: a network.
        inputs: a tensor, a tuple or list of tensors, or a mapping of tensors by name.
    """
    positional, named = arguments(inputs)
    return module(*positional, **named)


def shape_in_graph(shape: Any) -> tuple[int, ...]:
    """The shape of a graph's one input: of several inputs, the count of all their numbers.

    >>> shape_in_graph((3, 32, 32)), shape_in_graph(((3, 32, 32), (16,)))
    ((3, 32, 32), (3088,))
    """
    if is_shape(shape):
        return tuple(shape)
    return (sum(math.prod(each) for each in leaves(shape, is_shape)),)


def mismatch(values: Any, expected: Any) -> str:
    """The places at which a batch of tensors has not the expected shapes; empty if it fits.

    Args:
        values: tensors (N, ...) in a structure.
        expected: the shapes of one sample. If this is one shape, only a single tensor is compared
            with it, since it does not say which of several tensors it means.
    """
    if is_shape(expected) and not is_single(values):
        return ""
    given = by_name(values, "outputs")
    wanted = {name: tuple(shape) for name, shape in by_name(expected, "outputs", is_shape).items()}
    if given.keys() != wanted.keys():
        return f"the outputs {', '.join(given)}"
    shapes = {
        name: tuple(value.shape[1:]) if hasattr(value, "shape") else type(value).__name__
        for name, value in given.items()
    }
    return " and ".join(
        f"{name} of shape {shape}" for name, shape in shapes.items() if shape != wanted[name]
    )


def _parts(structure: Any) -> Mapping[Any, Any]:
    if isinstance(structure, Mapping):
        return structure
    if isinstance(structure, tuple | list):
        return dict(enumerate(structure))
    if is_dataclass(structure):
        return {field.name: getattr(structure, field.name) for field in fields(structure)}
    return {}


def _with_parts(structure: Any, parts: dict[Any, Any]) -> Any:
    """A structure of the same type with other parts."""
    if isinstance(structure, MutableMapping):
        copied = copy.copy(structure)
        copied.update(parts)
        return copied
    if isinstance(structure, Mapping):
        return Named(parts) if isinstance(structure, Named) else parts
    if is_dataclass(structure):
        copied = copy.copy(structure)
        for name, part in parts.items():
            object.__setattr__(copied, name, part)
        return copied
    kind, values = type(structure), parts.values()
    return kind(*values) if hasattr(structure, "_fields") else kind(values)
