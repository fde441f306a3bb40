"""Numbers of an architecture's graph by name, and the cells that they divide a space into.

They describe how architectures differ beside their score, and need no evaluation:

    depth                 edges of the longest path from the input to the output
    nodes                 operations, the input and the output not counted
    count:OP              nodes of the operation OP
    longest:OP,OP         the most nodes of these operations on one path from the input to the
                          output; -1 if the output does not depend on the input
    written:OP            nodes of OP as the space's program writes them, also those without effect
    parameters            trained numbers of the whole network
    multiply_adds         of the whole network, for one sample

All but the last three are computed from the simplified graph, so isomorphic architectures have
equal numbers. If the space's graph is a cell, these numbers describe the cell.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar

from spaces import Architecture, Graph, SearchSpace
from spaces.canonical import simplify

Cell = tuple[int, ...]

NETWORK = ("parameters", "multiply_adds")


@dataclass(frozen=True)
class Descriptor:
    """A dimension of an archive.

    Attributes:
        name: which number, see the module's docstring.
        edges: where one cell ends and the next begins, in rising order; a value at an edge is in
            the cell above it. Without edges each whole number has a cell of its own.
    """

    # A misspelt key in a configuration is an error, as it is elsewhere.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    edges: tuple[float, ...] = ()


def check(descriptors: tuple[Descriptor, ...]) -> None:
    """Checks that these descriptors can be the dimensions of an archive.

    Raises:
        ValueError: there are none, two have the same name, one is unknown, or edges are missing or
            do not rise.
    """
    names = [descriptor.name for descriptor in descriptors]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"an archive needs one descriptor or more, each once; got {', '.join(names) or 'none'}"
        )
    for descriptor in descriptors:
        _measure(descriptor.name)
        if descriptor.name in NETWORK and not descriptor.edges:
            raise ValueError(
                f"the descriptor {descriptor.name!r} needs edges, such as [1e5, 1e6]: without "
                "them almost every network has its own cell"
            )
        if any(after <= before for before, after in pairwise(descriptor.edges)):
            raise ValueError(
                f"the edges of the descriptor {descriptor.name!r} must rise; got "
                f"{list(descriptor.edges)}"
            )


@lru_cache(maxsize=200_000)
def cell_of(
    space: SearchSpace, architecture: Architecture, descriptors: tuple[Descriptor, ...]
) -> Cell:
    """The architecture's cell, one number for each descriptor.

    The number is the value itself or, if the descriptor has edges, how many of them are at or below
    the value.

    Raises:
        ValueError: a descriptor is unknown, or cannot be computed for this space's architectures.
    """
    graph = space.graph(architecture)
    return tuple(
        _place(describe(space, graph, descriptor.name), descriptor.edges)
        for descriptor in descriptors
    )


def operations(name: str) -> frozenset[str]:
    """The operations that a descriptor counts; empty if it counts none.

    Raises:
        ValueError: there is no such descriptor.
    """
    _measure(name)
    return frozenset(op.strip() for op in name.partition(":")[2].split(",") if op.strip())


def describe(space: SearchSpace, graph: Graph, name: str) -> int:
    """The number of that name for a graph of the space.

    Raises:
        ValueError: see `cell_of`.
    """
    return _measure(name)(space, graph)


def label(descriptor: Descriptor, place: int) -> str:
    """The text for one number of a cell: the value, or the range between two edges."""
    edges = [short(edge) for edge in descriptor.edges]
    if not edges:
        return str(place).replace("-", "−")
    if place == 0:
        return f"< {edges[0]}"
    return f"≥ {edges[-1]}" if place == len(edges) else f"{edges[place - 1]} to {edges[place]}"


def short(edge: float) -> str:
    """The number with a letter for thousands, millions and billions: 1.5M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(edge) >= factor:
            return f"{edge / factor:g}{letter}"
    return f"{edge:g}"


def _place(value: int, edges: tuple[float, ...]) -> int:
    return bisect_right(edges, value) if edges else value


_Measure = Callable[[SearchSpace, Graph], int]


@lru_cache(maxsize=256)
def _measure(name: str) -> _Measure:
    kind, colon, text = name.partition(":")
    if not colon and kind in _PLAIN:
        return _PLAIN[kind]
    ops = tuple(op.strip() for op in text.split(","))
    if colon and kind in _OF_OPERATIONS and all(ops) and (len(ops) == 1 or kind == "longest"):
        measure = _OF_OPERATIONS[kind]
        return lambda space, graph: measure(graph, frozenset(ops))
    near = get_close_matches(name, _PLAIN, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(
        f"there is no descriptor {name!r}{hint} Known are {', '.join(_PLAIN)}, count:OP, "
        "written:OP and longest:OP,OP for operations OP"
    )


def _depth(space: SearchSpace, graph: Graph) -> int:
    return simplify(graph).depth


def _nodes(space: SearchSpace, graph: Graph) -> int:
    return len(simplify(graph).nodes) - 2


def _parameters(space: SearchSpace, graph: Graph) -> int:
    return _costs(space, graph)[0]


def _multiply_adds(space: SearchSpace, graph: Graph) -> int:
    return _costs(space, graph)[1]


@lru_cache(maxsize=4096)
def _costs(space: SearchSpace, graph: Graph) -> tuple[int, int]:
    from spaces.ops import costs

    try:
        counted = costs(space.network_graph(graph), space.shapes.input)
    except ValueError as error:
        raise ValueError(
            "the descriptors parameters and multiply_adds cannot be computed in the space "
            f"{space.name!r}: {error}"
        ) from error
    return counted.parameters, counted.multiply_adds


def _count(graph: Graph, ops: frozenset[str]) -> int:
    return sum(node.op in ops for node in simplify(graph).nodes)


def _written(graph: Graph, ops: frozenset[str]) -> int:
    return sum(node.op in ops for node in graph.nodes)


def _longest(graph: Graph, ops: frozenset[str]) -> int:
    live = simplify(graph)
    most = [0] + [-1] * (len(live.nodes) - 1)
    for number, sources in enumerate(live.incoming[1:], start=1):
        reached = max((most[source] for source in sources), default=-1)
        most[number] = reached + (live.nodes[number].op in ops) if reached >= 0 else -1
    return most[-1]


_PLAIN: Mapping[str, _Measure] = MappingProxyType(
    {"depth": _depth, "nodes": _nodes, "parameters": _parameters, "multiply_adds": _multiply_adds}
)
_OF_OPERATIONS: Mapping[str, Callable[[Graph, frozenset[str]], int]] = MappingProxyType(
    {"count": _count, "longest": _longest, "written": _written}
)
