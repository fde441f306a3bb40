"""How fast BOSHNAS, its ablations and other strategies find the best rows of a table.

    python benchmarks/boshnas.py --space flexibert_qnli --table qnli.npz --objective qnli \
        --test qnli --listed --budget 64 --seeds 30
    python benchmarks/boshnas.py --read benchmarks/results/boshnas_flexibert_qnli_qnli.csv

`benchmarks/qnli_table.py` makes that table. All strategies have the same rows, budget, batches and
seeds; nothing is smoothed.

For each strategy it prints the evaluations until one of the best hundredth of the rows is found
(`--top`), the evaluations until the best row is found, and the regret at the marks of
`benchmarks/search.py`. A row that is not found counts as found one evaluation after the budget.

Then it compares pairs of strategies by Wilcoxon's test, paired by seed: the default surrogate
search against each other strategy, BOSHNAS against itself without one part, and BOSHNAS against the
others.

After an interrupt the seeds that are complete are reported. Writes
`results/boshnas_SPACE_OBJECTIVE.csv`: a row for each strategy and seed, with the numbers of the
evaluated rows in their order.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.published_table import read_table
from benchmarks.record import record
from benchmarks.search import judge, search, strategy_named
from benchmarks.seeds import each_seed

STRATEGIES = {
    "random search": "random",
    "local search": "local",
    "evolution": "evolution",
    "evolution 20/10": "evolution:population=20:tournament=10",
    "Gaussian process, UCB": "surrogate:predictor=gp",
    "boosted trees, UCB": "surrogate:predictor=trees",
    "the default surrogate": "surrogate",
    "BOSHNAS, second order": "boshnas:order=second",
    "BOSHNAS, first order": "boshnas:order=first",
    "BOSHNAS, no climb": "boshnas:order=zeroth",
    "BOSHNAS, second order, one width": "boshnas:order=second:heteroscedastic=false",
    "BOSHNAS, first order, one width": "boshnas:order=first:heteroscedastic=false",
}
DEFAULT = "the default surrogate"
# What the publications claim: BOSHNAS is compared with itself without one part (the second
# derivatives, a noise level for each architecture, the gradient ascent), and with what it replaces.
CONTRASTS = [
    ("BOSHNAS, second order", "BOSHNAS, first order"),
    ("BOSHNAS, second order, one width", "BOSHNAS, first order, one width"),
    ("BOSHNAS, second order", "BOSHNAS, second order, one width"),
    ("BOSHNAS, first order", "BOSHNAS, first order, one width"),
    ("BOSHNAS, second order", "BOSHNAS, no climb"),
    ("BOSHNAS, first order", "BOSHNAS, no climb"),
    *(
        ("BOSHNAS, second order", name)
        for name in STRATEGIES
        if not name.startswith("BOSHNAS") and name != DEFAULT
    ),
]
TEXTS = ("strategy", "trace", "commit", "machine")


def one(job: tuple[argparse.Namespace, str, int]) -> dict[str, Any]:
    """One seed of one strategy."""
    arguments, name, seed = job
    path, columns = str(arguments.table), (arguments.objective, arguments.test)
    table = read_table(arguments.space, path, *columns, "", arguments.listed)
    started = time.process_time()
    text = STRATEGIES[name]
    if arguments.candidates and text.startswith(("surrogate", "boshnas")):
        text += f":candidates={arguments.candidates}"
    rows = search(table, strategy_named(text, arguments), arguments.budget, arguments.batch, seed)
    seconds = time.process_time() - started
    known_N = table.objective_N[np.isfinite(table.objective_N)]
    least = np.sort(known_N)[-math.ceil(arguments.top * len(known_N))]
    found = np.flatnonzero(table.objective_N[rows] >= least)
    figures = {
        "evaluations_to_top": int(found[0]) + 1 if len(found) else arguments.budget + 1,
        **judge(table, rows),
    }
    figures["evaluations_to_best"] = min(figures["evaluations_to_best"], arguments.budget + 1)
    return {
        "strategy": name,
        "seed": seed,
        **figures,
        "processor_seconds": seconds,
        "trace": " ".join(map(str, rows)),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Prints a line for each strategy, and a line for each compared pair."""
    marks = [name for name in rows[0] if name.startswith("regret_")]
    by_name = {
        name: own
        for name in STRATEGIES
        if (own := [row for row in rows if row["strategy"] == name])
    }
    budget = max(len(row["trace"].split()) for row in rows)
    regret_head = "mean regret at " + ", ".join(mark[7:] for mark in marks)
    print(f"{'':34}{'top: median [quartiles], 90 %':32}{'best':10}{regret_head:42}seconds")
    for name, own in by_name.items():
        low, middle, high, late = np.quantile(
            [row["evaluations_to_top"] for row in own],
            (0.25, 0.5, 0.75, 0.9),
            method="inverted_cdf",
        )
        best = np.median([row["evaluations_to_best"] for row in own])
        reached, late, best = (
            f"{number:g}" if number <= budget else f"> {budget}" for number in (middle, late, best)
        )
        means = " ".join(f"{np.mean([row[mark] for row in own]):.3g}" for mark in marks)
        seconds = np.mean([row["processor_seconds"] for row in own])
        to_top = f"{reached} [{low:g}, {high:g}], {late}"
        print(f"{name:34}{to_top:32}{best:10}{means:42}{seconds:.0f}")
    print("\npaired by seed, mean ± standard error, Wilcoxon's p; above zero: the first is better")
    print(f"{'':70}{'evaluations to top':26}regret at {marks[-1][7:]}")
    for first, second in [*((DEFAULT, name) for name in by_name if name != DEFAULT), *CONTRASTS]:
        if first in by_name and second in by_name:
            less = [
                _paired([row[key] for row in by_name[second]], [row[key] for row in by_name[first]])
                for key in ("evaluations_to_top", marks[-1])
            ]
            print(f"{f'{first} - {second}':70}{less[0]:26}{less[1]}")


def _paired(more: list[float], less: list[float]) -> str:
    ahead_S = np.array(more) - np.array(less)
    chance = 1.0
    if np.any(ahead_S):
        chance = wilcoxon(ahead_S).pvalue  # pyright: ignore[reportAttributeAccessIssue]
    error = ahead_S.std(ddof=1) / len(ahead_S) ** 0.5
    return f"{ahead_S.mean():+.3g} ± {error:.2g}, p {chance:.3f}"


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV that this script wrote."""
    with path.open(newline="") as file:
        return [
            {key: value if key in TEXTS else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def main() -> None:
    if sys.argv[1:2] == ["--read"] and len(sys.argv) == 3:
        show(read(Path(sys.argv[2])))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument(
        "--objective", required=True, help="the column that the search sees, higher is better"
    )
    parser.add_argument("--test", required=True, help="the column that judges the chosen row")
    parser.add_argument(
        "--listed", action="store_true", help="draw among the rows: see benchmarks/search.py"
    )
    parser.add_argument(
        "--strategies",
        type=lambda text: text.split(";"),
        default=list(STRATEGIES),
        help="names, with semicolons between; by default all",
    )
    parser.add_argument(
        "--top", type=float, default=0.01, help="one of this best share of the rows is to be found"
    )
    parser.add_argument(
        "--candidates",
        type=int,
        help="how many each surrogate ranks in a round; by default as many as in a search",
    )
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--name", default="", help="of the CSV; by default the space and the objective"
    )
    arguments = parser.parse_args()
    arguments.cost = ""
    unknown = [name for name in arguments.strategies if name not in STRATEGIES]
    if unknown:
        raise SystemExit(
            f"no strategy here is called {unknown[0]!r}; known: {'; '.join(STRATEGIES)}"
        )
    rows = each_seed(one, arguments)
    show(rows)
    written = [
        {key: f"{value:.5g}" if isinstance(value, float) else value for key, value in row.items()}
        for row in rows
    ]
    few = f"_{arguments.candidates}_candidates" if arguments.candidates else ""
    name = arguments.name or f"{arguments.space}_{arguments.objective}{few}"
    print("written:", record(f"boshnas_{name}", written))


if __name__ == "__main__":
    main()
