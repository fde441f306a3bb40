"""A search space: a name and a program of choices, with what is needed to make networks of its
graphs.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spaces.choices import Architecture, Chooser, Rejected
from spaces.domains import Answer, Domain
from spaces.graph import Graph
from spaces.regions import Regions

if TYPE_CHECKING:
    import numpy
    from torch import nn


@dataclass(frozen=True)
class Shapes:
    """What goes in and comes out of a network, without the batch dimension: images are (channels,
    height, width).

    Attributes:
        vocabulary: how many different tokens, where the inputs are tokens.
    """

    input: tuple[int, ...]
    output: tuple[int, ...]
    vocabulary: int | None = None


@dataclass(frozen=True)
class SearchSpace:
    """A program that makes choices and returns a graph, or an `nn.Module`, which is traced into
    one.

    Attributes:
        name: stands in every architecture of this space.
        define: `define(choose)` or `define(choose, shapes)`.
        shapes: what the networks take and give. A task sets its own with `for_shapes`.
        network: for spaces whose graph is a cell: `network(cell, shapes)` is the whole network's
            graph. None: the graph is the network.
        builds: False where architectures are described, to be predicted and looked up in tables,
            but no network can be made of them.
        rows: reads published tables: `rows(columns)` gives the architecture of every row. None:
            there is no such table.
        held: decisions that are fixed (see `operators.fix`).
        regions: what questions offer instead of all their options (see `operators.between` and
            `operators.only`); each further union narrows those before.
        limit: why an architecture is outside, though the program makes it; None: none is. Whatever
            draws, changes or enumerates leaves those out, while `graph` and `build` serve them all
            the same. It is called with every architecture that is looked at, so it should remember
            its answers.
    """

    name: str
    define: Callable[..., Graph | nn.Module]
    shapes: Shapes = Shapes((3, 32, 32), (10,))
    network: Callable[[Graph, Shapes], Graph] | None = None
    builds: bool = True
    rows: Callable[[Mapping[str, numpy.ndarray]], list[Architecture]] | None = None
    held: tuple[tuple[str, Answer], ...] = ()
    regions: tuple[Regions, ...] = ()
    limit: Callable[[SearchSpace, Architecture], Rejected | None] | None = None

    def for_shapes(self, shapes: Shapes) -> SearchSpace:
        """The same space for other data."""
        return replace(self, shapes=shapes)

    def run(self, choose: Chooser) -> Graph | nn.Module:
        """What the program returns for the chooser's answers. A module is made on the meta device:
        it has shapes but no memory.

        Raises:
            spaces.choices.Rejected: the program refused the choices, or they are outside the limit.
        """
        returned = self.returned(choose)
        if not isinstance(returned, Graph):
            _keep(self, choose, returned)
        refused = (
            None
            if self.limit is None
            else self.limit(self, Architecture(self.name, tuple(choose.decisions.items())))
        )
        if refused is not None:
            raise refused
        return returned

    def returned(self, choose: Chooser) -> Graph | nn.Module:
        """The same, whether or not it is inside the limit."""
        for regions in self.regions:
            choose.offer(regions)
        arguments = (choose, self.shapes) if _takes_shapes(self.define) else (choose,)
        if self.define in _GRAPH_PROGRAMS:
            return self.define(*arguments)
        return _run_on_meta(self.define, arguments)

    def graph(self, architecture: Architecture) -> Graph:
        """The architecture's graph: the program replayed with its decisions.

        Raises:
            ValueError: the architecture belongs to another space, or its decisions do not answer
                this program's questions.
        """
        return _graph_of(self, architecture)

    def replayed(self, architecture: Architecture) -> Graph:
        """The same from a run of the program for it, whatever is remembered."""
        choose = self.replay(architecture)
        graph = self.as_graph(self.returned(choose))
        self._check_replayed(architecture, choose)
        return graph

    def questions(self, architecture: Architecture) -> Mapping[str, Domain]:
        """What each of the architecture's questions could have been answered, by path."""
        kept = _LATEST.get((self, architecture))
        if kept is not None and kept[1] is not None:
            return kept[1]
        choose = self.replay(architecture)
        choose.domains = {}
        self.returned(choose)
        return choose.domains

    def as_graph(self, returned: Graph | nn.Module) -> Graph:
        """The graph of what the program returned: itself, or the trace of the module."""
        if isinstance(returned, Graph):
            return returned
        from spaces.trace import trace

        return trace(returned, self.shapes.input)

    def network_graph(self, graph: Graph) -> Graph:
        """The whole network's graph, of primitive operations: what is built, counted and exported.

        Raises:
            ValueError: the space describes its architectures only.
        """
        if not self.builds:
            from spaces.ops import OPS

            unknown = sorted({node.op for node in graph.nodes[1:-1]} - set(OPS))
            raise ValueError(
                f"the space {self.name!r} describes its architectures and makes no networks of "
                f"them: what {', '.join(unknown)} would compute is not said. "
                "Take their scores from a table (evaluator: {name: table, ...})"
            )
        return self.network(graph, self.shapes) if self.network is not None else graph

    def build(self, architecture: Architecture) -> nn.Module:
        """A new torch module of the architecture, its weights drawn from torch's global generator
        (seed it for reproducible weights).

        Where the program returns an `nn.Module`, the weights start as that module's constructor
        left them.
        """
        from spaces.build import build

        graph = self.graph(architecture)
        module = build(self.network_graph(graph), self.shapes.input)
        if self.define not in _GRAPH_PROGRAMS:
            from spaces.trace import copy_state

            arguments = (
                (self.replay(architecture), self.shapes)
                if _takes_shapes(self.define)
                else (self.replay(architecture),)
            )
            original = self.define(*arguments)
            assert not isinstance(original, Graph)
            copy_state(original, module)
        return module

    def replay(self, architecture: Architecture) -> Chooser:
        """A chooser that gives the architecture's answers and no others."""
        if architecture.space != self.name:
            raise ValueError(
                f"the architecture belongs to the space {architecture.space!r}, this space is "
                f"{self.name!r}"
            )
        return Chooser(architecture.answers, held=dict(self.held))

    def _check_replayed(self, architecture: Architecture, choose: Chooser) -> None:
        if len(choose.decisions) != len(architecture.decisions):
            unused = [path for path, _ in architecture.decisions if path not in choose.decisions]
            raise ValueError(
                f"the space {self.name!r} did not ask for {', '.join(unused)}, which the "
                "architecture decides: was the space changed?"
            )


@lru_cache(maxsize=4096)
def _graph_of(space: SearchSpace, architecture: Architecture) -> Graph:
    # A graph takes a millisecond, a trace several, and it is asked for the key, the numbers, and by
    # the predictor of each objective.
    kept = _LATEST.get((space, architecture))
    return space.replayed(architecture) if kept is None else space.as_graph(kept[0])


# The modules that the program made last, with the domains of its questions where the chooser kept
# them: what has just been made is asked for its graph next, or for what it could have answered, and
# a module takes milliseconds to make.
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


# Programs known to return graphs: they are called without torch, and without the meta device, which
# would cost more than the call.
_GRAPH_PROGRAMS: set[Callable[..., Any]] = set()


def _run_on_meta(define: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    import sys

    torch = sys.modules.get("torch")
    if torch is None:
        result = define(*arguments)
    else:
        try:
            with torch.device("meta"):
                result = define(*arguments)
        except (RuntimeError, NotImplementedError) as error:
            if "meta" not in str(error):
                raise
            raise ValueError(
                f"the program {getattr(define, '__name__', define)!r} asks for a tensor's "
                f"numbers while it makes its module ({error}); modules are made "
                "without memory when architectures are only looked at: compute such numbers in "
                "plain Python, or on torch.device('cpu')"
            ) from error
    if isinstance(result, Graph):
        _GRAPH_PROGRAMS.add(define)
        return result
    if "torch" in sys.modules and isinstance(result, sys.modules["torch"].nn.Module):
        return result
    raise ValueError(
        "a space's program returns a Graph or a torch.nn.Module; "
        f"{getattr(define, '__name__', define)!r} returned {type(result).__name__}"
    )


@lru_cache(maxsize=1024)
def _takes_shapes(define: Callable[..., Any]) -> bool:
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
