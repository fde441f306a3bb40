"""Numbers that are computed from an architecture's graph, beside those that an evaluation gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from random import Random

from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.descriptors import describe, operations
from spaces import Architecture, SearchSpace
from spaces.operators import sample

# A number can be computed in a space if it can be computed for one of this many random
# architectures. For a few of them it may be impossible.
DRAWS = 8
# An operation outside the vocabulary is taken for a spelling mistake if none of this many random
# architectures contains it.
DRAWS_OF_OPERATIONS = 200


@lru_cache(maxsize=200_000)
def number_of(space: SearchSpace, architecture: Architecture, name: str) -> float | str:
    """The number of that name for the architecture's graph, or the reason why there is none.

    Results are cached, because counting the costs of a whole network takes a millisecond.
    """
    try:
        return float(describe(space, space.graph(architecture), name))
    except ValueError as error:
        return str(error)


def check_computable(space: SearchSpace, name: str) -> None:
    """Checks that the number of that name can be computed from the graphs of the space.

    Raises:
        ValueError: it cannot, or it counts an operation that no graph has. The message gives the
            reason and lists what is known.
    """
    _check_operations(space, name)
    reason = ""
    for draw in range(DRAWS):
        value = number_of(space, sample(space, Random(draw)), name)
        if not isinstance(value, str):
            return
        reason = value
    raise ValueError(reason)


def _check_operations(space: SearchSpace, name: str) -> None:
    """Refuses a misspelt operation: its count is 0 in every graph, so it would go unnoticed."""
    from spaces.ops import OPS

    unknown = operations(name) - set(OPS)
    if not unknown:
        return
    seen = {
        node.op
        for draw in range(DRAWS_OF_OPERATIONS)
        for node in space.graph(sample(space, Random(draw))).nodes
    }
    for op in sorted(unknown - seen):
        near = get_close_matches(op, sorted(seen), 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"no graph of the space {space.name!r} has the operation {op!r}{hint} They have "
            f"{', '.join(sorted(seen))}"
        )


def completed(
    space: SearchSpace,
    architecture: Architecture,
    outcome: Observation | Failed,
    names: Iterable[str],
) -> Observation | Failed:
    """The outcome, with the named numbers that it lacks computed from the graph.

    The result is a failure if a named number is neither in the outcome nor computable.
    """
    if isinstance(outcome, Failed):
        return outcome
    added: dict[str, float] = {}
    for name in names:
        if name in outcome.numbers or name in added:
            continue
        value = number_of(space, architecture, name)
        if isinstance(value, str):
            known = ", ".join(outcome.numbers)
            return Failed(
                "missing",
                f"the evaluation gave no {name!r}, which the run needs; it gave {known}, and of "
                f"the graph: {value}",
                outcome.seconds,
            )
        added[name] = value
    return replace(outcome, metrics=(*outcome.metrics, *added.items())) if added else outcome
