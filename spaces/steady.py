"""A source of "random" numbers that always takes the same place of every domain."""

from __future__ import annotations

from math import nextafter
from random import Random
from typing import Any


class Steady(Random):
    """Draws the answer at one place, from 0 to 1, of every domain: at 0.0 the first answer.

    >>> from spaces.domains import Integer
    >>> [Integer(1, 4).draw(Steady(place)) for place in (0.0, 0.5)]
    [1, 3]
    """

    def __init__(self, place: float) -> None:
        super().__init__(0)
        self.place = place

    def random(self) -> float:
        return self.place

    def shuffle(self, x: Any) -> None:
        """Leaves the order as it is."""


FIRST, LAST = Steady(0.0), Steady(nextafter(1.0, 0.0))
