"""Labels for predictors: architectures with a number each, from a run or a published table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from nas.config.stored_run import TABLE, read_run
from nas.evaluators.evaluator import Observation
from nas.evaluators.recorded import RecordedEvaluator, is_recorded, read_recorded
from nas.evaluators.table import BUILTIN, architectures_of, find_table
from nas.record.journal_file import FILE
from nas.record.shapes import with_shapes
from nas.record.trials import Trial
from nas.record.trust import refuse_foreign_code
from nas.record.unchanged import check_unchanged
from nas.tasks.arrays import read_npz
from spaces import Architecture, SearchSpace
from spaces.load import known_spaces, load_space

# The column in which some tables number classes of isomorphic rows. Such a class may join
# architectures whose canonical keys differ.
ISOMORPH = "isomorph"
# What is learnt of recorded trainings if nothing else is asked for.
RECORDED = "validation"


@dataclass(frozen=True, eq=False)
class Labels:
    """N architectures of one space, and a number for each.

    Attributes:
        source: where they came from, for messages.
        column: which column or metric of the source, for messages.
        space: the space of the architectures; for a run with the shapes of its task.
        where: the space's name in a configuration; a file by its absolute path.
        architectures: one for each label.
        values_N: the labels in the source's own units; NaN for a row without one.
        classes_N: the table's own numbers of classes of isomorphic architectures, or None.
    """

    source: str
    column: str
    space: SearchSpace
    where: str
    architectures: Sequence[Architecture]
    values_N: numpy.ndarray
    classes_N: numpy.ndarray | None = None


def read_labels(
    source: str | Path, *, space: str | None = None, column: str | None = None
) -> Labels:
    """The labels in a run's directory, or in a table `FILE.npz` or `builtin:NAME`.

    Args:
        source: the directory, file or name.
        space: as a configuration names it. A table needs it. For a run the default is its own
            space, but code runs only if this user began the run on this machine.
        column: a table's column, `NAME`, or `NAME:INDEX` if it has two dimensions. For recorded
            trainings `validation` (the default), `test` or `seconds`, the mean of an architecture's
            trainings, or `NAME:INDEX` for one of them. For a run
            `score` (the default), `seconds`, or a metric of its observations; if the run trained at
            several fidelities, only the labels of the highest one are read.

    Raises:
        ValueError: there is no such source, space or column, or the table does not fit the space.
        nas.record.journal.JournalError: the run cannot be read.
    """
    if is_table(source):
        return _of_table(str(source), space, column)
    if not (Path(source) / FILE).is_file():
        raise ValueError(
            f"labels come from a run's directory, a table FILE.npz, or builtin:NAME; {source} is "
            f"none of these (looked from {Path.cwd()})"
        )
    return _of_run(Path(source), space, column)


def is_table(source: str | Path) -> bool:
    """Whether the source is named like a table, not like a run's directory."""
    return str(source).startswith(BUILTIN) or str(source).endswith(".npz")


def as_path(where: str) -> str:
    """The name of a space or plug-in, with a file's path made absolute.

    So it is found from any directory.
    """
    file, colon, attribute = where.rpartition(":")
    return f"{Path(file).resolve()}:{attribute}" if colon and file.endswith(".py") else where


def _of_table(source: str, where: str | None, column: str | None) -> Labels:
    if where is None:
        raise ValueError(
            f"give the space of the architectures of {source} with --space; known are "
            f"{', '.join(sorted(known_spaces()))}"
        )
    space, columns = load_space(where), read_npz(find_table(source))
    if is_recorded(columns):
        return _of_recording(source, space, as_path(where), column or RECORDED)
    if column is None:
        raise ValueError(
            f"give the column of {source} that holds the scores with --score; it has "
            f"{', '.join(columns)}"
        )
    architectures = architectures_of(source, columns, space)
    values_N = _column(source, columns, column, len(architectures))
    classes_N = columns.get(ISOMORPH)
    if classes_N is not None and classes_N.shape != values_N.shape:
        raise ValueError(
            f"the column {ISOMORPH!r} of {source} should be {len(values_N)} numbers, one a row; "
            f"its shape is {classes_N.shape}"
        )
    return Labels(source, column, space, as_path(where), architectures, values_N, classes_N)


def _of_recording(source: str, space: SearchSpace, where: str, named: str) -> Labels:
    """The labels in a table of recorded trainings: the mean of those that succeeded, or of one."""
    table = read_recorded(find_table(source))
    space = with_shapes(space, table.about.get("shapes"), source)
    RecordedEvaluator(space, source, table)  # It refuses a space that has changed.
    known = {
        "validation": table.validation_NS,
        "test": table.test_NS,
        "seconds": table.seconds_NS,
    }
    name, colon, index = named.partition(":")
    seeds = table.failure_NS.shape[1]
    if name not in known or (colon and not (index.isdecimal() and int(index) < seeds)):
        raise ValueError(
            f"{source} has the scores {', '.join(known)}, each the mean of an architecture's "
            f"trainings, or {RECORDED}:0 to {RECORDED}:{seeds - 1} for one of them; got {named!r}"
        )
    value_N = known[name][:, int(index)] if colon else table.mean_of(known[name])
    return Labels(source, named, space, where, table.architectures, value_N)


def _column(
    source: str, columns: Mapping[str, numpy.ndarray], named: str, rows: int
) -> numpy.ndarray:
    name, colon, index = named.rpartition(":")
    if named in columns or not colon:
        name, colon, index = named, "", ""
    if name not in columns:
        raise ValueError(f"the table {source} has no column {name!r}; it has {', '.join(columns)}")
    values, shape = columns[name], columns[name].shape
    if values.dtype.kind not in "iuf" or shape[:1] != (rows,) or len(shape) > 2:
        raise ValueError(
            f"the column {name!r} of {source} should be {rows} numbers, one a row; it is "
            f"{values.dtype} {shape}"
        )
    if len(shape) == 2:
        if not index.isdecimal() or int(index) >= shape[1]:
            several = f"{name}:0 to {name}:{shape[1] - 1}"
            raise ValueError(
                f"the column {name!r} of {source} has {shape[1]} numbers a row: name one, "
                f"{several}; got {named!r}"
            )
        values = values[:, int(index)]
    elif colon:
        raise ValueError(
            f"the column {name!r} of {source} has one number a row: name it without :{index}"
        )
    return values.astype(numpy.float64)


def _of_run(directory: Path, where: str | None, column: str | None) -> Labels:
    run = read_run(directory, recordings=True)
    if where is None:
        where = run.config.space
        refuse_foreign_code(
            [where],
            own=run.is_own,
            claim=f"the run {directory} says that its space is",
            kind="run",
            remedy=f"name it yourself, with --space {where}",
        )
    else:
        where = as_path(where)
    if run.is_recording:
        table = str(directory / TABLE)
        return _of_recording(table, load_space(where), where, column or RECORDED)
    column = column or "score"
    journal = f"the journal of {directory}"
    space = with_shapes(load_space(where), run.environment.get("shapes"), journal)
    trials = run.history.fullest
    if not trials:
        raise ValueError(
            f"no evaluation of the run {directory} has succeeded yet, so it has no scores to "
            "learn from"
        )
    for trial in trials:
        check_unchanged(space, trial)
    values_N = numpy.array([_measured(trial, column) for trial in trials], dtype=numpy.float64)
    architectures = [trial.architecture for trial in trials]
    return Labels(str(directory), column, space, where, architectures, values_N)


def _measured(trial: Trial, column: str) -> float:
    assert isinstance(trial.outcome, Observation)
    known = trial.outcome.numbers
    if column not in known:
        raise ValueError(
            f"trial {trial.number} of the run has no number {column!r}; it has {', '.join(known)}"
        )
    return known[column]
