"""How well predictors, parameter count and multiply-adds rank a run's held-out architectures.

    nas search configs/digits.yaml -s strategy=random -s budget=200 -s batch=20 \
        -s baseline=none -s finalists.count=0 --out runs/pool
    python benchmarks/predictor_on_run.py runs/pool --sizes 24 60 120

The run should be a random search, so that its architectures are a random sample of the space.
Writes `results/predictor_on_run.csv`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record
from nas.config.evaluator import shaped_space
from nas.config.loading import parse_config
from nas.record.folding import fold
from nas.record.journal import open_for_reading
from predictors import PREDICTORS, predictor
from predictors.ranking import spearman
from spaces.ops import costs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[24, 60, 120])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    with open_for_reading(arguments.run) as journal:
        space = shaped_space(parse_config(journal.config, str(arguments.run)))
        observed = fold(journal.events()).observed
    graphs = [space.graph(trial.architecture) for trial in observed]
    scores = numpy.array([trial.score for trial in observed])
    whole = [costs(space.network_graph(graph), space.shapes.input) for graph in graphs]
    trivial = {
        "parameters": numpy.array([cost.parameters for cost in whole], dtype=float),
        "multiply-adds": numpy.array([cost.multiply_adds for cost in whole], dtype=float),
    }
    rows = []
    for labels in arguments.sizes:
        for seed in range(arguments.seeds):
            order = numpy.random.default_rng(seed).permutation(len(scores))
            fitted_on, others = order[:labels], order[labels:]
            for name in PREDICTORS:
                began = time.perf_counter()
                fitted = predictor(name).fit(
                    [graphs[place] for place in fitted_on], scores[fitted_on], seed=seed
                )
                seconds = time.perf_counter() - began
                mean = fitted.predict([graphs[place] for place in others]).mean
                rank = spearman(mean, scores[others])
                figures = {"spearman": rank, "fit_seconds": round(seconds, 2)}
                rows.append({"predictor": name, "labels": labels, "seed": seed, **figures})
            for name, values in trivial.items():
                rank = spearman(values[others], scores[others])
                figures = {"spearman": rank, "fit_seconds": 0.0}
                rows.append({"predictor": name, "labels": labels, "seed": seed, **figures})
    print(
        f"{len(scores)} architectures; Spearman on the held-out ones, "
        f"mean ± deviation over {arguments.seeds} seeds"
    )
    for name in (*PREDICTORS, *trivial):
        cells = []
        for labels in arguments.sizes:
            values = [
                row["spearman"]
                for row in rows
                if row["predictor"] == name and row["labels"] == labels
            ]
            cells.append(
                f"{labels}: {statistics.mean(values):.3f} ± "
                f"{statistics.stdev(values) if len(values) > 1 else 0:.3f}"
            )
        print(f"{name:14}", "   ".join(cells))
    print("written:", record("predictor_on_run", rows))


if __name__ == "__main__":
    main()
