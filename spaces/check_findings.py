"""What a check has seen so far: counts, times, and each problem as a sentence."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from spaces.check_report import Range, Report
from spaces.choices import Architecture
from spaces.ops import Costs
from spaces.space import SearchSpace, Shapes


class Wrong(Exception):
    """What an architecture does wrong, as a sentence."""


@dataclass
class Findings:
    """What one check has seen so far; it lives for one call of `check`.

    Attributes:
        hopeless: the program rejected every draw, so that nothing can be sampled.
        problems: for each sentence the architectures that it is about.

    `Report` explains the other fields.
    """

    shapes: Shapes
    count: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    duplicates: int = 0
    dead: int = 0
    hopeless: bool = False
    idle: tuple[str, ...] = ()
    costs: list[Costs] = field(default_factory=list)
    sample_seconds: list[float] = field(default_factory=list)
    build_seconds: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    problems: dict[str, list[Architecture]] = field(default_factory=dict)

    def blame(self, error: Exception, architecture: Architecture) -> None:
        """Records the error as a problem of the architecture."""
        sentence = _sentence(error)
        if (
            isinstance(error, TypeError)
            and "NoneType" in sentence
            and self.shapes.vocabulary is None
        ):
            sentence += (
                ". Does the program use `shapes.vocabulary`? It was not given: add "
                "--vocabulary N --input LENGTH, or Shapes(..., vocabulary=N)"
            )
        self.problems.setdefault(sentence, []).append(architecture)

    @contextmanager
    def blamed_on(self, architecture: Architecture) -> Iterator[None]:
        """Any exception raised inside becomes a problem of the architecture.

        The code that runs there is the user's, so it may raise anything.
        """
        try:
            yield
        except Exception as error:
            self.blame(error, architecture)

    def report(self, space: SearchSpace, size: int | Literal["infinite", "unknown"]) -> Report:
        """The report of the check, given the number of architectures of the space."""
        return Report(
            space=space.name,
            shapes=space.shapes,
            builds=space.builds,
            count=self.count,
            rejected=self.rejected.total(),
            reasons=tuple(self.rejected.most_common()),
            duplicates=self.duplicates,
            dead=self.dead,
            idle=self.idle,
            size=size,
            parameters=_range([item.parameters for item in self.costs]),
            multiply_adds=_range([item.multiply_adds for item in self.costs]),
            activations=_range([item.activations for item in self.costs]),
            sample_seconds=_mean(self.sample_seconds),
            build_seconds=_mean(self.build_seconds),
            step_seconds=_mean(self.step_seconds),
            problems=tuple(
                _with_architectures(sentence, shown) for sentence, shown in self.problems.items()
            ),
        )


def _with_architectures(sentence: str, architectures: list[Architecture]) -> str:
    if not architectures:
        return sentence
    first = architectures[0]
    more = f", and {len(architectures) - 1} more" if len(architectures) > 1 else ""
    return f"{sentence} [architecture {first.key}: {str(first) or 'no choices'}{more}]"


def _sentence(error: Exception) -> str:
    """The error's message, after the last line of the user's own code in the traceback, if any."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    others = [frame for frame in frames if ours not in Path(frame.filename).parents]
    users = [
        frame
        for frame in others
        if "site-packages" not in frame.filename and frame.filename[:1] != "<"
    ]
    message = str(error).strip() or "no message"
    if isinstance(error, Wrong):
        return message
    if not users:
        return message if isinstance(error, ValueError) else f"{type(error).__name__}: {message}"
    return (
        f"{Path(users[-1].filename).name}:{users[-1].lineno} in {users[-1].name}: "
        f"{type(error).__name__}: {message}"
    )


def _range(values: list[int]) -> Range | None:
    return Range(min(values), median(values), max(values)) if values else None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
