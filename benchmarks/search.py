"""Strategies on a table: evaluations until the best is found, regret on the way, and for two
objectives the share of the exact front's hypervolume.

    python benchmarks/search.py --space nasbench201 --table nasbench201.npz --objective c100_val_200
    --test c100_test_200 \
        --strategies random,evolution,local,surrogate --budget 100 --seeds 100 --json OUT

A strategy may be given settings, `evolution:population=50:tournament=10`, and the surrogate a
predictor, `surrogate:predictor=trees`. The search sees the objective. The regret on the test column
is that of the architecture which the objective chose. Where the table lacks architectures of the
space, the search is held to those that it has; where it has one in hundreds, or more of some parts
of the space than of others, drawing until one is met takes long, or draws these parts too often:
`--listed` draws among the rows themselves. With `--cost` (a column, or FILE.npz:COLUMN of the same
rows; lower is better) strategies of several objectives minimise it too, and what was evaluated is
also judged as a front: hypervolume above the exact front's worst values, extended by a tenth of its
range, and IGD. Rows that are one network then all have their mean, for a search evaluates only one
of them: which of the twins was measured a little faster it could not learn. Writes
`results/search_SPACE_OBJECTIVE.csv`, a row for each strategy and seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

# Python puts this file's folder first on the path, where `predictors.py` would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from benchmarks.seeds import each_seed
from nas.config.compose import strategy_of
from nas.config.config import RunConfig
from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.objective import SCORE, Objective
from nas.objectives.pareto import front, hypervolume, inverted_generational_distance
from nas.prediction.labels import read_labels
from nas.record.history import EMPTY, History, fold, outcome_event, round_event
from nas.strategies import STRATEGIES, Strategy
from nas.strategies.rungs import rungs_of
from nas.tasks.arrays import read_npz
from spaces import Architecture, Chooser, Graph, SearchSpace
from spaces.canonical import canonical_key
from spaces.domains import Answer
from spaces.operators import domains, only

MARKS = (16, 32, 50, 64, 100, 150, 200)
NEVER = float("inf")
COST = Objective("cost", "minimise")


@dataclass(frozen=True, eq=False)
class Table:
    """N rows of a table of one space.

    Attributes:
        space: held to the rows where they are not all of it.
        rows: the row of each architecture, by its decisions; then by its canonical key.
        class_N: numbers that isomorphic rows share.
        objective_N, test_N, cost_N: not a number where the table has none; the first two higher is
            better, the cost lower.
    """

    space: SearchSpace
    rows: dict[Any, int]
    class_N: np.ndarray
    objective_N: np.ndarray
    test_N: np.ndarray
    cost_N: np.ndarray | None

    def row(self, architecture: Architecture) -> int:
        """The row of the architecture, or of one isomorphic to it."""
        row = self.rows.get(architecture.decisions)
        return self.rows[canonical_key(self.space.graph(architecture))] if row is None else row

    def metrics(self, row: int) -> tuple[tuple[str, float], ...]:
        """What an observation says beside its score."""
        return () if self.cost_N is None else ((COST.name, float(self.cost_N[row])),)

    @cached_property
    def points(self) -> np.ndarray:
        """Both objectives, higher is better; not a number where one is missing."""
        assert self.cost_N is not None
        return np.stack([self.objective_N, -self.cost_N], axis=1)

    @cached_property
    def exact_front(self) -> np.ndarray:
        """The exact front."""
        known_N2 = self.points[np.isfinite(self.points).all(1)]
        return known_N2[front(known_N2)]

    @cached_property
    def reference_2(self) -> np.ndarray:
        """Below which nothing counts."""
        return self.exact_front.min(0) - 0.1 * np.ptp(self.exact_front, axis=0)


@lru_cache(maxsize=1)
def read_table(
    space: str, path: str, objective: str, test: str, cost: str, listed: bool = False
) -> Table:
    """The table, read once a process; `listed` holds the space to the rows that have an objective,
    as they are written.
    """
    labels = read_labels(path, space=space, column=objective)
    test_N = read_labels(path, space=space, column=test).values_N
    keys = [
        canonical_key(labels.space.graph(architecture)) for architecture in labels.architectures
    ]
    rows: dict[Any, int] = {}
    for row in np.argsort(~np.isfinite(labels.values_N), kind="stable").tolist():
        rows.setdefault(keys[row], row)
    rows |= {architecture.decisions: row for row, architecture in enumerate(labels.architectures)}
    class_N = np.unique(keys, return_inverse=True)[1]
    if listed:
        known = np.flatnonzero(np.isfinite(labels.values_N)).tolist()
        held = only(labels.space, [labels.architectures[row] for row in known])
    else:
        held = (
            labels.space
            if is_whole(labels.space, labels.architectures)
            else within(labels.space, frozenset(keys))
        )
    if not cost:
        return Table(held, rows, class_N, labels.values_N, test_N, None)
    return Table(
        held,
        rows,
        class_N,
        _of_class(labels.values_N, class_N),
        test_N,
        _of_class(_cost(path, cost, len(keys)), class_N),
    )


def _of_class(value_N: np.ndarray, class_N: np.ndarray) -> np.ndarray:
    """(N,) the mean of each row's class over the rows that have a number."""
    known_N = np.isfinite(value_N)
    sum_C, count_C = (
        np.bincount(class_N, weights=each_N, minlength=class_N.max() + 1)
        for each_N in (np.where(known_N, value_N, 0.0), known_N)
    )
    return np.where(known_N, (sum_C / np.maximum(count_C, 1))[class_N], np.nan)


def _cost(path: str, named: str, rows: int) -> np.ndarray:
    file, colon, column = named.rpartition(":")
    cost_N = read_npz(Path(file if colon else path))[column].astype(float)
    if cost_N.shape != (rows,):
        raise SystemExit(
            f"the cost {named} should be {rows} numbers, one a row; its shape is {cost_N.shape}"
        )
    return cost_N


def is_whole(space: SearchSpace, architectures: list[Architecture]) -> bool:
    """Whether the rows are all combinations of decisions, as far as one architecture's questions
    tell.
    """
    size = 1
    for domain in domains(space, architectures[0]).values():
        size *= domain.size or 0
    return size == len(architectures)


def within(space: SearchSpace, keys: frozenset[str]) -> SearchSpace:
    """The space, which rejects what has none of these canonical keys."""
    run = space.define
    has: dict[
        tuple[tuple[str, Answer], ...], bool
    ] = {}  # Keys take half of a run, and strategies draw the same architectures again and again.

    def define(choose: Chooser) -> Graph:
        graph = run(choose)
        decisions = tuple(choose.decisions.items())
        if decisions not in has:
            has[decisions] = canonical_key(graph) in keys
        if not has[decisions]:
            choose.reject("the table does not have it")
        return graph

    return replace(space, define=define)


class Rows(Protocol):
    """What a search looks up: the row of an architecture, its score and the other numbers of an
    observation.
    """

    @property
    def space(self) -> SearchSpace: ...

    @property
    def objective_N(self) -> np.ndarray: ...  # noqa: N802

    def row(self, architecture: Architecture) -> int: ...

    def metrics(self, row: int) -> tuple[tuple[str, float], ...]: ...


def search(table: Rows, strategy: Strategy, budget: int, batch: int, seed: int) -> list[int]:
    """The rows that were evaluated, in their order; evaluating is looking up, so a run is the
    strategy's own time.
    """
    return searched(table, strategy, budget, batch, seed)[1]


def searched(
    table: Rows, strategy: Strategy, budget: int, batch: int, seed: int
) -> tuple[History, list[int]]:
    """The same with the history, where what was predicted stands too."""
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
    """Evaluations until the best class, and at each mark what had been reached."""
    objective_N = np.nan_to_num(table.objective_N, nan=-np.inf)
    best = table.class_N[int(objective_N.argmax())]
    places = np.flatnonzero(table.class_N[rows] == best)
    figures: dict[str, float] = {
        "evaluations_to_best": int(places[0]) + 1 if len(places) else NEVER
    }
    for mark in (mark for mark in MARKS if mark <= len(rows)):
        chosen = max(rows[:mark], key=lambda row: objective_N[row])
        figures[f"regret_{mark}"] = float(objective_N.max() - objective_N[chosen])
        figures[f"test_regret_{mark}"] = float(np.nanmax(table.test_N) - table.test_N[chosen])
        if table.cost_N is not None:
            reached_M2 = table.points[rows[:mark]]
            reached_M2 = reached_M2[np.isfinite(reached_M2).all(1)]
            figures[f"hypervolume_{mark}"] = hypervolume(
                reached_M2, table.reference_2
            ) / hypervolume(table.exact_front, table.reference_2)
            figures[f"igd_{mark}"] = inverted_generational_distance(reached_M2, table.exact_front)
    return figures


def strategy_named(text: str, arguments: argparse.Namespace) -> Strategy:
    """The strategy of `name:setting=value:...`, checked as in a configuration."""
    name, *given = text.split(":")
    settings = {
        key: yaml.safe_load(value)
        for key, _, value in (setting.partition("=") for setting in given)
    }
    predictor = settings.pop("predictor", "quick")
    evaluator = {"name": "table", "path": str(arguments.table), "score": arguments.objective}
    config: dict[str, Any] = {
        "space": arguments.space,
        "evaluator": evaluator,
        "strategy": {"name": name, **settings},
        "predictor": {"name": predictor},
    }
    if arguments.cost and "objectives" in getattr(STRATEGIES.get(name), "__dataclass_fields__", ()):
        config["objectives"] = [asdict(SCORE), asdict(COST)]
    strategy = strategy_of(RunConfig.model_validate(config))
    if len(rungs_of(strategy)) > 1:
        raise SystemExit(
            f"{name} trains for shares of the epochs, of which this table has no scores: see "
            "benchmarks/halving.py"
        )
    return strategy


def one(job: tuple[argparse.Namespace, str, int]) -> dict[str, Any]:
    """One seed of one strategy."""
    arguments, text, seed = job
    table = read_table(
        arguments.space,
        str(arguments.table),
        arguments.objective,
        arguments.test,
        arguments.cost,
        arguments.listed,
    )
    started = time.perf_counter()
    rows = search(table, strategy_named(text, arguments), arguments.budget, arguments.batch, seed)
    seconds = time.perf_counter() - started
    return (
        {"strategy": text, "seed": seed, "evaluated": len(rows)}
        | judge(table, rows)
        | {"seconds": seconds}
    )


def main() -> None:
    arguments = parse()
    for text in arguments.strategies:
        strategy_named(text, arguments)
    rows = each_seed(one, arguments)
    print_summary(rows, arguments.strategies)
    if arguments.json:
        described = {name: str(value) for name, value in vars(arguments).items()}
        arguments.json.write_text(
            json.dumps({"arguments": described, "rows": rows}, indent=1).replace("Infinity", "null")
            + "\n"
        )
    named = (
        arguments.name
        or f"{arguments.space}_{arguments.objective}{'_cost' if arguments.cost else ''}".replace(
            ":", "_"
        )
    )
    print(
        "written:",
        record(
            f"search_{named}", [{name: _text(value) for name, value in row.items()} for row in rows]
        ),
    )


def print_summary(rows: list[dict[str, Any]], strategies: list[str]) -> None:
    """Medians with quartiles, and means of the regret, over the seeds."""
    measured = [
        name
        for name in rows[0]
        if name not in ("strategy", "seed", "evaluated", "seconds", "evaluations_to_best")
    ]
    for text in strategies:
        own = [row for row in rows if row["strategy"] == text]
        needed = np.array([row["evaluations_to_best"] for row in own])
        low, middle, high, late = (
            np.quantile(needed, share, method="inverted_cdf") for share in (0.25, 0.5, 0.75, 0.9)
        )
        print(
            f"{text}: best found by {np.isfinite(needed).mean():.0%}, after {middle:g} [{low:g}, "
            f"{high:g}], 90 % after {late:g}",
            end="; ",
        )
        print(f"{statistics.mean(row['seconds'] for row in own):.1f} s a search")
        for kind in ("regret", "test_regret", "hypervolume", "igd"):
            cells = []
            for name in (name for name in measured if name.rpartition("_")[0] == kind):
                values = [row[name] for row in own if name in row]
                cells.append(
                    f"{name.rpartition('_')[2]}: {np.median(values):.3f} ({np.mean(values):.3f} "
                    f"± {np.std(values) / max(len(values) - 1, 1) ** 0.5:.3f})"
                )
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
    parser.add_argument("--test", required=True, help="the column that what it chose is judged by")
    parser.add_argument("--cost", default="", help="COLUMN or FILE.npz:COLUMN, lower is better")
    parser.add_argument("--listed", action="store_true", help="draw among the rows")
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
    return parser.parse_args()


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
