"""Architectures with a number each, out of a run's journal or a published table: what a predictor
is fitted on or judged by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from nas.config.config import parse_config
from nas.config.shapes import shapes_from_json
from nas.evaluators.evaluator import Observation
from nas.evaluators.table import BUILTIN, find_table
from nas.record.history import Trial, fold
from nas.record.journal import FILE, open_for_reading
from nas.record.trust import is_sealed
from nas.search.run import check_unchanged
from nas.tasks.arrays import ARCHITECTURE, read_npz
from spaces import Architecture, SearchSpace
from spaces.load import known_spaces, load_space

# Numberings of isomorphic rows that some tables bring along; they may see more than the canonical
# key does.
ISOMORPH = "isomorph"


@dataclass(frozen=True, eq=False)
class Labels:
    """N architectures of one space, and a number for each.

    Attributes:
        source: where they came from, for messages.
        column: which number of it, for messages.
        space: whose architectures they are, for the shapes of the run's task.
        where: what a configuration calls the space; files by their absolute path.
        architectures: one a label.
        values_N: in the source's own units; not a number where there is none.
        classes_N: the table's own numbering of isomorphic architectures, or None.
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
        space: as a configuration names it. A table needs it; a run knows its own, which is taken
            where this user began the run on this machine.
        column: a table's column, `NAME` or `NAME:INDEX` for one of two dimensions. Of a run `score`
            (the default), `seconds`, or a metric of its observations; where it trained some
            architectures for fewer epochs, those of the highest fidelity alone.

    Raises:
        ValueError: there is no such source, space or column, or the table is not one of the space.
        nas.record.journal.JournalError: the run cannot be read.
    """
    if is_table(source):
        return _of_table(str(source), space, column)
    if not (Path(source) / FILE).is_file():
        raise ValueError(
            f"labels come from a run's directory, a table FILE.npz, or builtin:NAME; {source} is "
            f"none of these (looked from {Path.cwd()})"
        )
    return _of_run(Path(source), space, column or "score")


def is_table(source: str | Path) -> bool:
    """Whether the source is called like a table, not like a run's directory."""
    return str(source).startswith(BUILTIN) or str(source).endswith(".npz")


def as_path(where: str) -> str:
    """The space's or plug-in's name, a file in it by its absolute path, so that it is found from
    anywhere.
    """
    file, colon, attribute = where.rpartition(":")
    return f"{Path(file).resolve()}:{attribute}" if colon and file.endswith(".py") else where


def _of_table(source: str, where: str | None, column: str | None) -> Labels:
    if where is None:
        raise ValueError(
            f"say which space the architectures of {source} are of, with --space; known are "
            f"{', '.join(sorted(known_spaces()))}"
        )
    space, columns = load_space(where), read_npz(find_table(source))
    if column is None:
        raise ValueError(
            f"say which column of {source} holds the scores, with --score; it has "
            f"{', '.join(columns)}"
        )
    architectures = _architectures(source, columns, space)
    values_N = _column(source, columns, column, len(architectures))
    classes_N = columns.get(ISOMORPH)
    if classes_N is not None and classes_N.shape != values_N.shape:
        raise ValueError(
            f"the column {ISOMORPH!r} of {source} should be {len(values_N)} numbers, one a row; "
            f"its shape is {classes_N.shape}"
        )
    return Labels(source, column, space, as_path(where), architectures, values_N, classes_N)


def _architectures(
    source: str, columns: Mapping[str, numpy.ndarray], space: SearchSpace
) -> list[Architecture]:
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
            f"the space {space.name!r} has no `rows` to tell which architecture each row of "
            f"{source} is, so the table needs the column "
            f"{ARCHITECTURE!r} with each as JSON; {held}"
        )
    try:
        return space.rows(columns)
    except KeyError as error:
        raise ValueError(
            f"the table {source} has no column {error.args[0]!r}, which the space {space.name!r} "
            f"reads; {held}"
        ) from error


def _column(
    source: str, columns: Mapping[str, numpy.ndarray], named: str, rows: int
) -> numpy.ndarray:
    name, colon, index = (named, "", "") if named in columns else named.rpartition(":")
    if not colon:
        name = named
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


def _of_run(directory: Path, where: str | None, column: str) -> Labels:
    with open_for_reading(directory) as journal:
        config = parse_config(journal.config, f"the configuration in {directory}")
        environment, history = journal.environment, fold(journal.events())
        ours = is_sealed(journal.config, environment.get("seal", ""))
    if where is None and ":" in config.space and not ours:
        raise ValueError(
            f"the run {directory} says that its space is the code {config.space}, and code is "
            "not run because a run says so: "
            f"name it yourself, with --space {config.space}"
        )
    where = config.space if where is None else as_path(where)
    space = with_shapes(load_space(where), environment.get("shapes"), f"the journal of {directory}")
    trials = history.fullest
    if not trials:
        raise ValueError(
            f"no evaluation of the run {directory} has succeeded yet, so it has no scores to "
            "learn from"
        )
    for trial in trials:
        check_unchanged(space, trial)
    values_N = numpy.array([_measured(trial, column) for trial in trials], dtype=numpy.float64)
    return Labels(
        str(directory), column, space, where, [trial.architecture for trial in trials], values_N
    )


def with_shapes(space: SearchSpace, shapes: Any, where: str) -> SearchSpace:
    """The space for shapes that were kept as JSON; as it is where none were.

    Raises:
        ValueError: they are not shapes; `where` says in the message whose.
    """
    if shapes is None:
        return space
    return space.for_shapes(shapes_from_json(shapes, where))


def _measured(trial: Trial, column: str) -> float:
    assert isinstance(trial.outcome, Observation)
    known = trial.outcome.numbers
    if column not in known:
        raise ValueError(
            f"trial {trial.number} of the run has no number {column!r}; it has {', '.join(known)}"
        )
    return known[column]
