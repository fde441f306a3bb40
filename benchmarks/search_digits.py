"""Test accuracy on digits of the search's finalist and of random search's at the same budget.

    python benchmarks/search_digits.py --seeds 5

Every seed is a whole search of `configs/digits.yaml` with its baseline. Writes
`results/search_digits.csv`, a row for each seed and arm.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record
from nas.config.loading import load_config
from nas.evaluators.evaluator import FinalResult
from nas.record.history import History
from nas.search.finalists import winner
from nas.search.run import start

CONFIG = Path(__file__).parents[1] / "configs" / "digits.yaml"


def tests_of_winner(history: History, arm: str) -> list[float]:
    trial = winner(history, arm)
    return [
        final.result.test
        for final in history.finals
        if final.trial == trial and isinstance(final.result, FinalResult)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument("-s", "--set", action="append", default=[], help="overrides of the config")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        config = load_config(CONFIG, [*arguments.set, f"seed={seed}", "keep_weights=finalists"])
        with tempfile.TemporaryDirectory() as folder:
            history = start(config, Path(folder) / "run", lambda history, events: None)
        for arm in ("search", "random"):
            best, tests = history.of_arm(arm).best, tests_of_winner(history, arm)
            assert best is not None
            row = {
                "seed": seed,
                "arm": arm,
                "validation": best.score,
                "test_mean": statistics.mean(tests),
                "test_std": statistics.stdev(tests),
                "runs": len(tests),
            }
            rows.append(row)
            print(row, flush=True)
    for arm in ("search", "random"):
        means = [row["test_mean"] for row in rows if row["arm"] == arm]
        mean, deviation = statistics.mean(means), statistics.stdev(means)
        accuracy = f"{mean:.4f} ± {deviation:.4f}"
        print(f"{arm}: mean test accuracy {accuracy} over {len(means)} search seeds")
    gaps = [
        search["test_mean"] - random["test_mean"]
        for search, random in zip(rows[::2], rows[1::2], strict=True)
    ]
    mean, error = statistics.mean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5
    print(f"search minus random, paired: {mean:+.4f} ± {error:.4f} (standard error)")
    print("written:", record("search_digits", rows))


if __name__ == "__main__":
    main()
