"""A search space: a program of choices, and how networks are made of the graphs it returns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spaces.choices import Architecture, Chooser, Rejected
from spaces.domains import Answer, Domain
from spaces.garbage import without_garbage_collection
from spaces.graph import Graph
from spaces.programs import checked_module, gives_graphs, run_program, takes_shapes
from spaces.regions import Regions
from spaces.shapes import Shapes

if TYPE_CHECKING:
    import numpy
    from torch import nn


_COLOUR_IMAGES = Shapes((3, 32, 32), (10,))


@dataclass(frozen=True)
class SearchSpace:
    """A program that makes choices and returns a graph, or an `nn.Module` that is traced into one.

    >>> from spaces import GraphBuilder
    >>> def define(choose):
    ...     builder = GraphBuilder()
    ...     op = choose.one_of("op", ["relu", "tanh"])
    ...     return builder.output(builder.node(op, builder.input()))
    >>> space = SearchSpace("activations", define)

    Attributes:
        name: the space's name, which every architecture of this space contains.
        define: the program, `define(choose)` or `define(choose, shapes)`.
        shapes: the shapes of the networks' inputs and outputs. A task sets its own with
            `for_shapes`.
        network: for spaces whose graph is a cell: `network(cell, shapes)` is the whole network's
            graph. None: the graph is the network.
        builds: False if architectures are only described, for predictors and for tables of scores,
            and no network can be made of them.
        rows: reads published tables: `rows(columns)` gives the architecture of every row. None:
            there is no such table.
        held: decisions that are fixed (see `operators.fix`).
        regions: the answers that questions offer, instead of all their options (see
            `operators.between` and `operators.only`). Each further union narrows the earlier ones.
        limit: `limit(space, architecture)` is why an architecture is outside the space although the
            program makes it, or None if it is inside. Operators that draw, change or enumerate
            architectures leave those outside out; `graph` and `build` accept them. The function is
            called with every architecture that is drawn, so it should cache its answers. None:
            there is no limit.
    """

    name: str
    define: Callable[..., Graph | nn.Module]
    shapes: Shapes = _COLOUR_IMAGES
    network: Callable[[Graph, Shapes], Graph] | None = None
    builds: bool = True
    rows: Callable[[Mapping[str, numpy.ndarray]], list[Architecture]] | None = None
    held: tuple[tuple[str, Answer], ...] = ()
    regions: tuple[Regions, ...] = ()
    limit: Callable[[SearchSpace, Architecture], Rejected | None] | None = None
    executed: Callable[[Graph, Shapes], Graph] | None = None

    def for_shapes(self, shapes: Shapes) -> SearchSpace:
        """The same space for data of other shapes."""
        return replace(self, shapes=shapes)

    def run(self, choose: Chooser) -> Graph | nn.Module:
        """The graph or module that the program returns for the chooser's answers.

        A module is made on the meta device, so its tensors have shapes but no memory.

        Raises:
            spaces.choices.Rejected: the program rejected the choices, or they are outside the
                limit.
        """
        returned = self.returned(choose)
        if not isinstance(returned, Graph):
            _keep(self, choose, returned)
        if self.limit is not None:
            architecture = Architecture(self.name, tuple(choose.decisions.items()))
            rejected = self.limit(self, architecture)
            if rejected is not None:
                raise rejected
        return returned

    def returned(self, choose: Chooser) -> Graph | nn.Module:
        """The graph or module that the program returns, even if it is outside the limit."""
        for regions in self.regions:
            choose.offer(regions)
        arguments = self._arguments(choose)
        returned = run_program(self.define, arguments)
        if self.shapes.several and isinstance(returned, Graph):
            raise ValueError(
                f"the data have the inputs {self.shapes.input}, and a graph has one: let the "
                f"program of the space {self.name!r} return an nn.Module that takes them all"
            )
        return returned

    def graph(self, architecture: Architecture) -> Graph:
        """The architecture's graph: the program replayed with its decisions.

        Raises:
            ValueError: the architecture belongs to another space, or its decisions do not answer
                this program's questions.
        """
        graph = _GRAPHS.get((self, architecture))
        if graph is None:
            kept = _LATEST.get((self, architecture))
            graph = self.replayed(architecture) if kept is None else self.as_graph(kept[0])
        self.remember(architecture, graph)
        return graph

    def remember(self, architecture: Architecture, graph: Graph) -> None:
        """Keeps the architecture's graph for a while, so that `graph` need not make it."""
        _GRAPHS.pop((self, architecture), None)
        _GRAPHS[self, architecture] = graph
        if len(_GRAPHS) > _KEPT_GRAPHS:
            _GRAPHS.popitem(last=False)

    def replayed(self, architecture: Architecture) -> Graph:
        """The architecture's graph from a new run of the program, never from a cache."""
        choose = self.replay(architecture)
        graph = self.as_graph(self.returned(choose))
        self._check_replayed(architecture, choose)
        return graph

    def questions(self, architecture: Architecture) -> Mapping[str, Domain]:
        """The domains of the architecture's questions, by path."""
        kept = _LATEST.get((self, architecture))
        if kept is not None and kept[1] is not None:
            return kept[1]
        choose = self.replay(architecture)
        choose.domains = {}
        self.returned(choose)
        return choose.domains

    def as_graph(self, returned: Graph | nn.Module) -> Graph:
        """The graph that the program returned, or that describes the module that it returned."""
        if isinstance(returned, Graph):
            return returned
        from spaces.details import with_detail
        from spaces.identity import identity
        from spaces.trace import describe

        with without_garbage_collection():
            # The identity comes first, since a module may change when it runs.
            digest = identity(returned, getattr(self.define, "__module__", ""))
            graph = describe(returned, self.shapes.input, self.shapes.vocabularies)
            return with_detail(graph, digest)

    def network_graph(self, graph: Graph) -> Graph:
        """The whole network's graph of primitive operations, which is built, counted and exported.

        Raises:
            ValueError: the space only describes its architectures.
        """
        if not self.builds:
            from spaces.ops import OPS

            unknown = sorted({node.op for node in graph.nodes[1:-1]} - set(OPS))
            raise ValueError(
                f"the space {self.name!r} describes its architectures and makes no networks of "
                f"them: what {', '.join(unknown)} would compute is not defined. "
                "Take their scores from a table (evaluator: {name: table, ...})"
            )
        return self.network(graph, self.shapes) if self.network is not None else graph

    def executed_graph(self, graph: Graph) -> Graph:
        """The whole network's graph with operations that its output does not need, if there are.

        Published times are of networks that compute such operations.

        Raises:
            ValueError: as `network_graph`.
        """
        return self.executed(graph, self.shapes) if self.executed else self.network_graph(graph)

    def buildable_graph(self, architecture: Architecture) -> Graph:
        """The whole network's graph in primitive operations only, of which a class can be built.

        Raises:
            ValueError: as `network_graph`, or the program's module cannot be traced.
        """
        if not self.makes_modules(architecture):
            return self.network_graph(self.graph(architecture))
        from spaces.trace import trace

        if self.shapes.several:
            raise ValueError("a network with several inputs cannot be traced")
        returned: Any = self.returned(self.replay(architecture))
        return trace(returned, self.shapes.input, self.shapes.vocabularies)

    def build(self, architecture: Architecture) -> nn.Module:
        """A new torch module of the architecture.

        If the program returns an `nn.Module`, this is that module, as its constructor made it. If
        the program returns a graph, the module is generated from the whole network's graph. Weights
        are drawn from torch's global generator; seed it for reproducible weights.

        Raises:
            ValueError: as `graph`, and for graphs as `spaces.build.build`.
        """
        import torch  # So that a program that returns a module is seen to do so.

        if not gives_graphs(self.define):
            choose = self.replay(architecture)
            with torch.device("cpu"):
                returned = self.define(*self._arguments(choose))
            if not isinstance(returned, Graph):
                self._check_replayed(architecture, choose)
                from spaces.making import check_new, finished

                module = checked_module(self.define, returned)
                check_new(self.define, module)
                return finished(module, self.shapes)
        from spaces.build import build

        return build(self.network_graph(self.graph(architecture)), self.shapes.input)

    def makes_modules(self, architecture: Architecture) -> bool:
        """Whether the program returns an `nn.Module` for the architecture, and not a graph."""
        self.graph(architecture)
        return not gives_graphs(self.define)

    def replay(self, architecture: Architecture) -> Chooser:
        """A chooser that gives the architecture's answers and no others.

        Raises:
            ValueError: the architecture belongs to another space.
        """
        if architecture.space != self.name:
            raise ValueError(
                f"the architecture belongs to the space {architecture.space!r}, this space is "
                f"{self.name!r}"
            )
        return Chooser(architecture.answers, held=dict(self.held))

    def _arguments(self, choose: Chooser) -> tuple[Any, ...]:
        """The arguments of `define`."""
        return (choose, self.shapes) if takes_shapes(self.define) else (choose,)

    def _check_replayed(self, architecture: Architecture, choose: Chooser) -> None:
        if len(choose.decisions) != len(architecture.decisions):
            unused = [path for path, _ in architecture.decisions if path not in choose.decisions]
            raise ValueError(
                f"the space {self.name!r} did not ask for {', '.join(unused)}, which the "
                "architecture decides: was the space changed?"
            )


# The graphs that were needed last. A graph takes a millisecond and a trace several, and it is
# needed for the key, for the numbers, and for the predictor of each objective.
_GRAPHS: OrderedDict[tuple[SearchSpace, Architecture], Graph] = OrderedDict()
_KEPT_GRAPHS = 4096


# The modules that programs made last, with the domains of their questions if the chooser kept them.
# The graph or the domains of a new architecture are usually needed next, and a module takes
# milliseconds to make.
_LATEST: OrderedDict[
    tuple[SearchSpace, Architecture], tuple[nn.Module, dict[str, Domain] | None]
] = OrderedDict()
_KEPT = 32


def _keep(space: SearchSpace, choose: Chooser, module: nn.Module) -> None:
    _LATEST[space, Architecture(space.name, tuple(choose.decisions.items()))] = (
        module,
        choose.domains,
    )
    while len(_LATEST) > _KEPT:
        _LATEST.popitem(last=False)
