"""An architecture of a coarse FlexiBERT space as an architecture of a finer one."""

from __future__ import annotations

from spaces.choices import Architecture, Chooser
from spaces.domains import Answer
from spaces.space import SearchSpace


def refined(architecture: Architecture, space: SearchSpace) -> Architecture:
    """The architecture of a finer FlexiBERT space that has the same graph.

    In a coarse space, two layers can share their choices (`Design.stack`), and so can the
    feed-forward layers of a layer (`homogeneous`) and its heads (unless `mixed`). In the finer
    space, each of them gets the same answer for itself. The result has the same answers if the
    space is not finer.

    Args:
        architecture: of the coarse space.
        space: the finer space.

    Raises:
        ValueError: the finer space lacks a choice of the coarse one, or the option that was chosen.
    """
    coarse = architecture.answers
    layers = coarse.get("layers")
    if not isinstance(layers, int):
        raise ValueError(
            "an architecture of a FlexiBERT space has a number of layers; this one, of the space "
            f"{architecture.space!r}, has none"
        )
    given: dict[str, Answer] = {"layers": layers}
    for number in range(layers):
        # The second layer of a stack has no questions of its own.
        first = number if f"layer_{number}/hidden" in coarse else number - 1
        given |= _of_each(coarse, f"layer_{first}/", f"layer_{number}/")
    choose = Chooser(given, held=dict(space.held))
    try:
        space.returned(choose)
    except ValueError as error:
        raise ValueError(
            f"the architecture of the space {architecture.space!r} has no counterpart in "
            f"{space.name!r}, which is not finer: {error}"
        ) from error
    return Architecture(space.name, tuple(choose.decisions.items()))


def _of_each(coarse: dict[str, Answer], source: str, target: str) -> dict[str, Answer]:
    """The answers of one layer under the name of another.

    Answers that several parts of the layer share are added for each of these parts.
    """
    paths = [path for path in coarse if path.startswith(source)]
    own = {path.removeprefix(source): coarse[path] for path in paths}
    shares = [("feed_forward", "stacks", "feed_forward"), ("operation", "heads", "head")]
    for shared, parts, each in shares:
        count = own.get(parts)
        if shared in own and isinstance(count, int):
            own |= {f"{each}_{place}": own[shared] for place in range(count)}
    return {f"{target}{question}": answer for question, answer in own.items()}
