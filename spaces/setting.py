"""Spaces in which an architecture also decides a setting, such as the device that it runs on.

The setting is no part of the network.
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
    """The space under another name, with one more question: which of the options the setting is.

    The new question comes first. The setting is the first node after the graph's input, and all
    paths lead through it. So surrogates can read it, and an architecture has different canonical
    keys under different settings. Only the network itself is built, counted and exported.

    An option that is a word is an operation of its own (`device a100`). A number is an attribute
    (`bits(answer=8)`), so that a predictor can tell near numbers from distant ones. If the space's
    program makes modules, their initial weights are those that torch draws for the operations, not
    those of the module's constructor.

    Rows of tables are read as the space reads them, with one more column: it has the question's
    name and holds indices into the options.

    >>> from spaces.load import load_space
    >>> space = with_setting(load_space("nasbench201"), "bits", (4, 8), name="quantized")

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
    """The graph without the setting's node, for a graph of a space of `with_setting`."""
    if not graph.outgoing[0]:
        return graph  # A disconnected graph, of which simplification left only input and output.
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
    """The question, then the space's own program."""

    space: SearchSpace
    question: str
    options: tuple[Setting, ...]

    def __call__(self, choose: Chooser, shapes: Shapes) -> Graph:
        chosen = choose.one_of(self.question, self.options)
        space = self.space.for_shapes(shapes)
        graph = space.as_graph(space.returned(choose))
        edges = [Edge(source + 1, target + 1, slot) for source, target, slot in graph.edges]
        nodes = (graph.nodes[0], _node(self.question, chosen), *graph.nodes[1:])
        return Graph(nodes, (Edge(0, 1), *edges))


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
    if isinstance(chosen, str):
        return node(f"{question} {chosen}")
    return node(question, answer=chosen)
