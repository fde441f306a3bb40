"""Strategies of several fidelities beside those of one, on NAS-Bench-101's accuracies after 4, 12,
36 and 108 epochs: regret against epochs spent.

    python benchmarks/halving.py --table nasbench101.npz --budget 40 --seeds 20

The budget counts whole evaluations of 108 epochs. A strategy sees validation accuracies, those of
its rungs. At each mark the cell with the best accuracy among those that were trained longest so far
is chosen, and its regret after 108 epochs is shown: on validation, and on test (the mean of three
trainings), in points. The search is held to the 20,001 cells of which all four accuracies are
known: the space is one choice among them, so the surrogate's candidates are 300 random ones each
time, and `evolution` searches the cells' own space, which rejects all others. `asha/gp` is `asha`
over `surrogate/gp`. Each look at the results hands out four whole evaluations, or sixteen of any
fidelity.

The table's short trainings are trainings of their own, each with its learning rate brought down to
0, not the first epochs of the long one. Writes `results/halving_nasbench101.csv`, a row for each
strategy and seed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

# Python puts this file's folder first on the path, where `predictors.py` would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from benchmarks.search import within
from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import TableEvaluator, table_evaluator
from nas.record.history import EMPTY, ROUNDING, History, Trial, fold, outcome_event, round_event
from nas.strategies import ASHA, Evolution, Hyperband, RandomSearch, Strategy, SurrogateSearch
from nas.strategies.rungs import rungs_of
from predictors import PREDICTORS
from spaces import Chooser, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.load import load_space

MARKS = (5, 10, 20, 40)
BATCH, BATCH_IN_PARTS = 4, 16
LEAST = 0.037
FIDELITIES = {1 / 27: "val_acc_4", 1 / 9: "val_acc_12", 1 / 3: "val_acc_36"}


def strategies() -> dict[str, Strategy]:
    """By the names of the table of results."""
    surrogate = SurrogateSearch(PREDICTORS["gp"](), candidates=300)
    return {
        "random": RandomSearch(),
        "evolution": Evolution(),
        "surrogate/gp": surrogate,
        "asha/random": ASHA(RandomSearch(), least=LEAST),
        "hyperband/random": Hyperband(RandomSearch(), least=LEAST),
        "hyperband/gp": Hyperband(surrogate, least=LEAST),
        "asha/gp": ASHA(surrogate, least=LEAST),
    }


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells with all four accuracies, by canonical key the row of each."""

    table: TableEvaluator
    keys: dict[str, int]

    @cached_property
    def listed(self) -> SearchSpace:
        """One choice among them."""
        graphs = [
            self.table.space.graph(self.table.architectures[row]) for row in self.keys.values()
        ]

        def define(choose: Chooser) -> Graph:
            return graphs[choose.integer("cell", 0, len(graphs) - 1)]

        return SearchSpace("nasbench101_listed", define)

    @cached_property
    def held(self) -> SearchSpace:
        """The space of all cells, which rejects the others."""
        return within(self.table.space, frozenset(self.keys))


def read(path: Path) -> Cells:
    """The table, whose rows are all distinct networks."""
    space = load_space("nasbench101")
    table = table_evaluator(
        space, path, score="val_acc_108", test="test_acc_mean", fidelities=FIDELITIES
    )
    known = np.isfinite([table.scores, *table.fidelities.values()]).all(0)
    return Cells(
        table,
        {
            canonical_key(space.graph(table.architectures[row])): row
            for row in np.flatnonzero(known).tolist()
        },
    )


def search(cells: Cells, strategy: Strategy, budget: float, seed: int) -> History:
    """The whole search, as `nas.search.run` makes it."""
    history, in_parts = EMPTY, len(rungs_of(strategy)) > 1
    space = cells.held if isinstance(strategy, Evolution) else cells.listed
    while (
        count := min(
            BATCH_IN_PARTS if in_parts else BATCH,
            int((budget - history.spent + ROUNDING) / rungs_of(strategy)[0]),
        )
    ) > 0:
        proposals = history.affordable(strategy.ask(space, history, count, seed).proposals, budget)
        if not proposals:
            break
        trials = history.next_round("search", proposals, seed)
        ends = [outcome_event(trial.number, outcome(cells, trial)) for trial in trials]
        history = fold([round_event(len(history.rounds), "search", trials), *ends], history)
    return history


def outcome(cells: Cells, trial: Trial) -> Observation | Failed:
    """What the table says, by canonical key: the space draws no other cells."""
    return Observation(float(cells.table.column(trial.fidelity)[cells.keys[trial.canonical]]))


def judge(cells: Cells, history: History) -> dict[str, float]:
    """At each mark the regrets of the cell that would be chosen, in points."""
    table, rows = cells.table, np.array(list(cells.keys.values()))
    assert table.test is not None
    best, best_test = table.scores[rows].max(), table.test[rows].max()
    figures, spent = (
        dict[str, float](),
        np.cumsum([history.cost(trial) for trial in history.trials]),
    )
    for mark in MARKS:
        done = History(history.trials[: int((spent <= mark + ROUNDING).sum())])
        chosen = None if done.best is None else cells.keys[done.best.canonical]
        figures[f"regret_{mark}"] = (
            float("nan") if chosen is None else 100 * float(best - table.scores[chosen])
        )
        figures[f"test_regret_{mark}"] = (
            float("nan") if chosen is None else 100 * float(best_test - table.test[chosen])
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=40)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument(
        "--strategies", type=lambda text: text.split(","), default=list(strategies())
    )
    arguments = parser.parse_args()
    cells, rows = read(arguments.table), list[dict[str, Any]]()
    print(f"{len(cells.keys)} cells with all four accuracies")
    for name in arguments.strategies:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            started = time.perf_counter()
            history = search(cells, strategies()[name], arguments.budget, seed)
            figures = {
                "trials": len(history.trials),
                "trained_fully": sum(trial.fidelity == 1 for trial in history.trials),
                **judge(cells, history),
            }
            rows.append(
                {
                    "strategy": name,
                    "seed": seed,
                    **figures,
                    "seconds": time.perf_counter() - started,
                }
            )
        print_summary(name, [row for row in rows if row["strategy"] == name])
        # After each strategy, for the last ones take long.
        written = record(
            "halving_nasbench101",
            [{key: _text(value) for key, value in row.items()} for row in rows],
        )
        print("written:", written, flush=True)


def print_summary(name: str, rows: list[dict[str, Any]]) -> None:
    """The means with their standard errors."""

    def cell(key: str) -> str:
        values = [row[key] for row in rows]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        return f"{statistics.fmean(values):.2f} ± {error:.2f}"

    print(
        f"{name}: {statistics.fmean(row['trials'] for row in rows):.0f} trials, "
        f"{statistics.fmean(row['seconds'] for row in rows):.1f} s a search"
    )
    for kind in ("regret", "test_regret"):
        print(
            f"    {kind:12}" + "   ".join(f"{mark}: {cell(f'{kind}_{mark}')}" for mark in MARKS),
            flush=True,
        )


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
