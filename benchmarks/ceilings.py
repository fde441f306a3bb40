"""How well any predictor could rank published tables, given the noise of their measurements.

    python benchmarks/ceilings.py ../shared/data

The argument is a folder with the published tables. For each table it prints Kendall's tau between
the column that predictors learn and the column that they are ranked against, over all rows that
have both. For latencies it prints the Spearman correlation that boosted trees reach on 3,625 cells
of NAS-Bench-201 when they are trained on the decisions of the 12,000 others.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from predictors.ranking import kendall_tau, spearman

PAIRS = (
    ("nasbench201", "c10_val_200", "c10_test_200"),
    ("nasbench201", "c100_val_200", "c100_test_200"),
    ("nasbench101", "val_acc_108", "test_acc_mean"),
    ("nasbench_macro", "test_acc_runs", "mean_acc"),
    ("nasbench_graph", "cs_valid_perf", "cs_perf"),
    ("nasbench_graph", "cora_valid_perf", "cora_perf"),
    ("nasbench_graph", "pubmed_valid_perf", "pubmed_perf"),
)


def main() -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    folder = Path(sys.argv[1])
    for name, learnt, ranked in PAIRS:
        table = np.load(folder / f"{name}.npz", allow_pickle=False)
        first, second = (table[column].astype(float) for column in (learnt, ranked))
        first = first[:, 0] if first.ndim == 2 else first
        both = np.isfinite(first) & np.isfinite(second)
        print(
            f"{name:16} {learnt:18} {ranked:14} {both.sum():6} rows   tau "
            f"{kendall_tau(first[both], second[both]):.4f}"
        )
    decisions = np.load(folder / "nasbench201.npz", allow_pickle=False)["arch"]
    features = np.concatenate(
        [
            np.eye(5)[decisions].reshape(len(decisions), -1),
            np.stack([(decisions == op).sum(1) for op in range(5)], axis=1),
        ],
        axis=1,
    )
    order = np.random.default_rng(0).permutation(len(features))
    known, asked = order[:12_000], order[12_000:]
    reached = []
    latencies = np.load(folder / "nasbench201_latency.npz", allow_pickle=False)
    for device in latencies.files:
        trees = HistGradientBoostingRegressor(max_iter=400, learning_rate=0.05, random_state=0).fit(
            features[known], latencies[device][known]
        )
        reached.append(spearman(trees.predict(features[asked]), latencies[device][asked]))
        print(f"{device:20} Spearman {reached[-1]:.4f}")
    print(f"mean of {len(reached)} devices  Spearman {np.mean(reached):.4f}")


if __name__ == "__main__":
    main()
