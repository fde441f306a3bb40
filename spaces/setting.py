"""A space whose architectures are decided together with a setting that is no part of the network,
such as the device that it is to run on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.graph import Edge, Graph, Node, node
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

Setting = str | int | float


def with_setting(
    space: SearchSpace, question: str, options: tuple[Setting, ...], *, name: str
) -> SearchSpace:
    """The space under another name that asks first which of the options it is to be, then all that
    it asked before.

    The setting is the graph's first node behind the input, through which all paths lead: surrogates
    read it, and architectures under two settings have two canonical keys. What is built, counted
    and exported is the network alone. Words are operations of their own (`device a100`), numbers an
    attribute (`bits(answer=8)`), in which a predictor sees near and far. Where the space's program
    makes modules, their weights begin as torch draws them for the operations, not as the module's
    constructor would.

    Rows of tables are read as the space reads them, with a column of the question's name: an index
    into the options.

    Raises:
        ValueError: there is no option, or two are equal.
    """
    if not options or len(set(options)) < len(options):
        raise ValueError(f"the setting {question!r} needs different options, got {options!r}")
    plain = replace(space, held=(), regions=(), limit=None)
    return replace(
        space,
        name=name,
        define=_Program(plain, question, options),
        network=_Network(plain) if space.builds else None,
        rows=None if space.rows is None else _Rows(space.rows, question, options, name),
    )


def without_setting(graph: Graph) -> Graph:
    """The graph of the network alone, of one that `with_setting` describes."""
    if not graph.outgoing[0]:
        return graph  # No path leads to the output, and simplified nothing else is left.
    gone = graph.outgoing[0][0]
    place = [number - (number > gone) for number in range(len(graph.nodes))]
    place[gone] = 0
    edges = tuple(
        Edge(place[source], place[target], slot)
        for source, target, slot in graph.edges
        if target != gone
    )
    return Graph((*graph.nodes[:gone], *graph.nodes[gone + 1 :]), edges)


@dataclass(frozen=True)
class _Program:
    """The space's program behind the question."""

    space: SearchSpace
    question: str
    options: tuple[Setting, ...]

    def __call__(self, choose: Chooser, shapes: Shapes) -> Graph:
        chosen = choose.one_of(self.question, self.options)
        space = self.space.for_shapes(shapes)
        graph = space.as_graph(space.returned(choose))
        edges = [Edge(source + 1, target + 1, slot) for source, target, slot in graph.edges]
        return Graph(
            (graph.nodes[0], _node(self.question, chosen), *graph.nodes[1:]), (Edge(0, 1), *edges)
        )


@dataclass(frozen=True)
class _Network:
    """The whole network of the graph without its setting."""

    space: SearchSpace

    def __call__(self, graph: Graph, shapes: Shapes) -> Graph:
        return self.space.for_shapes(shapes).network_graph(without_setting(graph))


@dataclass(frozen=True)
class _Rows:
    """A table's rows, with the setting of each."""

    rows: Callable[[Mapping[str, numpy.ndarray]], list[Architecture]]
    question: str
    options: tuple[Setting, ...]
    name: str

    def __call__(self, columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
        chosen = [self.options[index] for index in columns[self.question].tolist()]
        return [
            Architecture(self.name, ((self.question, setting), *architecture.decisions))
            for setting, architecture in zip(chosen, self.rows(columns), strict=True)
        ]


def _node(question: str, chosen: Setting) -> Node:
    return (
        node(f"{question} {chosen}") if isinstance(chosen, str) else node(question, answer=chosen)
    )
