"""From a coarse design to a finer one: the same transformer, decided by more answers."""

from __future__ import annotations

from spaces.choices import Architecture, Chooser
from spaces.domains import Answer
from spaces.space import SearchSpace


def refined(architecture: Architecture, space: SearchSpace) -> Architecture:
    """The architecture of a finer FlexiBERT space that is the same transformer: its graph is the
    same.

    What two layers share in a coarse space (`Design.stack`), what the feed-forward layers of a
    layer share (`homogeneous`) or its heads (all but `mixed`) each of them answers for itself.
    Nothing changes where the space is not finer but the same.

    Raises:
        ValueError: the finer space does not ask what the coarse one decides, or lacks the answer.
    """
    coarse = architecture.answers
    layers = coarse.get("layers")
    if not isinstance(layers, int):
        raise ValueError(
            "a FlexiBERT architecture says how many layers it has; this one, of the space "
            f"{architecture.space!r}, does not"
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
    """The answers of one layer under the name of another, those that are shared also for each of
    the parts that share them.
    """
    own = {
        path.removeprefix(source): answer
        for path, answer in coarse.items()
        if path.startswith(source)
    }
    for shared, parts, each in (
        ("feed_forward", "stacks", "feed_forward"),
        ("operation", "heads", "head"),
    ):
        count = own.get(parts)
        if shared in own and isinstance(count, int):
            own |= {f"{each}_{place}": own[shared] for place in range(count)}
    return {f"{target}{question}": answer for question, answer in own.items()}
