"""How much a predictor knows of a task or a device from the other columns of the same table.

    python benchmarks/prior_tasks.py --space nasbench_mr --table ../shared/data/nasbench_mr.npz \
        --columns cls_50_1000,cls_50_100,cls_10_1000,seg_4x,video_p --code embedding \
        --sizes 20,50 --seeds 10 --data ../shared/data --cache CACHE

Each column is left out in turn. The prior has an expert for each of the other columns, grown on all
networks of the table, beside those of the published tables in `--data` (but for `--without`). The
predictor gets labels of a few networks, and ranks the networks that it has no label of. So it may
have seen a network with another task, and never the task. With `--cost` the columns are costs.

Beside the engine's predictors, with this prior and without one, are: `parameters` and
`multiply_adds`; `best other column`, which is chosen with hindsight; extremely randomised trees on
the columns `--code` and the logarithms of parameters and multiply-adds (`trees`), and those that
also read predictions of each other column by such trees, grown on all its rows (`trees + others`).
`prior` is the prior without a label. A predictor's name with ` + executed` after it is told to read
what a device executes, which the engine otherwise finds out from the labels.
Writes `results/prior_tasks_NAME.csv`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.known_tables import Column, rows_table
from benchmarks.predictor_splits import SPLIT, add_arguments, names, sampled
from benchmarks.predictors import calibrated, ranked, with_settings
from benchmarks.pretrain import pretrained, shippable
from benchmarks.record import record
from nas.strategies.prior import far_apart
from nas.strategies.reading import reader_of, reading
from predictors import predictor
from predictors.prior.attached import Reading
from predictors.prior.experts import Prior
from predictors.prior.networks import WHOLE, whole_numbers
from predictors.prior.stored import load_prior, save_prior
from spaces import Graph, SearchSpace
from spaces.load import load_space

SIZES = {
    "parameters": WHOLE.index("log2 parameters"),
    "multiply_adds": WHOLE.index("log2 multiply-adds"),
}
TREES = ("trees", "trees + others")
# With `--apart` the labelled networks are chosen among so many random ones.
DRAWN = 100
BEST_OTHER, PRIOR, EXECUTED = "best other column", "prior", " + executed"
DEFAULT = (
    *SIZES,
    BEST_OTHER,
    *TREES,
    PRIOR,
    'whole:prior="none"',
    "whole",
    'quick:prior="none"',
    "quick",
)


@dataclass(frozen=True, eq=False)
class Task:
    """The M networks that have a label of one column.

    Attributes:
        whole_MW: the numbers of the whole networks.
        row_MR: these, and what the graph networks of the prior say.
        label_M: higher is better.
        code_MC: what plain trees read.
        other_MO: the other columns, higher is better; NaN where unknown.
        told_MO: what trees that learnt from all rows of the other columns say.
        prior: of the other columns and tables.
        prior_folder: where it is stored.
    """

    column: Column
    space: SearchSpace
    graphs: list[Graph]
    whole_MW: np.ndarray
    row_MR: np.ndarray
    label_M: np.ndarray
    code_MC: np.ndarray
    other_MO: np.ndarray
    told_MO: np.ndarray
    prior: Prior
    prior_folder: Path


def tasks(arguments: argparse.Namespace) -> Iterator[Task]:
    """One for each column."""
    columns = [
        Column(arguments.space, tuple(arguments.table), name, arguments.cost)
        for name in arguments.columns
    ]
    known = [(name, None) for name in shippable() if name not in arguments.without]
    prior = pretrained(arguments.data, arguments.cache, known, columns)
    told = len(prior.experts) - len(columns)
    for expert in prior.experts[:told]:
        if expert.column in arguments.columns:
            raise SystemExit(
                f"the prior would have learnt the column {expert.column} that is asked about: add "
                f"--without {expert.table}"
            )
    for place, column in enumerate(columns):
        rest = [number for number in range(len(prior.experts)) if number != told + place]
        folder = arguments.cache / f"prior_{arguments.name}_without_{column.name}"
        save_prior(prior.only(rest), folder, {"without": [column.name]})
        yield _task(column, columns[:place] + columns[place + 1 :], folder, arguments)


def _task(
    column: Column, others: Sequence[Column], folder: Path, arguments: argparse.Namespace
) -> Task:
    read = rows_table(column, arguments.cache)
    rows = read.family_M
    columns = column.read()
    space = load_space(column.space)
    assert space.rows is not None
    architectures: Any = space.rows(columns)
    whole_MW = whole_numbers(read.networks)
    sign = -1.0 if column.cost else 1.0
    code_MC = np.column_stack(
        [columns[name][rows].reshape(len(rows), -1) for name in arguments.code]
        + [whole_MW[:, list(SIZES.values())]]
    ).astype(float)
    other_MO = np.column_stack([sign * columns[other.name][rows] for other in others])
    told_MO = np.empty_like(other_MO)
    for place in range(len(others)):
        held = np.isfinite(other_MO[:, place])
        told_MO[:, place] = plain_trees(code_MC[held], other_MO[held, place], code_MC, leaf=3)
    prior = load_prior(str(folder))
    assert prior is not None
    return Task(
        column,
        space,
        [space.graph(architectures[row]) for row in rows.tolist()],
        whole_MW,
        prior.heard.rows(read.networks),
        read.labels[column.name],
        code_MC,
        other_MO,
        told_MO,
        prior,
        folder,
    )


def plain_trees(
    known_NC: np.ndarray, score_N: np.ndarray, asked_MC: np.ndarray, *, leaf: int = 1
) -> np.ndarray:
    """(M,) the prediction of 300 extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(300, min_samples_leaf=leaf, random_state=0)
    return trees.fit(known_NC, score_N).predict(asked_MC)


def measure(task: Task, method: str, train: np.ndarray, tested: np.ndarray, seed: int) -> dict:
    """The figures of one method on one split."""
    true = task.label_M[tested]
    name, settings = with_settings(method.removesuffix(EXECUTED))
    if method in SIZES:
        size_M = task.whole_MW[tested, SIZES[method]]
        return ranked(-size_M if task.column.cost else size_M, true)
    if method == BEST_OTHER:
        each = []
        for other_M in task.other_MO[tested].T:
            held = np.isfinite(other_M)
            each.append(ranked(other_M[held], true[held]) if held.sum() > 1 else {"spearman": -1.0})
        return max(each, key=lambda figures: figures["spearman"])
    if method in TREES:
        told = [task.told_MO] if method == TREES[1] else []
        read_MC = np.column_stack([task.code_MC, *told])
        return ranked(plain_trees(read_MC[train], task.label_M[train], read_MC[tested]), true)
    if method == PRIOR:
        view = task.prior.view(task.row_MR, cost=task.column.cost)
        if view is None:
            return {}
        return {**ranked(view.opinions(task.row_MR[tested])[0], true), "trust": view.expected}
    if getattr(predictor(name), "reads_networks", False):
        settings = {"prior": str(task.prior_folder), **settings}
    began = time.perf_counter()
    asked: Any = predictor(name, **settings)
    if method.endswith(EXECUTED):
        asked = Reading(asked, reader_of(task.space, executed=True))
    else:
        asked = reading(asked, task.space)
    fitted = asked.fit([task.graphs[row] for row in train], task.label_M[train], seed=seed)
    prediction = fitted.predict([task.graphs[row] for row in tested])
    seconds = time.perf_counter() - began
    return {**ranked(prediction.mean, true), **calibrated(prediction, true), "seconds": seconds}


def split(
    task: Task, size: int, seed: int, most: int, *, apart: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The training rows, and the rows of networks with other numbers than all of these."""
    count = len(task.graphs)
    random = np.random.default_rng([SPLIT, seed, size])
    if apart:
        drawn = random.choice(count, min(count, DRAWN), replace=False)
        train = drawn[far_apart(task.whole_MW[drawn], None, size)]
    else:
        train = random.choice(count, size, replace=False)
    seen = {task.whole_MW[row].tobytes() for row in train}
    tested = np.array([row for row in range(count) if task.whole_MW[row].tobytes() not in seen])
    return train, sampled(tested, most, seed, size)


def main() -> None:
    arguments = parse()
    rows: list[dict[str, Any]] = []
    shown = ("kendall_tau", "coverage_90", "trust", "seconds")
    for task in tasks(arguments):
        for size in arguments.sizes:
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                train, tested = split(
                    task, size, seed, arguments.most_tested, apart=arguments.apart
                )
                for method in arguments.methods:
                    figures = measure(task, method, train, tested, seed)
                    rows.append(
                        {
                            "column": task.column.name,
                            "labels": size,
                            "method": method,
                            "seed": seed,
                            "tested": len(tested),
                            "spearman": _text(figures.get("spearman")),
                            **{name: _text(figures.get(name)) for name in shown},
                        }
                    )
            summarise([row for row in rows if row["column"] == task.column.name], size)
        record(f"prior_tasks_{arguments.name}", rows)


def summarise(rows: Sequence[dict[str, Any]], size: int) -> None:
    """Prints each method's mean and standard deviation over the seeds."""
    for method in dict.fromkeys(row["method"] for row in rows):
        chosen = [row for row in rows if row["method"] == method and row["labels"] == size]
        values = [float(row["spearman"]) for row in chosen if row["spearman"]]
        if values:
            print(
                f"{rows[0]['column']:24} {size:4} {method:20} "
                f"{np.mean(values):.3f} ± {np.std(values):.3f}",
                flush=True,
            )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser, [20, 50], DEFAULT)
    parser.add_argument(
        "--table", type=Path, nargs="+", required=True, help="npz files with the same rows"
    )
    parser.add_argument("--columns", type=names, required=True, help="the tasks or devices")
    parser.add_argument("--cost", action="store_true", help="the columns are costs")
    parser.add_argument(
        "--code", type=names, required=True, help="columns that describe an architecture"
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of known tables")
    parser.add_argument("--cache", type=Path, required=True, help="the folder of pretrain.py")
    parser.add_argument("--without", nargs="*", default=[], help="known tables that are left out")
    parser.add_argument(
        "--apart",
        action="store_true",
        help=f"label networks that differ, out of {DRAWN} random ones, as one who measures can",
    )
    parser.add_argument("--name", required=True, help="of the CSV")
    return parser.parse_args()


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


if __name__ == "__main__":
    main()
