"""How well each predictor ranks NAS-Bench-201 from few labels, and whether its spread is true: one CSV row a predictor, size and seed.

    python benchmarks/predictor_quick.py --table nasbench201.npz --sizes 78 156 469 --seeds 3 > quick.csv

Trained on validation accuracy; ranked against test accuracy on all rows outside the training rows' classes. Intervals are checked on the validation
accuracies left over, because they predict those: test accuracies come from networks trained on more images, and are higher.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

from predictors import PREDICTORS, Prediction, predictor
from predictors.calibration import coverage, negative_log_likelihood
from predictors.ranking import kendall_tau, precision_at, regret_of_top, spearman
from spaces.canonical import canonical_key
from spaces.nasbench201 import space

COLUMNS = (
    *("predictor", "data", "labels", "seed", "kendall_tau", "spearman", "precision_at_0.005", "regret_of_top_10"),
    *("coverage_50", "coverage_80", "coverage_90", "coverage_95", "nll", "nll_constant_width", "fit_seconds", "predicted_per_second"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="nasbench201.npz")
    parser.add_argument("--sizes", type=int, nargs="+", default=[78, 156, 469])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", choices=["c10", "c100"], default="c10")
    parser.add_argument("--predictors", nargs="+", choices=sorted(PREDICTORS), default=list(PREDICTORS))
    arguments = parser.parse_args()
    table = np.load(arguments.table, allow_pickle=False)
    graphs = np.empty(len(table["arch"]), dtype=object)
    graphs[:] = [space.graph(architecture) for architecture in space.rows({"arch": table["arch"]})]
    classes = [table["isomorph"], np.unique([canonical_key(graph) for graph in graphs], return_inverse=True)[1]]
    validation, test = (table[f"{arguments.data}_{part}_200"].astype(float) for part in ("val", "test"))
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    for size in arguments.sizes:
        for seed in range(arguments.seeds):
            train = np.random.default_rng(seed).choice(np.flatnonzero(np.isfinite(validation)), size, replace=False)
            unseen = np.flatnonzero(~np.any([np.isin(kind, kind[train]) for kind in classes], axis=0))
            for name in arguments.predictors:
                measured = measure(name, graphs, validation, test, train, unseen, seed)
                writer.writerow({"predictor": name, "data": arguments.data, "labels": size, "seed": seed, **measured})
                sys.stdout.flush()


def measure(
    name: str, graphs: np.ndarray, validation: np.ndarray, test: np.ndarray, train: np.ndarray, unseen: np.ndarray, seed: int
) -> dict[str, str]:
    started = time.perf_counter()
    fitted = predictor(name).fit(list(graphs[train]), validation[train], seed=seed)
    fit_seconds = time.perf_counter() - started
    started = time.perf_counter()
    prediction = fitted.predict(list(graphs[unseen]))
    rate = len(unseen) / (time.perf_counter() - started)
    held = np.isfinite(validation[unseen])
    kept = Prediction(prediction.mean[held], prediction.aleatoric[held], prediction.epistemic[held])
    truth = validation[unseen][held]
    covered = dict(zip(("coverage_50", "coverage_80", "coverage_90", "coverage_95"), coverage(kept, truth), strict=True))
    width = np.full(len(truth), np.sqrt(np.mean((truth - kept.mean) ** 2)))
    figures = {
        "kendall_tau": kendall_tau(prediction.mean, test[unseen]),
        "spearman": spearman(prediction.mean, test[unseen]),
        "precision_at_0.005": precision_at(prediction.mean, test[unseen], 0.005),
        "regret_of_top_10": regret_of_top(prediction.mean, test[unseen], 10),
        **covered,
        "nll": negative_log_likelihood(kept, truth),
        "nll_constant_width": negative_log_likelihood(Prediction(kept.mean, width, np.zeros(len(truth))), truth),
        "fit_seconds": fit_seconds,
        "predicted_per_second": rate,
    }
    return {column: f"{value:.4g}" for column, value in figures.items()}


if __name__ == "__main__":
    main()
