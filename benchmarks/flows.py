"""Search flows on NAS-Bench-Macro, joint, separate and nested, at equal numbers of trials.

    python benchmarks/flows.py --table nasbench_macro.npz [--seeds 8] [--budget 64]

Two ways to part the decisions: `layers`, the first four of the eight layers and the last four; and
`cap`, a limit of the multiply-adds (one of six, at equal shares of the table's rows) and the layers
under it. The search sees the mean of the first two test runs, and what it found is judged by the
third: regret is the best of the table less that of the architecture chosen, in points. The table
has half of the space's rows, and the space rejects the others. `separate` gives half of the trials
to each part, `nested` the square root of them to the first part and to each second. Where a part
has fewer answers than that, as the six caps, the rest goes to the other part. Writes
`results/flows.csv`, a row for each partition, strategy, flow and seed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Python puts this file's folder first on the path, where `predictors.py` would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from nas.flows import Flow, Level, joint, nested, separate
from nas.strategies import RandomSearch, Strategy, SurrogateSearch
from nas.tasks.arrays import read_npz
from predictors import PREDICTORS
from spaces import Architecture, Chooser, Graph, SearchSpace
from spaces.load import load_space

CAPS = 6
BATCH = 4
# Fewer than the default thousand: most of the time goes into drawing from a space that rejects
# half.
CANDIDATES = 200
MACRO = load_space("nasbench_macro")


@dataclass(frozen=True)
class Table:
    """By the decisions of the eight layers: the score that the search sees, that which judges it,
    and multiply-adds.
    """

    seen: dict[tuple, float]
    judged: dict[tuple, float]
    cost: dict[tuple, int]
    caps: tuple[int, ...]


def read(path: Path) -> Table:
    columns = read_npz(path)
    assert MACRO.rows is not None
    keys = [architecture.decisions for architecture in MACRO.rows(columns)]
    runs_N3, cost_N = columns["test_acc_runs"].astype(float), columns["flops"]
    caps = np.quantile(cost_N, np.arange(1, CAPS + 1) / CAPS, method="inverted_cdf")
    return Table(
        dict(zip(keys, runs_N3[:, :2].mean(1).tolist(), strict=True)),
        dict(zip(keys, runs_N3[:, 2].tolist(), strict=True)),
        dict(zip(keys, cost_N.tolist(), strict=True)),
        tuple(map(int, caps)),
    )


def layers_of(decisions: tuple[tuple[str, Any], ...]) -> tuple:
    return tuple(item for item in decisions if item[0] != "cap")


def space_of(table: Table, partition: str) -> SearchSpace:
    """The rows of the table, under a cap where that is a decision too."""

    def define(choose: Chooser) -> Graph:
        cap = choose.one_of("cap", table.caps) if partition == "cap" else math.inf
        graph = MACRO.run(choose)
        assert isinstance(graph, Graph)
        if table.cost.get(layers_of(tuple(choose.decisions.items())), math.inf) > cap:
            choose.reject("it is over the cap, or not in the table")
        return graph

    return SearchSpace(f"nasbench_macro_{partition}", define)


def strategy_named(name: str, initial: int) -> Strategy:
    return (
        RandomSearch()
        if name == "random"
        else SurrogateSearch(PREDICTORS["gp"](), initial=initial, candidates=CANDIDATES)
    )


def flows(
    space: SearchSpace,
    evaluate: Callable[[Architecture], float],
    partition: str,
    name: str,
    budget: int,
    seed: int,
) -> dict[str, Callable[[], Flow]]:
    """The three flows of one strategy; the surrogate begins as each level can afford, with a third
    of its budget but ten at most.
    """

    def level(share: int, batch: int = BATCH) -> Level:
        return Level(strategy_named(name, max(2, min(10, share // 3))), share, batch)

    first = "cap" if partition == "cap" else [f"layer_{number}" for number in range(4)]
    # All caps are tried, and no first part is tried twice.
    outer = min(CAPS, math.isqrt(budget)) if partition == "cap" else math.isqrt(budget)
    settings: dict[str, Any] = {"first": first, "seed": seed}
    halves = (
        (min(CAPS, budget // 2), budget - min(CAPS, budget // 2))
        if partition == "cap"
        else (budget // 2, budget - budget // 2)
    )
    return {
        "joint": lambda: joint(space, evaluate, level=level(budget), seed=seed),
        "separate": lambda: separate(
            space, evaluate, levels=(level(halves[0]), level(halves[1])), **settings
        ),
        "nested": lambda: nested(
            space, evaluate, levels=(level(outer, 1), level(budget // outer)), **settings
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--budget", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    arguments = parser.parse_args()
    table = read(arguments.table)
    best = max(table.judged.values())
    rows: list[dict[str, Any]] = []
    for partition in ("layers", "cap"):
        space = space_of(table, partition)
        for name in ("random", "surrogate"):
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):

                def evaluate(architecture: Architecture) -> float:
                    return table.seen[layers_of(architecture.decisions)]

                for flow_name, call in flows(
                    space, evaluate, partition, name, arguments.budget, seed
                ).items():
                    started = time.perf_counter()
                    flow = call()
                    chosen = layers_of(flow.best.architecture.decisions)
                    trials = sum(trial.arm != "outer" for trial in flow.history.trials)
                    figures = {
                        "trials": trials,
                        "evaluations": flow.evaluations,
                        "seen": flow.best.score,
                        "regret": best - table.judged[chosen],
                    }
                    seconds = time.perf_counter() - started
                    rows.append(
                        {
                            "partition": partition,
                            "strategy": name,
                            "flow": flow_name,
                            "seed": seed,
                            **figures,
                            "seconds": seconds,
                        }
                    )
                print(f"\r{len(rows)} flows", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print_summary(rows, max(table.seen.values()))
    print(
        "written:",
        record(
            "flows",
            [
                {
                    name: f"{value:.5g}" if isinstance(value, float) else value
                    for name, value in row.items()
                }
                for row in rows
            ],
        ),
    )


def print_summary(rows: list[dict[str, Any]], best_seen: float) -> None:
    """Means and standard errors over the seeds."""
    for partition, name, flow in dict.fromkeys(
        (row["partition"], row["strategy"], row["flow"]) for row in rows
    ):
        own = [
            row
            for row in rows
            if (row["partition"], row["strategy"], row["flow"]) == (partition, name, flow)
        ]
        seen, regret = ([best_seen - row["seen"] for row in own], [row["regret"] for row in own])
        shown = " ".join(
            f"{what} {statistics.mean(values):.3f} ± "
            f"{statistics.stdev(values) / len(values) ** 0.5:.3f}"
            for what, values in (("regret as seen", seen), ("regret", regret))
        )
        trials, evaluations = (
            statistics.mean(row[key] for row in own) for key in ("trials", "evaluations")
        )
        print(
            f"{partition:7} {name:10} {flow:9} {shown}  trials {trials:.1f}, evaluations "
            f"{evaluations:.1f}"
        )


if __name__ == "__main__":
    main()
