"""Evaluates an architecture by looking up its score in a published table.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy

from nas.evaluators.evaluator import Failed, FinalResult, Observation
from nas.evaluators.rows import Rows
from nas.tasks.arrays import ARCHITECTURE, read_npz
from spaces import Architecture, SearchSpace

BUILTIN = "builtin:"


@dataclass(frozen=True, eq=False)
class TableEvaluator:
    """Looks up scores in the rows of a table (`Rows`). Make one with `table_evaluator`.

    Attributes:
        source: where the table came from, for messages.
        architectures: one for each of the N rows.
        scores: (N,), validation scores; NaN where the table has none.
        test: (N,), test scores; or None.
        seconds: (N,), the duration of each training; or None.
        metrics: further columns (N,) by name.
        fidelities: validation scores (N,) after fewer epochs, by their share of all epochs.
    """

    space: SearchSpace
    source: str
    architectures: Sequence[Architecture]
    scores: numpy.ndarray
    test: numpy.ndarray | None = None
    seconds: numpy.ndarray | None = None
    metrics: Mapping[str, numpy.ndarray] = field(default_factory=dict)
    fidelities: Mapping[float, numpy.ndarray] = field(default_factory=dict)

    def evaluate(
        self,
        architecture: Architecture,
        *,
        seed: int,
        weights: Path | None = None,
        fidelity: float = 1.0,
        checkpoint: Path | None = None,
    ) -> Observation | Failed:
        """The table's validation score; it is the same for every seed.

        No weights and no checkpoint are written. The seconds are the fidelity's share of those of
        the whole training.

        Raises:
            ValueError: the table has no scores of this fidelity, or the architecture is of another
                space.
        """
        scores, row = self.column(fidelity), self._rows.find(architecture)
        if row is None or not numpy.isfinite(scores[row]):
            what = "score" if fidelity == 1.0 else f"score of the fidelity {fidelity:.4g}"
            return self._rows.missing(architecture, what)
        metrics = tuple(
            (name, float(column[row]))
            for name, column in self.metrics.items()
            if numpy.isfinite(column[row])
        )
        return Observation(float(scores[row]), self._seconds(row) * fidelity, metrics=metrics)

    def column(self, fidelity: float) -> numpy.ndarray:
        """The validation scores (N,) of a fidelity.

        A fidelity may differ from that of the column by one per cent: 0.037 finds 1/27.

        Raises:
            ValueError: there is no such column; the message lists the known fidelities.
        """
        known = {**self.fidelities, 1.0: self.scores}
        nearest = min(known, key=lambda each: abs(each - fidelity))
        if abs(nearest - fidelity) > 0.01 * fidelity:
            raise ValueError(
                f"the table {self.source} has scores of the fidelities "
                f"{', '.join(f'{each:g}' for each in sorted(known))} alone; got {fidelity:.4g}. "
                "Name a column for it in evaluator.fidelities"
            )
        return known[nearest]

    def finalize(
        self, architecture: Architecture, *, seed: int, weights: Path | None = None
    ) -> FinalResult | Failed:
        """The table's validation and test score."""
        row = self._rows.find(architecture)
        if self.test is None:
            return Failed(
                "missing", f"the table {self.source} was opened without a test column: name one"
            )
        if row is None or not (numpy.isfinite(self.scores[row]) and numpy.isfinite(self.test[row])):
            return self._rows.missing(architecture, "test score")
        return FinalResult(float(self.scores[row]), float(self.test[row]), self._seconds(row))

    @cached_property
    def _rows(self) -> Rows:
        scored_N = numpy.isfinite(self.scores)
        return Rows(self.space, self.source, self.architectures, scored_N)

    def _seconds(self, row: int) -> float:
        if self.seconds is None or not numpy.isfinite(self.seconds[row]):
            return 0.0
        return float(self.seconds[row])


def table_evaluator(
    space: SearchSpace,
    path: str | Path,
    *,
    score: str,
    test: str | None = None,
    seconds: str | None = None,
    epochs: int = 1,
    metrics: Mapping[str, str] | None = None,
    fidelities: Mapping[float, str] | None = None,
) -> TableEvaluator:
    """An evaluator on the columns of an npz file.

    >>> from spaces.load import load_space
    >>> space = load_space("nasbench201")
    >>> table = table_evaluator(space, "builtin:nasbench201", score="c100_val_200")
    >>> table.evaluate(table.architectures[3], seed=0).score
    57.413333892822266

    Args:
        space: its `rows` reads the architecture of each row from the columns, unless one of them
            is `architecture`, which holds it as JSON.
        path: the file, or `builtin:nasbench201` for the table that this package contains.
        score: the column of validation scores, which the search sees.
        test: the column of test scores, which the search does not see. It must differ from the
            columns that the search sees.
        seconds: the column of training times. They are multiplied by `epochs`, for columns that
            hold the seconds of one epoch.
        metrics: columns that are added to each observation, by the name that they get there.
        fidelities: columns of validation scores after fewer epochs, by their share of all epochs,
            more than 0 and less than 1.

    Raises:
        ValueError: there is no such file or column, two rows have one architecture, the space does
            not read tables, a fidelity is out of its range, or the search would see the test
            scores.
    """
    columns = read_npz(find_table(path))
    metrics, fidelities = dict(metrics or {}), dict(fidelities or {})
    for fidelity in fidelities:
        if not 0 < fidelity < 1:
            raise ValueError(
                "a table's fidelities are shares of the epochs, more than 0 and less than 1, "
                f"which is the score itself; got {fidelity}"
            )
    held = f"it has {', '.join(columns)}"
    requested = (score, test, seconds, *metrics.values(), *fidelities.values())
    used = [name for name in requested if name is not None]
    for name in used:
        if name not in columns:
            raise ValueError(f"the table {path} has no column {name!r}; {held}")
    if test is not None and test in (score, *metrics.values(), *fidelities.values()):
        raise ValueError(
            f"the search would see the test scores: the column {test!r} is both the test and the "
            "score, a metric or a fidelity"
        )
    architectures = architectures_of(str(path), columns, space)
    first: dict[tuple, int] = {}
    for row, architecture in enumerate(architectures):
        if first.setdefault(architecture.decisions, row) != row:
            raise ValueError(
                f"the rows {first[architecture.decisions]} and {row} of {path} are of one "
                f"architecture, {architecture}: keep one row of each, such as their mean"
            )
    for name in used:
        if columns[name].shape != (len(architectures),) or columns[name].dtype.kind not in "iuf":
            shape = columns[name].shape
            raise ValueError(
                f"the column {name!r} of {path} should be {len(architectures)} numbers, one a "
                f"row; it is {columns[name].dtype} {shape}"
            )
    return TableEvaluator(
        space,
        str(path),
        architectures,
        columns[score],
        test=columns[test] if test is not None else None,
        seconds=columns[seconds] * epochs if seconds is not None else None,
        metrics={name: columns[column] for name, column in metrics.items()},
        fidelities={fidelity: columns[column] for fidelity, column in fidelities.items()},
    )


def architectures_of(
    source: str, columns: Mapping[str, numpy.ndarray], space: SearchSpace
) -> list[Architecture]:
    """The architecture of each row of a table.

    Args:
        source: where the table came from, for messages.
        columns: of the table. If one is `architecture`, it holds them as JSON.
        space: its `rows` reads them from the columns otherwise.

    Raises:
        ValueError: they cannot be read.
    """
    held = f"it has {', '.join(columns)}"
    listed = columns.get(ARCHITECTURE)
    if listed is not None:
        if listed.ndim != 1 or listed.dtype.kind != "U":
            raise ValueError(
                f"the column {ARCHITECTURE!r} of {source} should be texts, one a row; it is "
                f"{listed.dtype} {listed.shape}"
            )
        return [Architecture.from_json(text) for text in listed.tolist()]
    if space.rows is None:
        raise ValueError(
            f"the space {space.name!r} has no `rows`, which gives the architecture of each row of "
            f"a table, so {source} needs the column {ARCHITECTURE!r} with each as JSON; {held}"
        )
    try:
        return space.rows(columns)
    except KeyError as error:
        raise ValueError(
            f"the table {source} has no column {error.args[0]!r}, which the space {space.name!r} "
            f"reads; {held}"
        ) from error


def find_table(path: str | Path) -> Path:
    """The path itself, or for `builtin:NAME` that of a table which this package contains.

    Raises:
        ValueError: this package contains no such table; the message lists its tables.
    """
    if not str(path).startswith(BUILTIN):
        return Path(path)
    name = str(path).removeprefix(BUILTIN)
    shipped = {
        Path(item.name).stem: Path(str(item))
        for item in (files("nas") / "data").iterdir()
        if item.name.endswith(".npz")
    }
    if name not in shipped:
        raise ValueError(
            f"there is no shipped table {name!r}; there is {', '.join(sorted(shipped))}"
        )
    return shipped[name]
