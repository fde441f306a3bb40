"""Whether predictors stay calibrated on architectures that are larger than those of training.

    python benchmarks/shift.py --space nasbench_macro --table nasbench_macro.npz \
        --column mean_acc --labels 200 --seeds 5

Predictors are trained on the smaller half of a table's networks and tested on both halves. The size
of a network is its number of operations after simplification; networks of the median size are in
neither half. `in_space` are the held-out networks of the smaller half, `shifted` those of the
larger half. Writes `results/shift_SPACE_COLUMN.csv`, a row for each seed, method and half.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from nas.prediction.labels import read_labels
from predictors import predictor
from predictors.calibration import LEVELS, coverage, negative_log_likelihood
from predictors.ranking import kendall_tau
from spaces.canonical import canonical_key, simplify

MOST_TESTED = 3000
SHOWN = (
    "kendall_tau",
    "coverage_50",
    "coverage_90",
    "nll",
    "mean_std",
    "root_mean_square_error",
    "epistemic_share",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--column", required=True)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default="trees,gp,gnn,auto")
    arguments = parser.parse_args()
    labels = read_labels(arguments.table, space=arguments.space, column=arguments.column)
    graphs = [labels.space.graph(architecture) for architecture in labels.architectures]
    value_N, known_N = labels.values_N.astype(float), np.isfinite(labels.values_N)
    class_N = np.unique([canonical_key(graph) for graph in graphs], return_inverse=True)[1]
    size_N = np.array([len(simplify(graph).nodes) for graph in graphs])
    small, large = (
        np.flatnonzero(known_N & half_N)
        for half_N in (size_N < np.median(size_N), size_N > np.median(size_N))
    )
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        random = np.random.default_rng(seed)
        train = random.choice(small, arguments.labels, replace=False)
        unseen = small[~np.isin(class_N[small], class_N[train])]
        for method in arguments.methods.split(","):
            fitted = predictor(method).fit(
                [graphs[row] for row in train], value_N[train], seed=seed
            )
            for where, tested in (("in_space", unseen), ("shifted", large)):
                tested = random.permutation(tested)[:MOST_TESTED]
                prediction, true = fitted.predict([graphs[row] for row in tested]), value_N[tested]
                covered = {
                    f"coverage_{level:.0%}".rstrip("%"): share
                    for level, share in zip(LEVELS, coverage(prediction, true), strict=True)
                }
                variance, error = prediction.std**2, prediction.mean - true
                figures = {
                    "kendall_tau": kendall_tau(prediction.mean, true),
                    **covered,
                    "nll": negative_log_likelihood(prediction, true),
                    "mean_std": float(prediction.std.mean()),
                    "epistemic_share": float((prediction.epistemic**2).sum() / variance.sum()),
                    "root_mean_square_error": float(np.sqrt((error**2).mean())),
                }
                row = {
                    "table": arguments.table.name,
                    "column": arguments.column,
                    "labels": len(train),
                    "method": method,
                    "where": where,
                    "seed": seed,
                    "tested": len(tested),
                }
                rows.append(row | {name: f"{value:.4g}" for name, value in figures.items()})
    for method in arguments.methods.split(","):
        for where in ("in_space", "shifted"):
            chosen = [row for row in rows if row["method"] == method and row["where"] == where]
            means = {name: np.mean([float(row[name]) for row in chosen]) for name in SHOWN}
            shown = "  ".join(f"{name} {mean:.3f}" for name, mean in means.items())
            print(f"{method:12} {where:9} {shown}")
    print(record(f"shift_{arguments.space}_{arguments.column}", rows))


if __name__ == "__main__":
    main()
