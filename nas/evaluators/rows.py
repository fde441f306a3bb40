"""Finds the row of a table that holds an architecture.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy

from nas.evaluators.evaluator import Failed
from spaces import Architecture, SearchSpace


@dataclass(frozen=True, eq=False)
class Rows:
    """The architectures of a table's N rows.

    An architecture is found by its decisions. If no row has them, the row of an isomorphic
    architecture is taken, found by the canonical key of the graph.

    Attributes:
        space: of the architectures.
        source: where the table came from, for messages.
        architectures: one for each row.
        scored_N: rows that have a score, the only ones that stand for an isomorphic architecture;
            None: all have one.
    """

    space: SearchSpace
    source: str
    architectures: Sequence[Architecture]
    scored_N: numpy.ndarray | None = None

    def find(self, architecture: Architecture) -> int | None:
        """The row of the architecture, or None.

        Raises:
            ValueError: it is of another space.
        """
        if architecture.space != self.space.name:
            raise ValueError(
                f"the table {self.source} is of the space {self.space.name!r}; the architecture "
                f"belongs to {architecture.space!r}"
            )
        row = self._by_decisions.get(architecture.decisions)
        if row is not None:
            return row
        from spaces.canonical import canonical_key

        return self._by_canonical_key.get(canonical_key(self.space.graph(architecture)))

    def missing(self, architecture: Architecture, what: str) -> Failed:
        """The failure of an architecture without such a value."""
        return Failed(
            "missing", f"the table {self.source} has no {what} for the architecture {architecture}"
        )

    @cached_property
    def _by_decisions(self) -> dict[tuple, int]:
        return {architecture.decisions: row for row, architecture in enumerate(self.architectures)}

    @cached_property
    def _by_canonical_key(self) -> dict[str, int]:
        # Computed only if a table lacks an architecture: the keys of all rows take seconds.
        from spaces.canonical import canonical_key

        # From the last row to the first, so that the first of several isomorphic rows is kept.
        rows = reversed(range(len(self.architectures)))
        scored = (row for row in rows if self.scored_N is None or self.scored_N[row])
        return {canonical_key(self.space.graph(self.architectures[row])): row for row in scored}
