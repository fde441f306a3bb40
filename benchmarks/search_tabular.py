"""Regret after a budget of looked-up evaluations, for each strategy, over many seeds. Selection is on validation, regret on test.

    python benchmarks/search_tabular.py --budget 100 --seeds 20 --predictor auto trees

The surrogate's settings are those of configs/nasbench201.yaml; the others' are their defaults, evolution's also the published best two.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy

# Python puts this file's folder first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record, spread
from nas.config import load_config
from nas.evaluators.table import table_evaluator
from nas.run import start
from spaces.load import load_space

CONFIG = Path(__file__).parents[1] / "configs" / "nasbench201.yaml"
STRATEGIES = {
    "random": ["strategy=random"],
    "evolution 20/5": ["strategy={name: evolution, population: 20, tournament: 5}"],
    "evolution 20/10": ["strategy={name: evolution, population: 20, tournament: 10}"],
    "evolution 50/10": ["strategy={name: evolution, population: 50, tournament: 10}"],
    "local": ["strategy=local"],
    "surrogate": ["strategy.name=surrogate"],
}
MARKS = (32, 50, 64, 100)


def one(arguments: tuple[str, list[str], int, int]) -> dict[str, Any]:
    name, overrides, seed, budget = arguments
    config = load_config(CONFIG, [*overrides, f"seed={seed}", f"budget={budget}", "baseline=none", "finalists.count=0"])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        history = start(config, Path(folder) / "run", lambda history, events: None)
    seconds = time.perf_counter() - began
    evaluator = table_evaluator(load_space("nasbench201"), config.evaluator.path, score=config.evaluator.score, test=config.evaluator.test)  # type: ignore[union-attr]
    columns = evaluator_columns(config.evaluator.path, config.evaluator.test)  # type: ignore[union-attr]
    row: dict[str, Any] = {"strategy": name, "seed": seed, "budget": budget}
    for mark in (*(mark for mark in MARKS if mark < budget), budget):
        best = max(history.observed[:mark], key=lambda trial: trial.score)
        row[f"test_regret_{mark}"] = round(float(columns.max() - evaluator.finalize(best.architecture, seed=0).test), 4)  # type: ignore[union-attr]
    return {**row, "seconds": round(seconds, 2)}


def variants(name: str, predictors: list[str]) -> list[tuple[str, list[str]]]:
    """The strategy with its overrides of the configuration; the surrogate with each predictor."""
    if name != "surrogate":
        return [(name, STRATEGIES[name])]
    return [(f"{name} {predictor}", [*STRATEGIES[name], f"predictor={predictor}"]) for predictor in predictors]


def evaluator_columns(path: str, column: str) -> numpy.ndarray:
    from importlib.resources import files

    file = files("nas") / "data" / f"{path.partition(':')[2]}.npz" if path.startswith("builtin:") else path
    values = numpy.load(str(file), allow_pickle=False)[column]
    return values[numpy.isfinite(values)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000, help="reporting seeds; tune on others")
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--predictor", nargs="+", default=["auto"], help="of the strategy surrogate, which is run with each")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    compared = dict(each for name in arguments.strategies.split(",") for each in variants(name, arguments.predictor))
    jobs = [
        (name, overrides, arguments.first_seed + seed, arguments.budget) for name, overrides in compared.items() for seed in range(arguments.seeds)
    ]
    with ProcessPoolExecutor(arguments.processes) as pool:
        rows = list(pool.map(one, jobs))
    marks = [mark for mark in MARKS if mark < arguments.budget] + [arguments.budget]
    print(f"{'test regret, median [quartiles]':32}" + "".join(f"{mark:>26}" for mark in marks) + "   mean at end   seconds")
    for name in compared:
        own = [row for row in rows if row["strategy"] == name]
        ends = [row[f"test_regret_{marks[-1]}"] for row in own]
        error = numpy.std(ends, ddof=1) / math.sqrt(len(ends)) if len(ends) > 1 else math.nan
        cells = "".join(f"{spread([row[f'test_regret_{mark}'] for row in own]):>26}" for mark in marks)
        print(f"{name:32}{cells}   {numpy.mean(ends):.3f} ± {error:.3f} {numpy.mean([row['seconds'] for row in own]):9.1f}")
    print("written:", record("search_tabular", rows))


if __name__ == "__main__":
    main()
