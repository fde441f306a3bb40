"""The two parts of a space's decisions, which their paths tell apart."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from nas.seeds import generator
from spaces import Answer, Architecture, Chooser, Edge, Graph, Node, SearchSpace, node
from spaces.graph import INPUT, OUTPUT
from spaces.operators import sample

Belongs = Callable[[str], bool]
Paths = str | Collection[str] | Belongs

# The number of random architectures in which both parts must have decisions.
_LOOKED_AT = 50


def belonging(space: SearchSpace, first: Paths, seed: int) -> Belongs:
    """A function that says whether a path belongs to the first part.

    Raises:
        ValueError: fifty random architectures have no decision of one of the parts, or none with a
            path that is named.
    """
    belongs = _belongs(first)
    random = generator(seed, "flow parts")
    asked = {path: None for _ in range(_LOOKED_AT) for path, _ in sample(space, random).decisions}
    known = f"the space {space.name!r} asks {', '.join(asked)}"
    if not isinstance(first, str) and not callable(first):
        missing = [path for path in first if path not in asked]
        if missing:
            raise ValueError(
                f"{', '.join(missing)} cannot be of the first part: {known}; if it is asked very "
                "seldom, give a function of the path"
            )
    inside = sum(map(belongs, asked))
    if inside in (0, len(asked)):
        which = "no" if inside == 0 else "every"
        raise ValueError(f"the first part has {which} decision, and each part needs one: {known}")
    return belongs


def listed(first: Paths) -> str | list[str]:
    """The first part as JSON; a function is described by its name only."""
    if isinstance(first, str):
        return first
    if callable(first):
        return f"function {getattr(first, '__qualname__', type(first).__qualname__)}"
    return sorted(first)


def part(architecture: Architecture, belongs: Belongs) -> dict[str, Answer]:
    """The decisions of the part, by path."""
    return {path: answer for path, answer in architecture.decisions if belongs(path)}


def outer_space(space: SearchSpace, belongs: Belongs) -> SearchSpace:
    """A space whose graph is a chain of the first part's decisions, not a network.

    So two architectures with the same first part have the same graph. The second part is decided
    too, because the possible answers in the first may depend on it.
    """

    def define(choose: Chooser) -> Graph:
        space.run(choose)
        decided = choose.decisions.items()
        nodes = [_decision(path, answer) for path, answer in decided if belongs(path)]
        edges = tuple(Edge(number, number + 1) for number in range(len(nodes) + 1))
        return Graph((INPUT, *nodes, OUTPUT), edges)

    return replace(space, define=define, network=None, builds=False, rows=None)


def _decision(path: str, answer: Answer) -> Node:
    """A decision as a node: a number is an attribute, any other answer an operation of its own.

    From attributes a predictor can learn which numbers are close to each other.
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
