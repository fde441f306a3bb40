"""How well zero-cost proxies rank the cells of NAS-Bench-201 by CIFAR-10 test accuracy.

    python benchmarks/proxies.py ../shared/data --cells 150 --batch-size 16 --workers 2 \
        --task '{name: cifar10, path: cifar10.npz}'

Measured are Spearman's and Kendall's rank correlation with the accuracy, and with published values
of the same proxies. The cells are not isomorphic to each other. Writes `results/proxies_BATCH.csv`.

The folder holds nasbench201.npz, and may hold nasbench201_proxies.npz with the published values:
NASWOT and LogSynflow as means of nine measurements, and the decimal logarithm of one measurement of
Synflow. LogSynflow (Cavagnero et al. 2023) weights Synflow's gradients in another way, so only the
rankings are compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record
from nas.proxies import PROXIES
from nas.proxies.measuring import ProxyPlan, measure_all
from predictors.ranking import kendall_tau, spearman
from spaces.canonical import canonical_key
from spaces.nasbench201 import space

ACCURACY = "c10_test_200"
PUBLISHED = {
    "naswot": ("c10_naswot_avg9",),
    "synflow": ("c10_log10_synflow", "c10_logsynflow_avg9"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the tables")
    parser.add_argument("--cells", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", help="measures on a batch of its training split, not on noise")
    arguments = parser.parse_args()
    table = numpy.load(arguments.folder / "nasbench201.npz", allow_pickle=False)
    published = arguments.folder / "nasbench201_proxies.npz"
    columns = {ACCURACY: table[ACCURACY]}
    if published.exists():
        columns |= dict(numpy.load(published, allow_pickle=False))
    cells = space.rows({"arch": table["arch"]})  # type: ignore[misc]
    classes = {canonical_key(space.graph(cell)): row for row, cell in enumerate(cells)}
    chosen = Random(arguments.seed).sample(list(classes.values()), arguments.cells)
    measured = arguments.task, arguments.batch_size, arguments.seed
    plan = ProxyPlan("nasbench201", space.shapes, tuple(PROXIES), *measured)
    values, seconds = numpy.full((len(chosen), len(PROXIES)), numpy.nan), numpy.zeros(len(PROXIES))
    began = time.perf_counter()
    drawn = [cells[row] for row in chosen]
    for index, scored in measure_all(plan, drawn, workers=arguments.workers):
        values[index] = scored.values
        seconds += scored.seconds
    print(f"{len(chosen)} cells in {time.perf_counter() - began:.0f} s")
    setting = {
        "batch": "task" if arguments.task else "noise",
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
    }
    rows = []
    for number, name in enumerate(PROXIES):
        same_proxy = [column for column in PUBLISHED.get(name, ()) if column in columns]
        seconds_each = round(float(seconds[number]) / len(chosen), 4)
        for other in (ACCURACY, *same_proxy):
            compared = compare(values[:, number], columns[other][chosen])
            row = {"proxy": name, "against": other, **setting, **compared}
            rows.append(row | {"seconds_each": seconds_each})
            print(
                f"{name:<20} {other:<22} spearman {compared['spearman']:6.3f}  kendall "
                f"{compared['kendall']:6.3f}  of {compared['cells']}"
            )
    for column in (name for names in PUBLISHED.values() for name in names if name in columns):
        compared = compare(columns[column][chosen], columns[ACCURACY][chosen])
        print(
            f"the published {column}: spearman {compared['spearman']:.3f}, kendall "
            f"{compared['kendall']:.3f} with {ACCURACY} on the same cells"
        )
    print(record(f"proxies_{setting['batch']}", rows))


def compare(values: numpy.ndarray, others: numpy.ndarray) -> dict[str, Any]:
    """Rank correlations over the cells for which both are finite, and how many these are."""
    both = numpy.isfinite(values) & numpy.isfinite(others)
    left, right = values[both], others[both].astype(float)
    return {
        "cells": int(both.sum()),
        "spearman": round(spearman(left, right), 4),
        "kendall": round(kendall_tau(left, right), 4),
    }


if __name__ == "__main__":
    main()
