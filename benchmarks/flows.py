"""Regret of joint, separate and nested search flows on NAS-Bench-Macro at equal numbers of trials.

    python benchmarks/flows.py --table nasbench_macro.npz [--seeds 8] [--budget 64]

The decisions are split into two parts in two ways. `layers`: the first four of the eight layers,
and the last four. `cap`: a limit on the multiply-adds (one of six, at equal shares of the table's
rows), and the layers under that limit.

The search sees the mean of the first two test runs, and the chosen architecture is judged by the
third: regret is the best value of the table minus that of the chosen architecture, in points. The
table has half of the space's architectures, and the space rejects the others.

`separate` gives half of the trials to each part. `nested` gives the square root of their number to
the first part, and to the second part for each answer of the first. If a part has fewer answers
than that, such as the six caps, the other part gets the rest. Writes `results/flows.csv`, a row for
each partition, strategy, flow and seed.
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

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
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
# Fewer than the default thousand: drawing from a space that rejects half takes most of the time.
CANDIDATES = 200
MACRO = load_space("nasbench_macro")


@dataclass(frozen=True)
class Table:
    """The table's columns, by the decisions of the eight layers.

    Attributes:
        seen: the score that the search sees.
        judged: the score that judges the chosen architecture.
        cost: the multiply-adds.
        caps: the limits on the multiply-adds that `cap` chooses from.
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
    """The architectures of the table; with `cap`, the cap is a decision too."""

    def define(choose: Chooser) -> Graph:
        cap = choose.one_of("cap", table.caps) if partition == "cap" else math.inf
        graph = MACRO.run(choose)
        assert isinstance(graph, Graph)
        if table.cost.get(layers_of(tuple(choose.decisions.items())), math.inf) > cap:
            choose.reject("it is over the cap, or not in the table")
        return graph

    return SearchSpace(f"nasbench_macro_{partition}", define)


def strategy_named(name: str, initial: int) -> Strategy:
    if name == "random":
        return RandomSearch()
    return SurrogateSearch(PREDICTORS["gp"](), initial=initial, candidates=CANDIDATES)


def flows(
    space: SearchSpace,
    evaluate: Callable[[Architecture], float],
    partition: str,
    name: str,
    budget: int,
    seed: int,
) -> dict[str, Callable[[], Flow]]:
    """The three flows of one strategy.

    The surrogate's initial random design takes a third of a level's budget, and ten trials at most.
    """

    def level(share: int, batch: int = BATCH) -> Level:
        return Level(strategy_named(name, max(2, min(10, share // 3))), share, batch)

    first: Any = [f"layer_{number}" for number in range(4)]
    half, outer = budget // 2, math.isqrt(budget)
    if partition == "cap":
        # There are six caps, and no first part is tried twice.
        first, half, outer = "cap", min(CAPS, half), min(CAPS, outer)
    settings: dict[str, Any] = {"first": first, "seed": seed}
    halves = (level(half), level(budget - half))
    nesting = (level(outer, 1), level(budget // outer))
    return {
        "joint": lambda: joint(space, evaluate, level=level(budget), seed=seed),
        "separate": lambda: separate(space, evaluate, levels=halves, **settings),
        "nested": lambda: nested(space, evaluate, levels=nesting, **settings),
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
                    row = {
                        "partition": partition,
                        "strategy": name,
                        "flow": flow_name,
                        "seed": seed,
                        "trials": trials,
                        "evaluations": flow.evaluations,
                        "seen": flow.best.score,
                        "regret": best - table.judged[chosen],
                        "seconds": time.perf_counter() - started,
                    }
                    rows.append(row)
                print(f"\r{len(rows)} flows", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print_summary(rows, max(table.seen.values()))
    written = [
        {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]
    print("written:", record("flows", written))


def print_summary(rows: list[dict[str, Any]], best_seen: float) -> None:
    """Prints means and standard errors over the seeds."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["partition"], row["strategy"], row["flow"]), []).append(row)
    for (partition, name, flow), own in groups.items():
        seen, regret = [best_seen - row["seen"] for row in own], [row["regret"] for row in own]
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
