"""Recorded trainings: a table that `nas record` made, and an evaluator that answers from it.

Importing this module does not import torch.

Shapes: N architectures, S trainings of each, E epochs of a training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.evaluators.rows import Rows
from nas.seeds import derive
from nas.tasks.arrays import ARCHITECTURE, read_npz
from predictors.ranking import kendall_tau
from spaces import Architecture, SearchSpace
from spaces.canonical import canonical_key

FORMAT = 1
# The kind of failure of a training that has not been made yet.
NOT_YET = "not yet trained"
ABOUT = "about"
# How many characters of a canonical key are kept, and how many architectures of the table are
# compared with what the space makes of them today.
_KEY, _COMPARED = 16, 20
Answers = Literal["drawn", "mean"]


@dataclass(frozen=True, eq=False)
class RecordedTrainings:
    """Architectures, each trained several times.

    Attributes:
        architectures: N of them.
        keys: the beginning of the canonical key of each one's graph.
        validation_NS, test_NS: scores at the end of a training; NaN if it failed.
        curve_NSE: the validation score after each epoch; NaN where the training did not get.
        seconds_NS: how long a training took.
        failure_NS: the kind of its failure; empty if it succeeded.
        about: JSON values: the format, the space, the shapes, the task, the recipe, fingerprints.
    """

    architectures: list[Architecture]
    keys: list[str]
    validation_NS: numpy.ndarray
    test_NS: numpy.ndarray
    curve_NSE: numpy.ndarray
    seconds_NS: numpy.ndarray
    failure_NS: numpy.ndarray
    about: Mapping[str, Any]

    def summary(self) -> dict[str, float]:
        """How many trainings there are, and how their validation scores spread.

        Returns:
            `architectures`, `trainings`, `failed` and `left` (not yet made), and of the trainings
            that succeeded `mean`, `between_architectures` (the deviation of the architectures'
            means), `between_seeds` (the root of the mean variance of an architecture's trainings)
            and `repeated_tau` (Kendall's tau between the first and the second training). What
            cannot be computed is left out.
        """
        succeeded_NS = self.failure_NS == ""
        found: dict[str, float] = {
            "architectures": len(self.architectures),
            "trainings": int(succeeded_NS.sum()),
            "failed": int((~succeeded_NS & (self.failure_NS != NOT_YET)).sum()),
            "left": int((self.failure_NS == NOT_YET).sum()),
        }
        mean_N = self.mean_of(self.validation_NS)
        mean_N = mean_N[numpy.isfinite(mean_N)]
        if len(mean_N) > 1:
            found |= {"mean": float(mean_N.mean()), "between_architectures": float(mean_N.std())}
        often_N = succeeded_NS.sum(1) > 1
        if often_N.any():
            variance_N = numpy.nanvar(self.validation_NS[often_N], axis=1, ddof=1)
            found["between_seeds"] = float(numpy.sqrt(variance_N.mean()))
            twice_N2 = self.validation_NS[succeeded_NS[:, :2].all(1), :2]
            if len(twice_N2) > 1:
                found["repeated_tau"] = kendall_tau(twice_N2[:, 0], twice_N2[:, 1])
        return found

    def mean_of(self, value_NS: numpy.ndarray) -> numpy.ndarray:
        """(N,) the mean over the trainings that succeeded; NaN for an architecture without any."""
        succeeded_NS = self.failure_NS == ""
        count_N = succeeded_NS.sum(1)
        total_N = numpy.where(succeeded_NS, value_NS, 0.0).sum(1)
        return numpy.where(count_N > 0, total_N / numpy.maximum(count_N, 1), numpy.nan)

    def write(self, path: Path) -> None:
        """Write the table; a file that is there is replaced as a whole."""
        part = path.with_name(f"{path.name}.unfinished")
        columns: dict[str, Any] = {
            ARCHITECTURE: numpy.array([each.to_json() for each in self.architectures]),
            "key": numpy.array([key[:_KEY] for key in self.keys]),
            "validation": self.validation_NS.astype(numpy.float32),
            "test": self.test_NS.astype(numpy.float32),
            "curve": self.curve_NSE.astype(numpy.float32),
            "seconds": self.seconds_NS.astype(numpy.float32),
            "failure": self.failure_NS,
            ABOUT: numpy.array(json.dumps({"format": FORMAT, **self.about}, allow_nan=False)),
        }
        with part.open("wb") as file:
            numpy.savez_compressed(file, **columns)
        os.replace(part, path)


def is_recorded(columns: Mapping[str, numpy.ndarray]) -> bool:
    """Whether these arrays of an npz file are those of recorded trainings."""
    return ABOUT in columns and "curve" in columns


def read_recorded(path: Path) -> RecordedTrainings:
    """The table that `RecordedTrainings.write` wrote.

    Raises:
        ValueError: the file is missing or holds something else.
    """
    columns = read_npz(path)
    if not is_recorded(columns):
        raise ValueError(f"{path} should be a table that `nas record` wrote; it has other arrays")
    try:
        about = json.loads(str(columns[ABOUT]))
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise ValueError(f"its format should be {FORMAT}")
        table = RecordedTrainings(
            [Architecture.from_json(text) for text in columns[ARCHITECTURE].tolist()],
            columns["key"].tolist(),
            columns["validation"].astype(float),
            columns["test"].astype(float),
            columns["curve"].astype(float),
            columns["seconds"].astype(float),
            columns["failure"],
            about,
        )
        _check(table)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not what `nas record` writes: {error}; record it again"
        ) from error
    return table


def _check(table: RecordedTrainings) -> None:
    shape = (len(table.architectures), *table.validation_NS.shape[1:])
    if len(shape) != 2 or not all(shape) or len(table.keys) != shape[0]:
        raise ValueError("it should have scores of several trainings of each architecture")
    if any(len(key) != _KEY for key in table.keys):
        raise ValueError(f"the key of an architecture should have {_KEY} characters")
    for name in ("validation_NS", "test_NS", "seconds_NS", "failure_NS"):
        if getattr(table, name).shape != shape:
            raise ValueError(f"{name.partition('_')[0]} should have the shape {shape}")
    if table.failure_NS.dtype.kind != "U" or table.curve_NSE.shape[:2] != shape:
        raise ValueError("failures should be texts, and curves those of the same trainings")
    if table.curve_NSE.ndim != 3 or not table.curve_NSE.shape[2]:
        raise ValueError("a curve should have a score for each epoch")
    succeeded_NS = table.failure_NS == ""
    for name in ("validation_NS", "test_NS"):
        if not numpy.array_equal(numpy.isfinite(getattr(table, name)), succeeded_NS):
            raise ValueError("a training should have its scores, or say why it failed")
    if not numpy.isfinite(table.curve_NSE[succeeded_NS]).all():
        raise ValueError("a training that succeeded should have its whole curve")


@dataclass(frozen=True, eq=False)
class RecordedEvaluator:
    """Answers as the recorded trainings did.

    Attributes:
        space: of the architectures, for the shapes of the recorded task.
        source: where the table came from, for messages.
        table: the trainings.
        answers: `drawn`: an evaluation is one of the trainings, drawn by its seed, so it is as
            noisy as a training; `mean`: it is the mean of all that succeeded.
    """

    space: SearchSpace
    source: str
    table: RecordedTrainings
    answers: Answers = "drawn"

    def __post_init__(self) -> None:
        for architecture, key in zip(
            self.table.architectures[:_COMPARED], self.table.keys[:_COMPARED], strict=True
        ):
            try:
                found = canonical_key(self.space.graph(architecture))
            except ValueError as error:
                raise ValueError(
                    f"an architecture of {self.source} is none of the space {self.space.name!r} "
                    f"any more: {error}; put the space back as it was when the table was recorded, "
                    "or record it again"
                ) from error
            if found[:_KEY] != key[:_KEY]:
                raise ValueError(
                    f"the space {self.space.name!r} makes another network of an architecture than "
                    f"the one that was trained for {self.source}: put the space back as it was "
                    "when the table was recorded, or record it again"
                )

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
        checkpoint: Path | None = None,
    ) -> Observation | Failed:
        """The validation score after `fidelity` times the recorded epochs, at least one.

        No weights and no checkpoint are written. A training that goes on has the seed with which it
        began, so it is the same recorded training.
        """
        row = self._rows.find(architecture)
        if row is None:
            return self._rows.missing(architecture, "training")
        epochs = self.epochs_at(fidelity)
        succeeded = numpy.flatnonzero(self.table.failure_NS[row] == "")
        if self.answers == "drawn":
            succeeded = numpy.array([derive(seed, "recorded") % self.table.failure_NS.shape[1]])
        failed = self._failed(row, succeeded)
        if failed is not None:
            return failed
        curve_E = self.table.curve_NSE[row, succeeded].mean(0)[:epochs]
        seconds = float(self.table.seconds_NS[row, succeeded].mean())
        share = epochs / self.table.curve_NSE.shape[2]
        return Observation(float(curve_E[-1]), seconds * share, tuple(curve_E.tolist()))

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        """The mean validation and test score of all recorded trainings that succeeded."""
        row = self._rows.find(architecture)
        if row is None:
            return self._rows.missing(architecture, "training")
        succeeded = numpy.flatnonzero(self.table.failure_NS[row] == "")
        failed = self._failed(row, succeeded)
        if failed is not None:
            return failed
        validation, test, seconds = (
            float(values_NS[row, succeeded].mean())
            for values_NS in (self.table.validation_NS, self.table.test_NS, self.table.seconds_NS)
        )
        curve_E = self.table.curve_NSE[row, succeeded].mean(0)
        return FinalResult(validation, test, seconds, tuple(curve_E.tolist()))

    def epochs_at(self, fidelity: float) -> int:
        """The number of recorded epochs at this fidelity, at least one."""
        return max(1, round(self.table.curve_NSE.shape[2] * fidelity))

    def _failed(self, row: int, trainings: numpy.ndarray) -> Failed | None:
        """The failure of these trainings of the row, if they failed or there are none."""
        kinds = self.table.failure_NS[row, trainings].tolist()
        kinds = kinds or self.table.failure_NS[row].tolist()
        kind = next((kind for kind in kinds if kind), None)
        if kind is None:
            return None
        return Failed(kind, f"so ended the recorded training in {self.source}")

    @cached_property
    def _rows(self) -> Rows:
        return Rows(self.space, self.source, self.table.architectures)
