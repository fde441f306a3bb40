"""Regret by epochs spent, of strategies with one and with several fidelities, on NAS-Bench-101.

    python benchmarks/halving.py --table nasbench101.npz --budget 40 --seeds 20

The fidelities are trainings of 4, 12, 36 and 108 epochs, and the budget counts whole evaluations of
108 epochs. A strategy sees the validation accuracies of its rungs. At each mark the cell with the
best accuracy among those of the longest trainings so far is chosen. Shown is its regret after 108
epochs in points: on validation, and on test (the mean of three trainings).

The search is restricted to the 20,001 cells with all four accuracies. The space is one choice among
them, so the surrogate ranks 300 random candidates each time. `evolution` searches the original
space, which rejects all other cells. `asha/gp` is `asha` with the proposals of `surrogate/gp`. A
strategy is asked for four whole evaluations at a time, or for sixteen of any fidelity.

The table's short trainings are separate trainings, each with its learning rate annealed to 0; they
are not the first epochs of the long one. Writes `results/halving_nasbench101.csv`, a row for each
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

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.published_table import within
from benchmarks.record import record
from nas.evaluators.evaluator import Failed, Observation
from nas.evaluators.table import TableEvaluator, table_evaluator
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, ROUNDING, History
from nas.record.trials import Trial
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
    """The strategies, by the names that the table of results gives them."""
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
    """The cells with all four accuracies: `keys` has the row of each by its canonical key."""

    table: TableEvaluator
    keys: dict[str, int]

    @cached_property
    def listed(self) -> SearchSpace:
        """A space with one decision, which of the cells it is."""
        graphs = [
            self.table.space.graph(self.table.architectures[row]) for row in self.keys.values()
        ]

        def define(choose: Chooser) -> Graph:
            return graphs[choose.integer("cell", 0, len(graphs) - 1)]

        return SearchSpace("nasbench101_listed", define)

    @cached_property
    def held(self) -> SearchSpace:
        """The original space, which rejects all other cells."""
        return within(self.table.space, frozenset(self.keys))


def read(path: Path) -> Cells:
    """The table, whose rows are all distinct networks."""
    space = load_space("nasbench101")
    table = table_evaluator(
        space, path, score="val_acc_108", test="test_acc_mean", fidelities=FIDELITIES
    )
    known = np.flatnonzero(np.isfinite([table.scores, *table.fidelities.values()]).all(0))
    graphs = {row: space.graph(table.architectures[row]) for row in known.tolist()}
    return Cells(table, {canonical_key(graph): row for row, graph in graphs.items()})


def search(cells: Cells, strategy: Strategy, budget: float, seed: int) -> History:
    """The history of a whole search, as `nas.search.run` does it."""
    history, rungs = EMPTY, rungs_of(strategy)
    least, batch = rungs[0], BATCH_IN_PARTS if len(rungs) > 1 else BATCH
    space = cells.held if isinstance(strategy, Evolution) else cells.listed
    while (count := min(batch, int((budget - history.spent + ROUNDING) / least))) > 0:
        proposals = history.affordable(strategy.ask(space, history, count, seed).proposals, budget)
        if not proposals:
            break
        trials = history.next_round("search", proposals, seed)
        ends = [outcome_event(trial.number, outcome(cells, trial)) for trial in trials]
        history = fold([round_event(len(history.rounds), "search", trials), *ends], history)
    return history


def outcome(cells: Cells, trial: Trial) -> Observation | Failed:
    """The table's accuracy of the trial's cell at its fidelity."""
    return Observation(float(cells.table.column(trial.fidelity)[cells.keys[trial.canonical]]))


def judge(cells: Cells, history: History) -> dict[str, float]:
    """The regrets in points of the cell chosen at each mark; NaN if no cell was trained yet."""
    table, rows = cells.table, np.array(list(cells.keys.values()))
    assert table.test is not None
    best, best_test = table.scores[rows].max(), table.test[rows].max()
    figures: dict[str, float] = {}
    spent = np.cumsum([history.cost(trial) for trial in history.trials])
    for mark in MARKS:
        done = History(history.trials[: int((spent <= mark + ROUNDING).sum())])
        regret = test_regret = float("nan")
        if done.best is not None:
            chosen = cells.keys[done.best.canonical]
            regret = 100 * float(best - table.scores[chosen])
            test_regret = 100 * float(best_test - table.test[chosen])
        figures |= {f"regret_{mark}": regret, f"test_regret_{mark}": test_regret}
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
            row = {
                "strategy": name,
                "seed": seed,
                "trials": len(history.trials),
                "trained_fully": sum(trial.fidelity == 1 for trial in history.trials),
                **judge(cells, history),
                "seconds": time.perf_counter() - started,
            }
            rows.append(row)
        print_summary(name, [row for row in rows if row["strategy"] == name])
        # Written after each strategy, because the last ones take long.
        shown = [{key: _text(value) for key, value in row.items()} for row in rows]
        print("written:", record("halving_nasbench101", shown), flush=True)


def print_summary(name: str, rows: list[dict[str, Any]]) -> None:
    """Prints the means with their standard errors."""

    def cell(key: str) -> str:
        values = [row[key] for row in rows]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        return f"{statistics.fmean(values):.2f} ± {error:.2f}"

    print(
        f"{name}: {statistics.fmean(row['trials'] for row in rows):.0f} trials, "
        f"{statistics.fmean(row['seconds'] for row in rows):.1f} s a search"
    )
    for kind in ("regret", "test_regret"):
        cells = "   ".join(f"{mark}: {cell(f'{kind}_{mark}')}" for mark in MARKS)
        print(f"    {kind:12}{cells}", flush=True)


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
