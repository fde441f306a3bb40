"""The two parts of a space's decisions, told by their paths."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from nas.seeds import generator
from spaces import Answer, Architecture, Chooser, Edge, Graph, Node, SearchSpace, node
from spaces.graph import INPUT, OUTPUT
from spaces.operators import sample

Belongs = Callable[[str], bool]
Paths = str | Collection[str] | Belongs

# So many architectures are drawn to see that both parts are asked for.
_LOOKED_AT = 50


def belonging(space: SearchSpace, first: Paths, seed: int) -> Belongs:
    """Whether a path belongs to the first part.

    Raises:
        ValueError: in none of fifty random architectures does one part decide anything, or is a
            path asked that is named.
    """
    belongs = _belongs(first)
    random = generator(seed, "flow parts")
    asked = {path: None for _ in range(_LOOKED_AT) for path, _ in sample(space, random).decisions}
    known = f"the space {space.name!r} asks {', '.join(asked)}"
    if not isinstance(first, str) and not callable(first):
        missing = [path for path in first if path not in asked]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} cannot be of the first part: {known}; where that is asked "
                "very seldom, give a function of the path"
            )
    inside = sum(map(belongs, asked))
    if inside in (0, len(asked)):
        raise ValueError(
            f"the first part has {'no' if inside == 0 else 'every'} decision, and each part "
            f"needs one: {known}"
        )
    return belongs


def listed(first: Paths) -> str | list[str]:
    """The first part as JSON; of a function its name alone, for nobody can see what it does."""
    if isinstance(first, str):
        return first
    return (
        f"function {getattr(first, '__qualname__', type(first).__qualname__)}"
        if callable(first)
        else sorted(first)
    )


def part(architecture: Architecture, belongs: Belongs) -> dict[str, Answer]:
    """The decisions that belong, by path."""
    return {path: answer for path, answer in architecture.decisions if belongs(path)}


def outer_space(space: SearchSpace, belongs: Belongs) -> SearchSpace:
    """The space whose graph is the first part's decisions in a row, and no network: two
    architectures with one first part have one graph.

    The second part is asked too, for what is possible in the first may depend on it.
    """

    def define(choose: Chooser) -> Graph:
        space.run(choose)
        nodes = [
            _decision(path, answer) for path, answer in choose.decisions.items() if belongs(path)
        ]
        return Graph(
            (INPUT, *nodes, OUTPUT),
            tuple(Edge(number, number + 1) for number in range(len(nodes) + 1)),
        )

    return replace(space, define=define, network=None, builds=False, rows=None)


def _decision(path: str, answer: Answer) -> Node:
    """Numbers are attributes, in which a predictor sees near and far; other answers are operations
    of their own.
    """
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return node(f"decision {path}", answer=answer)
    return node(f"decision {path} {answer}")


def _belongs(first: Paths) -> Belongs:
    if isinstance(first, str):
        return lambda path: path.startswith(first)
    if callable(first):
        return first
    named = frozenset(first)
    return lambda path: path in named
