"""The published tables, as coarse graphs of whole networks with their labels.

    python benchmarks/known_tables.py ../shared/data CACHE

reads every table once and keeps the networks in `CACHE/NAME.npz`, in about five minutes on one
core. Reading a kept table takes a second.

A table of scores is read with simplified graphs, since parts that the output does not need do not
change an accuracy. A table of costs is read as it is executed.

`rows_table` reads any other table whose space has `rows`.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.timm_table import timm_networks
from nas.tasks.arrays import read_npz
from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.networks import Networks, collate
from spaces import Architecture
from spaces.canonical import canonical_key, simplify
from spaces.load import load_space

# Tables of more rows are read by a sample of so many, drawn with this seed.
MOST, SEED = 8000, 20261130


@dataclass(frozen=True, eq=False)
class KnownTable:
    """One table.

    Attributes:
        name: as in `TABLES`.
        networks: its distinct networks.
        labels: (M,) arrays by the name of the column, higher is better; NaN where unknown.
        cost: whether the labels are costs, negated.
        family_M: a number for each network; networks of one family are held out together. Where a
            table has no families, the number of its row.
        shippable: whether weights that were trained on it may be shipped.
    """

    name: str
    networks: Networks
    labels: dict[str, np.ndarray]
    cost: bool
    family_M: np.ndarray
    shippable: bool


Rows = tuple[Iterator[CoarseGraph], dict[str, np.ndarray], np.ndarray]


def table(name: str, data: Path, cache: Path) -> KnownTable:
    """The table of that name, read from `data` or from `cache`."""
    read, cost, shippable = TABLES[name]
    return _kept(cache / f"{name}.npz", lambda: read(data), name, cost=cost, shippable=shippable)


@dataclass(frozen=True)
class Column:
    """A column of a table whose space has `rows`.

    Attributes:
        space: the space's name, or `my_file.py:space`.
        files: npz files with the same rows, whose columns are joined.
        name: of the column.
        cost: whether smaller values are better.
    """

    space: str
    files: tuple[Path, ...]
    name: str
    cost: bool

    @property
    def table(self) -> str:
        """The name of the first file, without its ending."""
        return self.files[0].stem

    def __str__(self) -> str:
        """As in `column_of`, with the names of the files alone."""
        files = "+".join(path.name for path in self.files)
        return f"{self.space}:{files}:{self.name}{':cost' if self.cost else ''}"

    def read(self) -> dict[str, np.ndarray]:
        """All columns of the files.

        Raises:
            SystemExit: the column is not among them, or is not one number for each row.
        """
        columns = {name: values for path in self.files for name, values in read_npz(path).items()}
        if self.name not in columns or columns[self.name].ndim != 1:
            one = [name for name, values in columns.items() if values.ndim == 1]
            raise SystemExit(
                f"{', '.join(map(str, self.files))} should have the column {self.name!r} with a "
                f"number for each row; such columns are {', '.join(one)}"
            )
        return columns


def column_of(text: str) -> Column:
    """The column that `SPACE:FILE.npz:COLUMN` names; `:cost` may follow.

    `FILE.npz+FILE.npz` joins the columns of files with the same rows.

    Raises:
        SystemExit: the text has not these parts.
    """
    body = text.removesuffix(":cost")
    parts = body.rsplit(":", 2)
    if len(parts) != 3 or not all(parts):
        raise SystemExit(f"a column is SPACE:FILE.npz:COLUMN, or with :cost at its end; got {text}")
    space, files, name = parts
    return Column(space, tuple(map(Path, files.split("+"))), name, body != text)


def rows_table(column: Column, cache: Path) -> KnownTable:
    """The networks that have a value in this column, with this label alone.

    What was read is kept by the digests of the files, for all columns with the same rows.
    """
    columns = column.read()
    value_N = columns[column.name].astype(float)
    labelled = np.flatnonzero(np.isfinite(value_N))
    rows = labelled[_sample(len(labelled))]
    digest = hashlib.sha256(f"{column.space} {column.cost}".encode() + rows.tobytes())
    for path in column.files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    path = cache / f"rows_{column.table}_{digest.hexdigest()[:16]}.npz"
    labels = {
        name: values.astype(float)
        for name, values in columns.items()
        if values.shape == value_N.shape and np.issubdtype(values.dtype, np.number)
    }
    read = _kept(
        path,
        lambda: _of_space(column.space, columns, labels, simplified=not column.cost, rows=rows),
        column.table,
        cost=column.cost,
        shippable=False,
    )
    return replace(read, labels={column.name: read.labels[column.name]})


def timm_table(path: Path, cache: Path) -> KnownTable:
    """The networks of another CSV of timm's results, kept by the file's digest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    kept = cache / f"rows_timm_{digest}.npz"
    return _kept(kept, lambda: timm_networks(path), "timm", cost=False, shippable=True)


def _kept(
    path: Path, read: Callable[[], Rows], name: str, *, cost: bool, shippable: bool
) -> KnownTable:
    """The table in the file, which is written first if it is missing."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        graphs, labels, family_M = read()
        networks = collate(list(graphs))
        columns = {f"label {column}": values for column, values in labels.items()}
        arrays = {field: getattr(networks, field) for field in Networks.__dataclass_fields__}
        part = path.with_suffix(".part.npz")
        written: dict[str, Any] = {**arrays, **columns, "family_M": family_M}
        np.savez_compressed(part, **written)
        part.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        networks = Networks(**{field: kept[field] for field in Networks.__dataclass_fields__})
        labels = {
            column.removeprefix("label "): (-1 if cost else 1) * kept[column].astype(float)
            for column in kept.files
            if column.startswith("label ")
        }
        return KnownTable(name, networks, labels, cost, kept["family_M"], shippable)


def _of_space(
    space_name: str,
    columns: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    *,
    simplified: bool = True,
    rows: np.ndarray | None = None,
) -> Rows:
    """The networks of a space's rows; of isomorphic rows the first, with their mean label."""
    space = load_space(space_name)
    assert space.rows is not None
    architectures: Sequence[Architecture] = space.rows(columns)
    chosen = np.arange(len(architectures)) if rows is None else rows
    graphs = [space.graph(architectures[row]) for row in chosen]
    if simplified:
        keys = [canonical_key(graph) for graph in graphs]
        _, first, class_N = np.unique(keys, return_index=True, return_inverse=True)
    else:
        first = class_N = np.arange(len(graphs))
    means = {}
    for column, values in labels.items():
        value_N = values[chosen].astype(float)
        known_N = np.isfinite(value_N)
        total, count = (
            np.bincount(class_N[known_N], weights=weight, minlength=len(first))
            for weight in (value_N[known_N], None)
        )
        means[column] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    connected = [place for place in first if len(simplify(graphs[place]).edges)]
    kept = np.flatnonzero(np.isin(first, connected))

    def each() -> Iterator[CoarseGraph]:
        for place in first[kept].tolist():
            graph = simplify(graphs[place]) if simplified else graphs[place]
            network = space.network_graph(graph) if simplified else space.executed_graph(graph)
            yield coarse_graph(network, space.shapes.input, executed=not simplified)

    return each(), {name: values[kept] for name, values in means.items()}, chosen[first[kept]]


def _sample(count: int) -> np.ndarray:
    random = np.random.default_rng(SEED)
    return np.sort(random.permutation(count)[:MOST])


def _nasbench101(data: Path) -> Rows:
    columns = read_npz(data / "nasbench101.npz")
    labels = {"c10": columns["test_acc_mean"] * 100}
    # A few hundred cells never learnt; how far they got says nothing about others.
    labels["c10"] = np.where(labels["c10"] > 50, labels["c10"], np.nan)
    return _of_space("nasbench101", columns, labels, rows=_sample(len(columns["params"])))


def _nasbench201(data: Path) -> Rows:
    columns = read_npz(data / "nasbench201.npz")
    labels = {"c10": columns["c10_test_200"], "c100": columns["c100_test_200"]}
    return _of_space("nasbench201", columns, labels)


def _nasbench201_latency(data: Path) -> Rows:
    columns, times = (read_npz(data / f"nasbench201{end}.npz") for end in ("", "_latency"))
    labels = {name: values for name, values in times.items() if values.shape == (15625,)}
    rows = np.sort(np.random.default_rng(SEED).permutation(15625)[:4000])
    return _of_space("nasbench201", columns, labels, simplified=False, rows=rows)


def _macro(data: Path) -> Rows:
    columns = read_npz(data / "nasbench_macro.npz")
    return _of_space("nasbench_macro", columns, {"c10": columns["mean_acc"]})


def _accel(data: Path) -> Rows:
    columns = read_npz(data / "accel_nasbench.npz")
    return _of_space("accel_nasbench", columns, {"imagenet": columns["val_top1"]})


def _accel_latency(data: Path) -> Rows:
    columns = read_npz(data / "accel_nasbench.npz")
    labels = {name: values for name, values in columns.items() if name.startswith("latency")}
    # The time of an image, which falls as the throughput rises.
    labels |= {
        name: 1 / values.astype(float)
        for name, values in columns.items()
        if name.startswith("throughput")
    }
    return _of_space("accel_nasbench", columns, labels, simplified=False)


def _qnli(data: Path) -> Rows:
    from benchmarks.qnli_table import read_qnli

    columns = read_qnli(data / "flexibert_qnli.json.gz")
    return _of_space("flexibert_qnli", columns, {"qnli": columns["qnli"]})


def _edgetran(data: Path) -> Rows:
    from benchmarks.edgetran_table import MEASURES, read_edgetran

    columns = read_edgetran(data / "edgetran_hardware.json.gz")
    labels = {name: values for name, values in columns.items() if name.startswith(MEASURES)}
    return _of_space("flexibert2", columns, labels, simplified=False)


def _nasbench_mr(data: Path) -> Rows:
    columns = read_npz(data / "nasbench_mr.npz")
    tasks = ("cls_50_1000", "cls_50_100", "cls_10_1000", "seg_4x", "video_p")
    return _of_space("nasbench_mr", columns, {task: columns[task] for task in tasks})


def _timm(data: Path) -> Rows:
    return timm_networks(data / "timm_results.csv.gz")


# How each table is read, whether its labels are costs, and whether it may be in what is shipped.
TABLES: dict[str, tuple[Callable[[Path], Rows], bool, bool]] = {
    "nasbench101": (_nasbench101, False, True),
    "nasbench201": (_nasbench201, False, True),
    "nasbench_macro": (_macro, False, True),
    "accel_nasbench": (_accel, False, True),
    "timm": (_timm, False, True),
    "flexibert_qnli": (_qnli, False, True),
    "nasbench201_latency": (_nasbench201_latency, True, True),
    "accel_latency": (_accel_latency, True, True),
    "edgetran": (_edgetran, True, True),
    "nasbench_mr": (_nasbench_mr, False, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of the tables")
    parser.add_argument("cache", type=Path, help="the folder for what was read")
    arguments = parser.parse_args()
    for name in TABLES:
        began = time.perf_counter()
        read = table(name, arguments.data, arguments.cache)
        seconds = time.perf_counter() - began
        nodes = np.diff(np.append(read.networks.first_M, len(read.networks.node_NF)))
        print(
            f"{name:20} {len(read.networks):6} networks of {np.median(nodes):.0f} nodes, "
            f"{', '.join(read.labels)}; {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
