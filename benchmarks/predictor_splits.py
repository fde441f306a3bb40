"""The table that predictors are compared on, and its splits into training and test rows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.prediction.labels import Labels, read_labels
from nas.tasks.arrays import read_npz
from predictors.reading.terms import with_whole
from spaces import Architecture, Graph, SearchSpace
from spaces.canonical import canonical_key

# Settings are tuned on splits of other seeds than the reported ones.
SPLIT = 20261123


@dataclass(frozen=True, eq=False)
class Table:
    """The N rows of a table as this benchmark reads them.

    Attributes:
        graphs: (N,) one for each row, with the zero-cost scores on its input node.
        train_N, test_N: the columns; larger is better, NaN where unknown.
        classes: (N,) arrays in which isomorphic rows have the same number.
        sign: 1, or -1 if smaller values are better and both columns were negated.
    """

    space: SearchSpace
    architectures: Sequence[Architecture]
    graphs: np.ndarray
    train_N: np.ndarray
    test_N: np.ndarray
    classes: tuple[np.ndarray, ...]
    sign: int


def read_table(arguments: argparse.Namespace) -> Table:
    """The table that the command line names."""
    train = read_labels(arguments.table, space=arguments.space, column=arguments.train)
    test = read_labels(arguments.table, space=arguments.space, column=arguments.test)
    if arguments.rows is not None:
        drawn = np.random.default_rng(0).permutation(len(train.values_N))[: arguments.rows]
        train, test = _rows(train, drawn), _rows(test, drawn)
    sign = -1 if arguments.lower_is_better else 1
    bare = [train.space.graph(architecture) for architecture in train.architectures]
    keys = np.unique([canonical_key(graph) for graph in bare], return_inverse=True)[1]
    graphs = np.empty(len(bare), dtype=object)
    graphs[:] = with_proxies(bare, arguments.proxies) if arguments.proxies else bare
    classes = (keys,) if train.classes_N is None else (keys, train.classes_N)
    return Table(
        train.space,
        train.architectures,
        graphs,
        sign * train.values_N.astype(float),
        sign * test.values_N.astype(float),
        classes,
        sign,
    )


def _rows(labels: Labels, rows: np.ndarray) -> Labels:
    """The labels of these rows alone."""
    return replace(
        labels,
        architectures=[labels.architectures[row] for row in rows.tolist()],
        values_N=labels.values_N[rows],
        classes_N=None if labels.classes_N is None else labels.classes_N[rows],
    )


def with_proxies(graphs: Sequence[Graph], named: str) -> list[Graph]:
    """The graphs with the columns of `FILE.npz:column,column` on their input nodes.

    A score that is not finite counts as the column's lowest.
    """
    path, _, names = named.rpartition(":")
    columns = {}
    loaded = read_npz(Path(path))
    for name in names.split(","):
        column = loaded[name].astype(float)
        if len(column) != len(graphs):
            raise SystemExit(
                f"{path} has {len(column)} rows in {name}, and the table has {len(graphs)}: they "
                "must be of the same architectures"
            )
        columns[name] = np.where(np.isfinite(column), column, column[np.isfinite(column)].min())
    return [
        with_whole(graph, {name: float(column[row]) for name, column in columns.items()})
        for row, graph in enumerate(graphs)
    ]


def add_arguments(
    parser: argparse.ArgumentParser, sizes: Sequence[int], methods: Sequence[str]
) -> None:
    """Adds what every comparison of predictors is told: space, sizes, seeds and methods.

    Args:
        parser: of the command line.
        sizes, methods: the defaults.
    """
    parser.add_argument("--space", required=True, help="a space's name, or my_file.py:space")
    parser.add_argument(
        "--sizes", type=_numbers, default=list(sizes), help="numbers of labels, such as 39,78,156"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--most-tested",
        type=int,
        default=0,
        help="rank a random sample of this many rows; 0, the default, ranks all",
    )
    parser.add_argument(
        "--methods", type=names, default=list(methods), help=f"by default {','.join(methods)}"
    )


def names(text: str) -> list[str]:
    """The names in `a,b,c`."""
    return text.split(",")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def sampled(tested: np.ndarray, most: int, seed: int, size: int) -> np.ndarray:
    """At most `most` of the test rows of a split, ascending; all of them if `most` is 0."""
    if not 0 < most < len(tested):
        return tested
    sampling = np.random.default_rng([SPLIT, seed, size, 1])
    return np.sort(sampling.choice(tested, most, replace=False))


def splits(
    table: Table, arguments: argparse.Namespace
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Name, seed, training rows, and test rows that are not isomorphic to a training row."""
    labelled = np.flatnonzero(np.isfinite(table.train_N))
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        random = np.random.default_rng([SPLIT, seed])
        if arguments.folds:
            for part in np.array_split(random.permutation(labelled), arguments.folds):
                yield f"{arguments.folds} folds", seed, np.setdiff1d(labelled, part), part
            continue
        for size in arguments.sizes:
            if size > len(labelled):
                raise SystemExit(
                    f"--sizes asks for {size} rows of {arguments.train}, "
                    f"and only {len(labelled)} have a value"
                )
            train = np.random.default_rng([SPLIT, seed, size]).choice(labelled, size, replace=False)
            unseen = ~np.any([np.isin(kind, kind[train]) for kind in table.classes], axis=0)
            tested = np.flatnonzero(unseen & np.isfinite(table.test_N))
            yield str(size), seed, train, sampled(tested, arguments.most_tested, seed, size)
