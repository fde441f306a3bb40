"""Which architectures `nas predict` is asked for, and their predictions in order."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.prediction.predicting import PredictedArchitecture, Ranked
    from spaces import Architecture, Graph, SearchSpace

NUMBERS = ("mean", "std", "aleatoric", "epistemic", "measured")


@dataclass(frozen=True)
class Asked:
    """The architectures that the options of the command name.

    Attributes:
        sample: how many are drawn; None if that was not said.
        every: whether all of the space are.
        files: the files that list them.
        seed: of those that are drawn.
        out: the CSV file that gets all predictions.

    Raises:
        ValueError: more than one way was given.
    """

    sample: int | None
    every: bool
    files: tuple[Path, ...]
    seed: int
    out: Path | None

    def __post_init__(self) -> None:
        if (self.sample is not None) + self.every + bool(self.files) > 1:
            raise ValueError(
                "--sample, --all and --arch are three ways to say which architectures are "
                "predicted: give one of them"
            )

    def ranked(self, rank: Callable[..., Ranked], space: SearchSpace, draws: int) -> Ranked:
        """The predictions, the best first; they are also written to the file.

        Args:
            rank: as `nas.prediction.predicting.ranked`, of candidates and `distinct`.
            space: the architectures' space.
            draws: how many are drawn if nothing was said.

        Raises:
            ValueError: an architecture cannot be read, or the file cannot be written.
        """
        candidates, total = self._candidates(space, draws)
        found = rank(_with_progress(candidates, total), distinct=not self.files)
        if self.out is not None:
            _write_csv(self.out, found.best)
        return found

    def _candidates(
        self, space: SearchSpace, draws: int
    ) -> tuple[Iterator[tuple[Architecture, Graph]], int | None]:
        """The architectures with their graphs, and how many they are, if that is known."""
        from nas.prediction.predicting import enumerated, read_architectures, sampled

        if self.files:
            architectures = [item for path in self.files for item in read_architectures(path)]
            return ((item, space.graph(item)) for item in architectures), len(architectures)
        if self.every:
            return enumerated(space), None
        count = self.sample or draws
        return sampled(space, count, self.seed), count


def described(best: Iterable[PredictedArchitecture]) -> list[dict[str, Any]]:
    """The predictions as JSON values."""
    return [
        {
            "rank": rank,
            **{name: getattr(item, name) for name in NUMBERS},
            "canonical": item.canonical,
            "architecture": json.loads(item.architecture.to_json()),
        }
        for rank, item in enumerate(best, start=1)
    ]


def _with_progress(
    candidates: Iterable[tuple[Architecture, Graph]], total: int | None
) -> Iterator[tuple[Architecture, Graph]]:
    from tqdm import tqdm

    with tqdm(
        candidates,
        total=total,
        desc="predicted",
        unit=" architectures",
        file=sys.stderr,
        leave=False,
        disable=None,
    ) as shown:
        yield from shown


def _write_csv(path: Path, predictions: Iterable[PredictedArchitecture]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("rank", *NUMBERS, "canonical", "architecture"))
            for rank, item in enumerate(predictions, start=1):
                numbers = (getattr(item, name) for name in NUMBERS)
                writer.writerow((rank, *numbers, item.canonical, item.architecture.to_json()))
    except OSError as error:
        raise ValueError(f"{path} could not be written: {error}; name another file") from error
