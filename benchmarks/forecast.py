"""How well forecasts after 20, 40 and 60 of 100 evaluations predict how far the best score rises.

    python benchmarks/forecast.py --data DIR --seeds 6

DIR holds nasbench201.npz, nasbench101.npz and nasbench_macro.npz. Strategies: random, evolution,
local, smbo, and the surrogate with a Gaussian process. NAS-Bench-101's table is only a part of its
space, and there the first three are run. A forecast of the gain from k more evaluations after n has
a mean and a 90 % interval. Compared are

    no gain        the best score does not rise
    same gain      the gain of the latest k evaluations
    gaussian       the maximum of k draws from a Gaussian fitted to the latest 20 scores
    upper half     the same around their median, with the deviation of the scores above it
    records, iid   independent draws with an exponential tail, fitted to the best quarter:
                   P(gain > x) = k e / (n + k e), e = exp(-x / b)
    predictions    a Gaussian around the surrogate's latest ten predictions, with the deviation of
                   its latest errors; only if the strategy predicts
    records        `nas.search.expected_gain.gain_of`: the rate and the sizes of the improvements
                   so far, and the spread of the best quarter

They are judged by the coverage of the interval, the bias (mean forecast minus gain), the mean
absolute error, and the Brier score of the probability of any gain. Errors are shares of the mean
gain on that table, so that tables of different units can be pooled. Writes `results/forecast.csv`:
a row for each strategy, table, moment and forecast, with means over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.published_table import read_table
from benchmarks.record import record
from benchmarks.search import searched, strategy_named
from nas.search.expected_gain import gain_of

BUDGET, BATCH, MOMENTS = 100, 10, (20, 40, 60)
FAST = ("random", "evolution", "local")
ALL = (*FAST, "smbo", "surrogate:predictor=gp:candidates=300")
TABLES = {
    "nasbench201 c100": ("nasbench201", "nasbench201.npz", "c100_val_12", ALL),
    "nasbench201 c10": ("nasbench201", "nasbench201.npz", "c10_val_12", ALL),
    "nasbench_macro": ("nasbench_macro", "nasbench_macro.npz", "mean_acc", ALL),
    "nasbench101": ("nasbench101", "nasbench101.npz", "test_acc_mean", FAST),
}


@dataclass(frozen=True)
class Trace:
    """One search: its scores in order, and the surrogate's prediction of each or None."""

    table: str
    strategy: str
    seed: int
    scores: tuple[float, ...]
    predicted: tuple[float | None, ...]


@dataclass(frozen=True)
class Said:
    """A forecast: mean, interval, and the probability of any gain."""

    mean: float
    low: float
    high: float
    probability: float


Model = Callable[[np.ndarray, np.ndarray, int], Said | None]


def no_gain(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said:
    """The best score does not rise."""
    return Said(0.0, 0.0, 0.0, 0.0)


def same_gain(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said:
    """The gain of the latest `further` evaluations, or of all but the first if they are fewer."""
    gain = float(score_N.max() - score_N[: max(1, len(score_N) - further)].max())
    return Said(gain, gain, gain, float(gain > 0))


def gaussian(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said:
    """The maximum of draws from N(mean, deviation) of the latest 20 scores."""
    latest = score_N[-20:]
    return _maximum(float(latest.mean()), float(latest.std(ddof=1)), float(score_N.max()), further)


def upper_half(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said:
    """The same around the median, with the deviation of the scores above it."""
    latest = score_N[-20:]
    middle = float(np.median(latest))
    above = latest[latest >= middle] - middle
    return _maximum(middle, float(np.sqrt((above**2).mean())), float(score_N.max()), further)


def independent_records(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said:
    """The forecast for independent draws with an exponential tail.

    The next draw beats the best of n with probability 1 / (n + 1); its excess is exponential.
    """
    best = np.sort(score_N)[::-1]
    top = max(4, len(best) // 4)
    scale, odds = float((best[:top] - best[top]).mean()), further / len(score_N)
    low, high = (scale * math.log(max(1.0, share / (1 - share) * odds)) for share in (0.05, 0.95))
    return Said(scale * math.log1p(odds), low, high, odds / (1 + odds))


def predictions(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said | None:
    """The maximum of draws around the latest ten predictions.

    Bias and deviation are those of the latest twenty errors. None with fewer than ten predictions.
    """
    known = np.isfinite(predicted_N)
    if known.sum() < 10:
        return None
    error = (score_N - predicted_N)[known][-20:]
    middle = float(np.median(predicted_N[known][-10:]) + np.median(error))
    spread = 1.4826 * float(np.median(np.abs(error - np.median(error))))
    return _maximum(middle, spread, float(score_N.max()), further)


def records(score_N: np.ndarray, predicted_N: np.ndarray, further: int) -> Said:
    """The forecast that `nas` shows during a search."""
    gain = gain_of(score_N.tolist(), further)
    return Said(gain.mean, gain.low, gain.high, gain.probability)


MODELS: dict[str, Model] = {
    "no gain": no_gain,
    "same gain": same_gain,
    "gaussian": gaussian,
    "upper half": upper_half,
    "records, iid": independent_records,
    "predictions": predictions,
    "records": records,
}


def _maximum(mean: float, deviation: float, best: float, further: int) -> Said:
    deviation = max(deviation, 1e-12)
    rise = np.concatenate([[0.0], np.geomspace(1e-4, 30, 400) * deviation])
    above = 1 - norm.cdf((best + rise - mean) / deviation) ** further
    low, high = (float(rise[np.argmax(above <= tail)]) for tail in (0.95, 0.05))
    return Said(float(np.trapezoid(above, rise)), low, high, float(above[0]))


def traces(data: Path, seeds: Sequence[int]) -> Iterator[Trace]:
    """Every search."""
    for name, (space, file, column, strategies) in TABLES.items():
        table = read_table(space, str(data / file), column, column, "")
        arguments = argparse.Namespace(space=space, table=data / file, objective=column, cost="")
        for seed in seeds:
            for strategy in strategies:
                history, _ = searched(
                    table, strategy_named(strategy, arguments), BUDGET, BATCH, seed
                )
                predicted = tuple(
                    None if trial.prediction is None else trial.prediction.mean
                    for trial in history.observed
                )
                print(f"\r{name}, seed {seed}, {strategy:40}", end="", file=sys.stderr, flush=True)
                scores = tuple(trial.score for trial in history.observed)
                yield Trace(name, strategy.partition(":")[0], seed, scores, predicted)
    print(file=sys.stderr)


def judged(trace: Trace) -> Iterator[dict[str, Any]]:
    """A row for each forecast at each moment, with the gain that followed."""
    score_N = np.array(trace.scores)
    predicted_N = np.array([math.nan if value is None else value for value in trace.predicted])
    for moment in MOMENTS:
        gain = float(score_N.max() - score_N[:moment].max())
        for name, model in MODELS.items():
            said = model(score_N[:moment], predicted_N[:moment], BUDGET - moment)
            if said is not None:
                yield {
                    "table": trace.table,
                    "strategy": trace.strategy,
                    "after": moment,
                    "forecast": name,
                    "gain": gain,
                    "rose": float(gain > 0),
                    "probability": said.probability,
                    "inside": float(said.low - 1e-9 <= gain <= said.high + 1e-9),
                    "bias": said.mean - gain,
                    "error": abs(said.mean - gain),
                    "brier": (said.probability - (gain > 0)) ** 2,
                }


MEASURED = ("gain", "rose", "probability", "inside", "bias", "error", "brier")


def means(rows: list[dict[str, Any]], by: Sequence[str]) -> list[dict[str, Any]]:
    """Means of the measured columns over the rows that agree in the columns `by`."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in by), []).append(row)
    return [
        dict(zip(by, key, strict=True))
        | {"forecasts": len(group)}
        | {name: statistics.fmean(float(row[name]) for row in group) for name in MEASURED}
        for key, group in groups.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument("--name", default="forecast", help="of the CSV")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    rows = [row for trace in traces(arguments.data, seeds) for row in judged(trace)]
    of_records = [row for row in rows if row["forecast"] == "records"]
    units = {row["table"]: row["gain"] for row in means(of_records, ["table"])}
    shares = [
        row | {name: row[name] / units[row["table"]] for name in ("gain", "bias", "error")}
        for row in rows
    ]
    for by in ([], ["strategy"], ["table"], ["after"]):
        print_summary(means(shares, [*by, "forecast"]), by)
    shown = [
        {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}
        for row in means(rows, list(GROUP))
    ]
    seeds_text = json.dumps([seeds[0], seeds[-1]])
    print("written:", record(arguments.name, [{"seeds": seeds_text, **row} for row in shown]))


GROUP = ("table", "strategy", "after", "forecast")


def print_summary(rows: list[dict[str, Any]], by: Sequence[str]) -> None:
    """Prints a line for each forecast; errors are shares of the mean gain."""
    for row in sorted(rows, key=lambda row: [str(row[key]) for key in by]):
        head = " ".join(str(row[key]) for key in by) or "all"
        figures = (
            f"{name} {row[name]:+.2f}" if name == "bias" else f"{name} {row[name]:.2f}"
            for name in MEASURED
        )
        print(f"{head:18} {row['forecast']:14} {row['forecasts']:4} forecasts", *figures, sep="  ")


if __name__ == "__main__":
    main()
