"""How fast strategies find the best of a table: evaluations, regret, and hypervolume of the front.

    python benchmarks/search.py --space nasbench201 --table nasbench201.npz \
        --objective c100_val_200 --test c100_test_200 \
        --strategies random,evolution,local,surrogate --budget 100 --seeds 100 --json OUT

A strategy may have settings, such as `evolution:population=50:tournament=10`, and the surrogate a
predictor, such as `surrogate:predictor=trees`, and a prior, such as `surrogate:prior=none` or
`surrogate:prior=DIRECTORY` (see `pretrain.py`). The search sees the objective. The regret on the
test column is that of the architecture with the best objective.

If the table lacks architectures of the space, the space rejects them. That takes long if the table
has only one in hundreds, and it draws some parts of the space too often if the table has more of
them than of others. `--listed` draws among the rows instead. With `--smooth` no architecture is
missing: the whole space is searched, and a smooth function that is learnt from the rows gives the
score (see `smooth_table.py`). The regret is then against the best that climbs of this function from
many random starts find.

With `--cost` (a column, or FILE.npz:COLUMN of the same rows; lower is better) strategies of several
objectives also minimise this column. The evaluated architectures are then also judged as a front:
by IGD, and by hypervolume above the exact front's worst values, extended by a tenth of its range.
Isomorphic rows then have their mean in both columns: a search evaluates only one of them and could
not learn which of them was measured a little faster.

Writes `results/search_SPACE_OBJECTIVE.csv`, a row for each strategy and seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.published_table import COST, Table, read_table
from benchmarks.record import record
from benchmarks.seeds import each_seed
from benchmarks.smooth_table import CLIMBS, SmoothFunction, SmoothTable, read_smooth
from nas.config.sections import RunConfig
from nas.config.strategy import strategy_of
from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.objective import SCORE
from nas.objectives.pareto import hypervolume, inverted_generational_distance
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.history import EMPTY, History
from nas.strategies import STRATEGIES, Strategy
from nas.strategies.rungs import rungs_of
from spaces import Architecture, SearchSpace

MARKS = (16, 32, 50, 64, 100, 150, 200)
NEVER = float("inf")


class Rows(Protocol):
    """What a search looks up: an architecture's row, and its score and other metrics."""

    @property
    def space(self) -> SearchSpace: ...

    @property
    def objective_N(self) -> np.ndarray: ...  # noqa: N802

    def row(self, architecture: Architecture) -> int: ...

    def metrics(self, row: int) -> tuple[tuple[str, float], ...]: ...


def search(table: Rows, strategy: Strategy, budget: int, batch: int, seed: int) -> list[int]:
    """The evaluated rows in their order.

    An evaluation is a look-up, so the run takes only the strategy's own time.
    """
    return searched(table, strategy, budget, batch, seed)[1]


def searched(
    table: Rows, strategy: Strategy, budget: int, batch: int, seed: int
) -> tuple[History, list[int]]:
    """The history, which has the predictions too, and the evaluated rows in their order."""
    history, found = EMPTY, list[int]()
    while len(found) < budget:
        asked = strategy.ask(table.space, history, min(batch, budget - len(found)), seed)
        if not asked.proposals:
            break
        trials = history.next_round("search", asked.proposals, seed)
        rows = [table.row(trial.architecture) for trial in trials]
        outcomes = [
            Observation(score, 0.0, metrics=table.metrics(row))
            if np.isfinite(score := float(table.objective_N[row]))
            else Failed("missing", "the table has no score")
            for row in rows
        ]
        ends = [
            outcome_event(trial.number, outcome)
            for trial, outcome in zip(trials, outcomes, strict=True)
        ]
        history = fold([round_event(len(history.rounds), "search", trials), *ends], history)
        found += rows
    return history, found


def judge(table: Table, rows: list[int]) -> dict[str, float]:
    """Evaluations until the best row or one isomorphic to it, and the regrets at each mark."""
    objective_N = np.nan_to_num(table.objective_N, nan=-np.inf)
    best = table.class_N[int(objective_N.argmax())]
    places = np.flatnonzero(table.class_N[rows] == best)
    figures = {"evaluations_to_best": int(places[0]) + 1 if len(places) else NEVER}
    for mark in (mark for mark in MARKS if mark <= len(rows)):
        chosen = max(rows[:mark], key=lambda row: objective_N[row])
        figures[f"regret_{mark}"] = float(objective_N.max() - objective_N[chosen])
        figures[f"test_regret_{mark}"] = float(np.nanmax(table.test_N) - table.test_N[chosen])
        if table.cost_N is not None:
            reached_M2 = table.points[rows[:mark]]
            reached_M2 = reached_M2[np.isfinite(reached_M2).all(1)]
            reached = hypervolume(reached_M2, table.reference_2)
            whole = hypervolume(table.exact_front, table.reference_2)
            figures[f"hypervolume_{mark}"] = reached / whole
            figures[f"igd_{mark}"] = inverted_generational_distance(reached_M2, table.exact_front)
    return figures


def strategy_named(text: str, arguments: argparse.Namespace) -> Strategy:
    """The strategy of `name:setting=value:...`, checked as in a configuration."""
    name, *given = text.split(":")
    settings = {
        key: yaml.safe_load(value)
        for key, _, value in (setting.partition("=") for setting in given)
    }
    predictor = {"name": settings.pop("predictor", "quick")}
    if "prior" in settings:
        predictor["prior"] = settings.pop("prior")
    evaluator = {"name": "table", "path": str(arguments.table), "score": arguments.objective}
    config: dict[str, Any] = {
        "space": arguments.space,
        "evaluator": evaluator,
        "strategy": {"name": name, **settings},
        "predictor": predictor,
    }
    if arguments.cost and "objectives" in getattr(STRATEGIES.get(name), "__dataclass_fields__", ()):
        config["objectives"] = [asdict(SCORE), asdict(COST)]
    strategy = strategy_of(RunConfig.model_validate(config))
    if len(rungs_of(strategy)) > 1:
        raise SystemExit(
            f"{name} trains for shares of the epochs, and this table has no scores of them: "
            "see benchmarks/halving.py"
        )
    return strategy


def one(job: tuple[argparse.Namespace, str, int]) -> dict[str, Any]:
    """One seed of one strategy."""
    arguments, text, seed = job
    table = rows_of(arguments)
    started = time.perf_counter()
    rows = search(table, strategy_named(text, arguments), arguments.budget, arguments.batch, seed)
    seconds = time.perf_counter() - started
    row = {"strategy": text, "seed": seed, "evaluated": len(rows)}
    judged = table.table() if isinstance(table, SmoothTable) else table
    return row | judge(judged, rows) | {"seconds": seconds}


def rows_of(arguments: argparse.Namespace) -> Table | SmoothTable:
    """The table that a search looks up."""
    if arguments.smooth:
        return SmoothTable(smooth_of(arguments))
    path, columns = str(arguments.table), (arguments.objective, arguments.test, arguments.cost)
    return read_table(arguments.space, path, *columns, arguments.listed)


def smooth_of(arguments: argparse.Namespace) -> SmoothFunction:
    """The smooth functions of the objective and the test column."""
    path = str(arguments.table)
    return read_smooth(arguments.space, path, arguments.objective, arguments.test)


def main() -> None:
    arguments = parse()
    for text in arguments.strategies:
        strategy_named(text, arguments)
    if arguments.smooth:
        function = smooth_of(arguments)
        for column, optimum in zip(function.columns, function.optima, strict=True):
            reached = f"{optimum.reached} of {CLIMBS} climbs end there"
            print(f"the optimum of smooth {column} is {optimum.value:.3f}; {reached}")
    rows = each_seed(one, arguments)
    print_summary(rows, arguments.strategies)
    if arguments.json:
        described = {name: str(value) for name, value in vars(arguments).items()}
        text = json.dumps({"arguments": described, "rows": rows}, indent=1)
        arguments.json.write_text(text.replace("Infinity", "null") + "\n")
    kind = "_smooth" if arguments.smooth else "_cost" if arguments.cost else ""
    default = f"{arguments.space}_{arguments.objective}{kind}"
    named = arguments.name or default.replace(":", "_")
    written = [{name: _text(value) for name, value in row.items()} for row in rows]
    print("written:", record(f"search_{named}", written))


def print_summary(rows: list[dict[str, Any]], strategies: list[str]) -> None:
    """Prints medians with quartiles, and means of the regret, over the seeds."""
    others = ("strategy", "seed", "evaluated", "seconds", "evaluations_to_best")
    measured = [name for name in rows[0] if name not in others]
    for text in strategies:
        own = [row for row in rows if row["strategy"] == text]
        needed = np.array([row["evaluations_to_best"] for row in own])
        low, middle, high, late = (
            np.quantile(needed, share, method="inverted_cdf") for share in (0.25, 0.5, 0.75, 0.9)
        )
        found, seconds = np.isfinite(needed).mean(), statistics.mean(row["seconds"] for row in own)
        print(
            f"{text}: best found by {found:.0%}, after {middle:g} [{low:g}, {high:g}], "
            f"90 % after {late:g}; {seconds:.1f} s a search"
        )
        for kind in ("regret", "test_regret", "hypervolume", "igd"):
            cells = []
            for name in (name for name in measured if name.rpartition("_")[0] == kind):
                values = [row[name] for row in own if name in row]
                error = np.std(values) / max(len(values) - 1, 1) ** 0.5
                mean = f"{np.mean(values):.3f} ± {error:.3f}"
                cells.append(f"{name.rpartition('_')[2]}: {np.median(values):.3f} ({mean})")
            if cells:
                print(f"    {kind:12} median (mean ± s.e.)  " + "   ".join(cells))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument(
        "--objective", required=True, help="the column that the search sees, higher is better"
    )
    parser.add_argument("--test", required=True, help="the column that judges the chosen row")
    parser.add_argument("--cost", default="", help="COLUMN or FILE.npz:COLUMN, lower is better")
    parser.add_argument("--listed", action="store_true", help="draw among the rows")
    parser.add_argument(
        "--smooth",
        action="store_true",
        help="search the whole space, scored by a smooth function learnt from the rows",
    )
    parser.add_argument(
        "--strategies",
        type=lambda text: text.split(","),
        default=["random", "evolution", "local", "surrogate"],
    )
    parser.add_argument("--budget", type=int, default=150)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--name", default="", help="of the CSV; by default the space and the objective"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.smooth and (arguments.listed or arguments.cost):
        parser.error(
            "--smooth is about one objective of the whole space: leave out --listed and --cost"
        )
    return arguments


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
