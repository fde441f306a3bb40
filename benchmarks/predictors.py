"""How well every predictor ranks a table from few labels, how true its spread is, and how fast it
is: all methods on the same splits and seeds.

    python benchmarks/predictors.py --space nasbench201 --table nasbench201.npz --train c10_val_200
    --test c10_test_200 --sizes 39,78,156,469 \
        --seeds 10 --json out.json

A predictor is trained on `--sizes` rows of the column `--train` (or, with `--folds`, on all but one
fold) and ranked against the column `--test` on every other row that is no isomorphic twin of a
training row, by canonical key and by the table's column `isomorph`. Intervals are checked on the
values of `--train` that were left out, because they predict those. Methods: the names in
`predictors.PREDICTORS`, with other settings as in `gnn:layers=4:members=5`; `parameters` and
`multiply_adds` rank by that count of the built network, and any other name by that column of the
table. Writes `--json`, and `results/predictors_NAME.csv`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Python puts this file's folder first on the path, where its name would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import commit, record
from nas.prediction.labels import read_labels
from nas.tasks.arrays import read_npz
from predictors import PREDICTORS, Prediction, predictor
from predictors.calibration import LEVELS, coverage, negative_log_likelihood
from predictors.ranking import kendall_tau, precision_at, regret_of_top, spearman
from predictors.reading.terms import with_whole
from spaces import Architecture, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.ops import costs

DEFAULT = ("parameters", "multiply_adds", "ridge", "trees", "extra_trees", "gp", "gnn", "auto")
COUNTS = ("parameters", "multiply_adds")
# Building a network to count it takes milliseconds: beyond so many rows a random sample of them is
# counted.
MOST_COUNTED = 6000
# The seeds on which settings are tried out are others than those whose figures are reported.
SPLIT = 20261123


@dataclass(frozen=True, eq=False)
class Table:
    """The N rows of a table with what a benchmark needs of them.

    Attributes:
        graphs: of each row, the zero-cost scores on their inputs.
        train_N, test_N: the columns; larger is better, not a number where unknown.
        classes: numberings of isomorphic rows.
        sign: 1, or -1 where smaller values are better and both columns were negated.
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


def with_proxies(graphs: Sequence[Graph], named: str) -> list[Graph]:
    """The graphs with the columns of `FILE.npz:column,column` on their inputs; a score that is not
    finite counts as the column's worst.
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


def splits(
    table: Table, arguments: argparse.Namespace
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Name, seed, training rows, and the rows that are no twins of them."""
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
                    f"--sizes asks for {size} rows of {arguments.train}, and only "
                    f"{len(labelled)} have a value"
                )
            train = np.random.default_rng([SPLIT, seed, size]).choice(labelled, size, replace=False)
            unseen = ~np.any([np.isin(kind, kind[train]) for kind in table.classes], axis=0)
            tested = np.flatnonzero(unseen & np.isfinite(table.test_N))
            if 0 < arguments.most_tested < len(tested):
                tested = np.sort(
                    np.random.default_rng([SPLIT, seed, size, 1]).choice(
                        tested, arguments.most_tested, replace=False
                    )
                )
            yield str(size), seed, train, tested


def measure(
    table: Table, method: str, train: np.ndarray, unseen: np.ndarray, seed: int
) -> dict[str, Any]:
    """The figures of one predictor on one split."""
    _reset_peak()
    before = _peak()
    started = time.perf_counter()
    name, settings = with_settings(method)
    fitted = predictor(name, **settings).fit(
        list(table.graphs[train]), table.train_N[train], seed=seed
    )
    fit_seconds = time.perf_counter() - started
    asked: Any = fitted
    started = time.perf_counter()
    encoded = asked.encode(list(table.graphs[unseen]))
    encode_seconds = time.perf_counter() - started
    started = time.perf_counter()
    prediction = asked.predict_encoded(encoded)
    predict_seconds = time.perf_counter() - started
    started = time.perf_counter()
    # The graphs at hand may carry zero-cost scores; those of the decisions cost the same to make.
    for row in unseen[:2000]:
        table.space.graph(table.architectures[row])
    define_seconds = (time.perf_counter() - started) * len(unseen) / min(len(unseen), 2000)
    figures = ranked(prediction.mean, table.test_N[unseen]) | calibrated(
        prediction, table.train_N[unseen]
    )
    speed = {
        "fit_seconds": fit_seconds,
        "encoded_per_second": len(unseen) / predict_seconds,
        "decisions_per_second": len(unseen) / (define_seconds + encode_seconds + predict_seconds),
        "peak_megabytes": _peak() - before,
    }
    weights = getattr(asked.model, "weights", None)
    return (
        figures
        | speed
        | {"tested": len(unseen)}
        | ({"weights": json.dumps({k: round(v, 3) for k, v in weights.items()})} if weights else {})
    )


def with_settings(method: str) -> tuple[str, dict[str, Any]]:
    """The predictor's name and settings in `gnn:layers=4:members=5`."""
    name, *settings = method.split(":")
    return name, {
        key: json.loads(value) for key, _, value in (setting.partition("=") for setting in settings)
    }


def ranked(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """How well a ranking is that of the test column."""
    return {
        "kendall_tau": kendall_tau(predicted, true),
        "spearman": spearman(predicted, true),
        "precision_at_0.005": precision_at(predicted, true, 0.005),
        "regret_of_top_10": regret_of_top(predicted, true, min(10, len(true))),
    }


def calibrated(prediction: Prediction, true: np.ndarray) -> dict[str, float]:
    """How true the spread is, beside intervals of one width that knows the error of all of them."""
    held = np.isfinite(true)
    if held.sum() < 2:
        return {}
    kept, truth = (
        Prediction(prediction.mean[held], prediction.aleatoric[held], prediction.epistemic[held]),
        true[held],
    )
    width = np.full(len(truth), np.sqrt(np.mean((truth - kept.mean) ** 2)))
    covered = {
        f"coverage_{level:.0%}".rstrip("%"): share
        for level, share in zip(LEVELS, coverage(kept, truth), strict=True)
    }
    constant = Prediction(kept.mean, width, np.zeros(len(truth)))
    return covered | {
        "nll": negative_log_likelihood(kept, truth),
        "nll_constant_width": negative_log_likelihood(constant, truth),
    }


def count(table: Table, method: str, path: Path) -> np.ndarray:
    """(N,) the count that a trivial baseline ranks by; not a number for rows that were not counted."""
    if method not in COUNTS:
        columns = read_npz(path)
        if method not in columns:
            raise SystemExit(
                f"no predictor or column is called {method!r}; predictors: "
                f"{', '.join(PREDICTORS)}; columns: {', '.join(columns)}"
            )
        return table.sign * columns[method].astype(float)
    result = np.full(len(table.graphs), np.nan)
    if not table.space.builds:
        return result
    chosen = np.random.default_rng(SPLIT).permutation(len(result))[:MOST_COUNTED]
    counted: dict[int, float] = {}
    for row in chosen.tolist():
        kind = int(table.classes[0][row])
        if kind not in counted:
            network = table.space.network_graph(table.space.graph(table.architectures[row]))
            counted[kind] = float(getattr(costs(network, table.space.shapes.input), method))
        result[row] = table.sign * counted[kind]
    return result


TABLE: Table
BASELINES: dict[str, np.ndarray] = {}


def one_split(job: tuple[str, int, np.ndarray, np.ndarray, Sequence[str]]) -> list[dict[str, Any]]:
    """The rows of one split: one a method. Runs in a process that was forked from the one that read
    the table.
    """
    size, seed, train, unseen, methods = job
    rows = []
    for method in methods:
        if with_settings(method)[0] in PREDICTORS:
            figures = measure(TABLE, method, train, unseen, seed)
        else:
            counted = unseen[np.isfinite(BASELINES[method][unseen])]
            if len(counted) < 2:
                continue
            figures = ranked(BASELINES[method][counted], TABLE.test_N[counted]) | {
                "tested": len(counted)
            }
        rows.append({"method": method, "labels": len(train), "size": size, "seed": seed, **figures})
    return rows


def main() -> None:
    global TABLE
    arguments = parse()
    TABLE = read_table(arguments)
    for method in arguments.methods:
        if with_settings(method)[0] not in PREDICTORS:
            BASELINES[method] = count(TABLE, method, arguments.table)
    jobs = [(*split, arguments.methods) for split in splits(TABLE, arguments)]
    with ProcessPoolExecutor(
        arguments.workers,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_import_everything,
    ) as pool:
        rows = []
        for done, part in enumerate(pool.map(one_split, jobs), start=1):
            rows += part
            print(f"{done}/{len(jobs)} splits", end="\r", flush=True)
    settings = {
        "table": arguments.table.name,
        "train": arguments.train,
        "test": arguments.test,
        "proxies": arguments.proxies.rpartition(":")[2],
    }
    first = ["method", "labels", "size", "seed"]
    columns = [*first, *sorted({key for row in rows for key in row} - set(first))]
    rows = [{**settings, **{key: _text(row.get(key, "")) for key in columns}} for row in rows]
    path = record(f"predictors_{arguments.name}", rows)
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {"command": vars(arguments) | {"commit": commit()}, "rows": rows},
                indent=1,
                default=str,
            )
            + "\n"
        )
    print_summary(rows, arguments.methods)
    print(f"every split: {path}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", required=True, help="a space's name, or my_file.py:space")
    parser.add_argument("--table", type=Path, required=True, help="FILE.npz")
    parser.add_argument(
        "--train", required=True, help="the column to learn, COLUMN or COLUMN:INDEX"
    )
    parser.add_argument("--test", required=True, help="the column to rank")
    parser.add_argument(
        "--sizes", type=_numbers, default=[100], help="numbers of labels, such as 39,78,156"
    )
    parser.add_argument(
        "--folds", type=int, default=0, help="cross-validation with so many folds instead of sizes"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--most-tested",
        type=int,
        default=0,
        help="rank a random sample of so many rows; 0, the default, ranks all",
    )
    parser.add_argument(
        "--methods", type=_names, default=list(DEFAULT), help=f"by default {','.join(DEFAULT)}"
    )
    parser.add_argument(
        "--proxies",
        default="",
        metavar="FILE.npz:COLUMN,...",
        help="zero-cost scores that predictors may read, by row",
    )
    parser.add_argument(
        "--lower-is-better", action="store_true", help="the columns are costs, such as latencies"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="splits measured at a time; for true timings leave it at 1",
    )
    parser.add_argument(
        "--name", default="", help="of the CSV; by default the space and the test column"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.name = arguments.name or f"{arguments.space}_{arguments.test}".replace(
        ":", "_"
    ).replace("/", "_")
    return arguments


def print_summary(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    """Means and standard deviations over the splits, for the terminal."""
    shown = (
        "kendall_tau",
        "spearman",
        "precision_at_0.005",
        "regret_of_top_10",
        "coverage_90",
        "nll",
        "fit_seconds",
        "encoded_per_second",
    )
    print(f"{'size':>8} {'method':14}" + "".join(f"{name.replace('_', ' '):>20}" for name in shown))
    for size in dict.fromkeys(row["size"] for row in rows):
        for method in methods:
            cells = []
            for name in shown:
                values = [
                    float(row[name])
                    for row in rows
                    if row["size"] == size and row["method"] == method and row.get(name, "") != ""
                ]
                cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "-")
            print(f"{size:>8} {method:14}" + "".join(f"{cell:>20}" for cell in cells))


def _import_everything() -> None:
    """Imports are no part of a fit's seconds. A predictor is fitted on one thread, so two splits
    side by side do not wait for each other.
    """
    import sklearn.ensemble  # noqa: F401
    import torch

    import predictors.network.optimisation  # noqa: F401

    torch.set_num_threads(1)


def _reset_peak() -> None:
    # Elsewhere than on Linux there is no such file, and the peak is not known (see `_peak`).
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """The most memory since `_reset_peak`, in megabytes; not a number where the system does not
    tell.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        / 1024
    )


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    main()
