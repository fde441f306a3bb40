"""How well every predictor ranks a table from few labels, how calibrated it is, and how fast.

    python benchmarks/predictors.py --space nasbench201 --table nasbench201.npz \
        --train c10_val_200 --test c10_test_200 --sizes 39,78,156,469 --seeds 10 --json out.json

All methods have the same splits and seeds. A predictor is trained on `--sizes` rows of the column
`--train`, or with `--folds` on all but one fold. Its predictions are ranked against the column
`--test` on every other row that is not isomorphic to a training row, by canonical key and by the
table's column `isomorph`. Intervals are checked on the held-out values of `--train`, because they
predict those.

Methods are the names in `predictors.PREDICTORS`, with settings as in `gnn:layers=4:members=5`.
`prior:prior="DIRECTORY"` predicts without labels, in standard units. `parameters` and
`multiply_adds` rank by that count of the built network, any other name by that column of the table.
Writes `--json`, and `results/predictors_NAME.csv`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.predictor_splits import SPLIT, Table, add_arguments, read_table, splits
from benchmarks.record import commit, record
from nas.strategies.reading import reader_of, reading
from nas.tasks.arrays import read_npz
from predictors import PREDICTORS, Prediction, predictor
from predictors.calibration import LEVELS, coverage, negative_log_likelihood
from predictors.frame.targets import learn_normal_scores
from predictors.prior.stored import load_prior
from predictors.prior.unlabelled import unlabelled
from predictors.ranking import kendall_tau, precision_at, regret_of_top, spearman
from spaces.ops import costs

DEFAULT = ("parameters", "multiply_adds", "ridge", "trees", "extra_trees", "gp", "gnn", "auto")
COUNTS = ("parameters", "multiply_adds")
# Building a network to count its parameters takes milliseconds. Of a table with more rows than this
# a random sample is counted.
MOST_COUNTED = 6000


def measure(
    table: Table, method: str, train: np.ndarray, unseen: np.ndarray, seed: int
) -> dict[str, Any]:
    """The figures of one predictor on one split."""
    _reset_peak()
    before = _peak()
    started = time.perf_counter()
    name, settings = with_settings(method)
    if name == "prior":
        return _unlabelled(table, settings, unseen, seed)
    fitted = reading(predictor(name, **settings), table.space).fit(
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
    # `table.graphs` may carry zero-cost scores; making graphs from decisions takes the same time.
    for row in unseen[:2000]:
        table.space.graph(table.architectures[row])
    define_seconds = (time.perf_counter() - started) * len(unseen) / min(len(unseen), 2000)
    figures = {
        **ranked(prediction.mean, table.test_N[unseen]),
        **calibrated(prediction, table.train_N[unseen]),
        "fit_seconds": fit_seconds,
        "encoded_per_second": len(unseen) / predict_seconds,
        "decisions_per_second": len(unseen) / (define_seconds + encode_seconds + predict_seconds),
        "peak_megabytes": _peak() - before,
        "tested": len(unseen),
    }
    weights = getattr(asked.model, "weights", None)
    if weights:
        rounded = {name: round(weight, 3) for name, weight in weights.items()}
        figures["weights"] = json.dumps(rounded)
    return figures


def _unlabelled(
    table: Table, settings: dict[str, Any], unseen: np.ndarray, seed: int
) -> dict[str, Any]:
    """The figures of a prior without labels. Its intervals are checked on normal scores."""
    random = np.random.default_rng([SPLIT, seed, 2])
    reference = random.permutation(len(table.graphs))[:500]
    prior = load_prior(settings.get("prior", "shipped"))
    known = unlabelled(
        prior,
        reader_of(table.space, None if table.sign < 0 else prior, executed=table.sign < 0),
        list(table.graphs[reference]),
        cost=table.sign < 0,
    )
    if known is None:
        return {"tested": len(unseen)}
    prediction = known.predict(list(table.graphs[unseen]))
    score_M = table.test_N[unseen]
    normal_M = learn_normal_scores(score_M).to_normal(score_M)
    return {
        **ranked(prediction.mean, score_M),
        **calibrated(prediction, normal_M),
        "trust": known.trust,
        "tested": len(unseen),
    }


def with_settings(method: str) -> tuple[str, dict[str, Any]]:
    """The predictor's name and settings in `gnn:layers=4:members=5`."""
    name, *settings = method.split(":")
    parts = (setting.partition("=") for setting in settings)
    return name, {key: json.loads(value) for key, _, value in parts}


def ranked(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """How well the predictions rank the rows by the test column."""
    return {
        "kendall_tau": kendall_tau(predicted, true),
        "spearman": spearman(predicted, true),
        "precision_at_0.005": precision_at(predicted, true, 0.005),
        "regret_of_top_10": regret_of_top(predicted, true, min(10, len(true))),
    }


def calibrated(prediction: Prediction, true: np.ndarray) -> dict[str, float]:
    """Calibration of the predictive distributions.

    For comparison, `nll_constant_width` is that of equally wide distributions with the same means,
    whose standard deviation is the root mean square error on these very rows.
    """
    held = np.isfinite(true)
    if held.sum() < 2:
        return {}
    kept = Prediction(prediction.mean[held], prediction.aleatoric[held], prediction.epistemic[held])
    truth = true[held]
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
    """(N,) the count that a trivial baseline ranks by; NaN for rows that were not counted."""
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
    """The rows of one split, one for each method.

    It runs in a process that was forked from the one that read the table.
    """
    size, seed, train, unseen, methods = job
    rows = []
    for method in methods:
        if with_settings(method)[0] in (*PREDICTORS, "prior"):
            figures = measure(TABLE, method, train, unseen, seed)
        else:
            counted = unseen[np.isfinite(BASELINES[method][unseen])]
            if len(counted) < 2:
                continue
            figures = ranked(BASELINES[method][counted], TABLE.test_N[counted])
            figures["tested"] = len(counted)
        rows.append({"method": method, "labels": len(train), "size": size, "seed": seed, **figures})
    return rows


def main() -> None:
    global TABLE
    arguments = parse()
    TABLE = read_table(arguments)
    for method in arguments.methods:
        if with_settings(method)[0] not in (*PREDICTORS, "prior"):
            BASELINES[method] = count(TABLE, method, arguments.table)
    jobs = [(*split, arguments.methods) for split in splits(TABLE, arguments)]
    rows: list[dict[str, Any]] = []
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(arguments.workers, context, _import_everything) as pool:
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
        written = {"command": vars(arguments) | {"commit": commit()}, "rows": rows}
        arguments.json.write_text(json.dumps(written, indent=1, default=str) + "\n")
    print_summary(rows, arguments.methods)
    print(f"every split: {path}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, [100], DEFAULT)
    parser.add_argument("--table", type=Path, required=True, help="FILE.npz")
    parser.add_argument(
        "--train", required=True, help="the column to learn, COLUMN or COLUMN:INDEX"
    )
    parser.add_argument("--test", required=True, help="the column to rank")
    parser.add_argument("--rows", type=int, help="so many rows, drawn at random; all by default")
    parser.add_argument(
        "--folds", type=int, default=0, help="this many folds of cross-validation instead of sizes"
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
    if arguments.rows is not None and arguments.proxies:
        parser.error("--proxies are of all rows of the table, so --rows cannot stand beside them")
    default = f"{arguments.space}_{arguments.test}".replace(":", "_").replace("/", "_")
    arguments.name = arguments.name or default
    return arguments


def print_summary(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> None:
    """Prints means and standard deviations over the splits."""
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
    """Imports before the first fit, so that a fit's seconds do not contain it, and sets one thread.

    On one thread two splits side by side do not wait for each other.
    """
    import sklearn.ensemble  # noqa: F401
    import torch

    import predictors.network.optimisation  # noqa: F401

    torch.set_num_threads(1)


def _reset_peak() -> None:
    # Only Linux has this file. Elsewhere the peak is not known (see `_peak`).
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """The peak memory since `_reset_peak` in megabytes; NaN if the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(kilobytes) / 1024


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
