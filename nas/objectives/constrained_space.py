"""A search space restricted to the architectures whose graphs keep given constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.objectives.constraints import Constraint
from nas.objectives.descriptors import NETWORK
from nas.objectives.graph_numbers import number_of
from spaces import Architecture, SearchSpace
from spaces.choices import Rejected


@dataclass(frozen=True)
class Limit:
    """Rejects, as `SearchSpace.limit`, each architecture whose graph breaks a constraint."""

    constraints: tuple[Constraint, ...]

    def __call__(self, space: SearchSpace, architecture: Architecture) -> Rejected | None:
        for constraint in self.constraints:
            value = number_of(space, architecture, constraint.name)
            if isinstance(value, str):
                return Rejected(f"{constraint} cannot be computed: {value}")
            missed = constraint.missed(value)
            if missed:
                return Rejected(str(constraint), missed=missed)
        return None


def within(space: SearchSpace, constraints: Sequence[Constraint]) -> SearchSpace:
    """The space without the architectures that break a constraint.

    Each constraint has to bound a number that is computed from the graph.
    """
    if not constraints:
        return space
    # Counting the costs of a whole network is slower than counting nodes, so it comes last.
    cheapest_first = sorted(constraints, key=lambda constraint: constraint.name in NETWORK)
    return replace(space, limit=Limit(tuple(cheapest_first)))
