"""A space held to constraints that the graph tells, and the graph's numbers beside those that an
evaluation gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from random import Random

from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.constraints import Constraint
from nas.objectives.descriptors import NETWORK, describe, operations
from spaces import Architecture, SearchSpace
from spaces.choices import Rejected
from spaces.operators import sample

# A number is told in a space where it is told of one of so many random architectures: a few may be
# broken.
DRAWS = 8
# Operations that so many random architectures lack are taken for misspelt, unless they are in the
# vocabulary.
DRAWS_OF_OPERATIONS = 200


@dataclass(frozen=True)
class Limit:
    """Refuses, as `SearchSpace.limit`, the architectures whose graph breaks a constraint."""

    constraints: tuple[Constraint, ...]

    def __call__(self, space: SearchSpace, architecture: Architecture) -> Rejected | None:
        for constraint in self.constraints:
            value = number_of(space, architecture, constraint.name)
            if isinstance(value, str):
                return Rejected(f"{constraint} cannot be told: {value}")
            missed = constraint.missed(value)
            if missed:
                return Rejected(str(constraint), missed=missed)
        return None


def within(space: SearchSpace, constraints: Sequence[Constraint]) -> SearchSpace:
    """The space without the architectures that break a constraint; each has to be one that the
    graph tells.
    """
    if not constraints:
        return space
    # Counting a whole network costs more than counting nodes.
    return replace(
        space,
        limit=Limit(tuple(sorted(constraints, key=lambda constraint: constraint.name in NETWORK))),
    )


@lru_cache(maxsize=200_000)
def number_of(space: SearchSpace, architecture: Architecture, name: str) -> float | str:
    """The number of that name that the architecture's graph gives, or why there is none.
    Remembered: a whole network's costs take a millisecond.
    """
    try:
        return float(describe(space, space.graph(architecture), name))
    except ValueError as error:
        return str(error)


def check_told(space: SearchSpace, name: str) -> None:
    """Nothing, if the graphs of the space tell the number of that name.

    Raises:
        ValueError: they do not, or it counts an operation that no graph has; the message says why,
            and lists what is known.
    """
    _check_operations(space, name)
    said = ""
    for draw in range(DRAWS):
        value = number_of(space, sample(space, Random(draw)), name)
        if not isinstance(value, str):
            return
        said = value
    raise ValueError(said)


def _check_operations(space: SearchSpace, name: str) -> None:
    """A misspelt operation would be counted 0 times in every graph, and every bound on it be kept."""
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
    """The outcome, with those of the named numbers that the evaluation did not give and the graph
    does; a failure where neither gives one.
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
