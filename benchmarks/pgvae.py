"""Searches that start from a poor training set: few fit architectures among many poor ones, and far
from them.

    python benchmarks/pgvae.py --table nasbench201.npz --objective c100_val_200 --test c100_test_200

For each imbalance (the share of fit ones in the training set of 200) and separation (no fit one is
nearer to a poor one than so many decisions), strategies are given the training set as their history
and propose 10 times 20 cells of NAS-Bench-201. Poor cells have three or more edges without a
convolution or skip and score below 60; fit ones have at most one such edge and score from 64 to 68,
so that neither is near the table's best. Poor ones at exactly the separation make up half of them,
where there are as many.

    python benchmarks/pgvae.py --problems toy --name pgvae_toy ...

The same in a toy: two real numbers, a hill with 95 % of the training set, and far from it the slope
of a higher one with 5 %.

Strategies are compared seed by seed: all start from the same training sets. A strategy may be given
settings, `pgvae:weighting=cbas:latent=4`. Writes `results/pgvae.csv`, a row for each strategy,
problem and seed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

# Python puts this file's folder first on the path, where `predictors.py` would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from benchmarks.search import Table, read_table
from nas.evaluators.evaluator import Observation
from nas.record.history import History, Trial
from nas.seeds import generator
from nas.strategies import STRATEGIES, Strategy
from nas.strategies.strategy import Asked, key_of, novel
from spaces import Architecture, Chooser, Graph, GraphBuilder, SearchSpace
from spaces.operators import mutate

TRAINING, ROUNDS, COUNT = 200, 10, 20
IMBALANCES, SEPARATIONS = (0.01, 0.05, 0.2), (2, 3, 4)
POOR, FIT = (-math.inf, 60.0), (64.0, 68.0)
POOR_EDGES = ("none", "avg_pool_3x3")
METHODS = (
    "pgvae",
    "pgvae:weighting=rwr",
    "pgvae:weighting=dbas",
    "pgvae:weighting=cbas",
    "pgvae:weighting=cem",
    "mutation",
    "evolution",
    "evolution:population=200:tournament=10",
    "random",
)
# The toy's hills: place of the top on both axes, width, height.
HILLS = ((-4.0, 1.0, 1.0), (4.0, 1.0, 2.5))


@dataclass(frozen=True, eq=False)
class Problem:
    """What is searched, from a training set that depends on a seed. `test` is of the architecture
    chosen by score.
    """

    name: str
    space: SearchSpace
    score: Callable[[Architecture], float]
    test: Callable[[Architecture], float]
    best: tuple[float, float]
    training: Callable[[int], list[Architecture]]


@dataclass(frozen=True)
class MutateBest:
    """Mutations of the best so far: of one of `parents`, one decision changed."""

    parents: int = 10

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        best = sorted(history.observed, key=lambda trial: (-trial.score, trial.number))[
            : self.parents
        ]
        return Asked(
            novel(
                space,
                history,
                self._children(space, best, generator(seed, "mutation", len(history.trials))),
                count,
            )
        )

    def _children(
        self, space: SearchSpace, best: Sequence[Trial], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        while True:
            yield mutate(space, random.choice(best).architecture, random), "mutation"


def hill(architecture: Architecture) -> float:
    """The height of the toy's landscape."""
    answers = architecture.answers
    return sum(
        height * math.exp(-sum((float(answers[axis]) - top) ** 2 for axis in "xy") / (2 * width**2))
        for top, width, height in HILLS
    )  # type: ignore[arg-type]


def toy() -> Problem:
    """Two real numbers from -8 to 8."""

    def define(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        return builder.output(
            builder.node(
                "point", builder.input(), x=choose.real("x", -8, 8), y=choose.real("y", -8, 8)
            )
        )

    space = SearchSpace("hills", define)

    def training(seed: int) -> list[Architecture]:
        random = np.random.default_rng([seed, 0])
        foot = []
        while len(foot) < TRAINING // 20:
            # One to one and a third widths from the top: from 1.0, where the other hill has its
            # top, to 1.5.
            angle, distance = random.uniform(0, 2 * math.pi), random.uniform(1.0, 1.35)
            foot.append(HILLS[1][0] + distance * np.array([math.cos(angle), math.sin(angle)]))
        crowd = list(np.clip(random.normal(HILLS[0][0], 1.2, (TRAINING - len(foot), 2)), -8, 8))
        points = [
            foot[place] if place < len(foot) else crowd[place - len(foot)]
            for place in random.permutation(TRAINING)
        ]
        return [Architecture(space.name, (("x", float(x)), ("y", float(y)))) for x, y in points]

    top = HILLS[1][2] + HILLS[0][2] * math.exp(-((HILLS[1][0] - HILLS[0][0]) ** 2))
    return Problem("toy", space, hill, hill, (top, top), training)


def cells(table: Table, imbalance: float, separation: int) -> Problem:
    """NAS-Bench-201 with a training set of this imbalance and separation."""
    architectures = sorted(
        (rows for rows in table.rows.items() if isinstance(rows[0], tuple)),
        key=lambda item: item[1],
    )
    decisions = [dict(found) for found, _ in architectures]
    labels = sorted({label for each in decisions for label in each.values()})
    code_NG = np.array([[labels.index(label) for label in each.values()] for each in decisions])
    poor_edges_N = np.isin(code_NG, [labels.index(label) for label in POOR_EDGES]).sum(1)
    poor = np.flatnonzero((poor_edges_N >= 3) & (table.objective_N < POOR[1]))
    fit = np.flatnonzero(
        (poor_edges_N <= 1) & (table.objective_N >= FIT[0]) & (table.objective_N <= FIT[1])
    )

    def training(seed: int) -> list[Architecture]:
        random = np.random.default_rng([seed, 1])
        number = round(imbalance * TRAINING)
        chosen = _distinct(table, random.permutation(fit), number)
        distance_P = (code_NG[poor][:, None] != code_NG[chosen][None]).sum(-1).min(1)
        near, far = (
            random.permutation(poor[mask])
            for mask in (distance_P == separation, distance_P > separation)
        )
        half = (TRAINING - number) // 2
        crowd = _distinct(table, [*near[:half], *far, *near[half:]], TRAINING - number)
        rows = random.permutation([*chosen, *crowd])
        return [Architecture(table.space.name, architectures[row][0]) for row in rows]

    best = (float(np.nanmax(table.objective_N)), float(np.nanmax(table.test_N)))
    return Problem(
        f"{imbalance:.0%} fit, {separation} apart",
        table.space,
        lambda architecture: float(table.objective_N[table.row(architecture)]),
        lambda architecture: float(table.test_N[table.row(architecture)]),
        best,
        training,
    )


def _distinct(table: Table, rows: Sequence[int] | np.ndarray, number: int) -> list[int]:
    """The first rows that are different networks."""
    found = {table.class_N[row]: int(row) for row in reversed([*rows])}
    kept = [int(row) for row in rows if found[table.class_N[row]] == row][:number]
    if len(kept) < number:
        raise SystemExit(
            f"there are {len(kept)} such cells, {number} are needed: choose a smaller separation"
        )
    return kept


def started(problem: Problem, seed: int) -> History:
    """The training set as a history."""
    return _after(
        problem,
        History(),
        [(each, "training", key_of(problem.space, each)) for each in problem.training(seed)],
    )


def _after(
    problem: Problem, history: History, found: Sequence[tuple[Architecture, str, str]]
) -> History:
    first, number = len(history.trials), len(history.rounds)
    trials = [
        Trial(
            first + place,
            number,
            "search",
            each,
            origin,
            None,
            key,
            place,
            Observation(problem.score(each)),
        )
        for place, (each, origin, key) in enumerate(found)
    ]
    return History((*history.trials, *trials))


def search(problem: Problem, strategy: Strategy, history: History, seed: int) -> History:
    """The history after 10 rounds of 20."""
    for _ in range(ROUNDS):
        asked = strategy.ask(problem.space, history, COUNT, seed)
        history = _after(
            problem,
            history,
            [(item.architecture, item.origin, item.canonical) for item in asked.proposals],
        )
    return history


def judge(problem: Problem, before: History, after: History) -> dict[str, float]:
    """What was gained over the best of the training set, and what is missing to the table's best."""
    assert before.best is not None
    assert after.best is not None
    proposed = after.trials[len(before.trials) :]
    half = History(after.trials[: len(before.trials) + ROUNDS * COUNT // 2]).best
    assert half is not None
    return {
        "best_of_training": before.best.score,
        "best": after.best.score,
        "improvement_percent": 100 * (after.best.score / before.best.score - 1),
        "half_way_regret": problem.best[0] - half.score,
        "regret": problem.best[0] - after.best.score,
        "test_regret": problem.best[1] - problem.test(after.best.architecture),
        "mean_proposed": float(np.mean([trial.score for trial in proposed])),
        "from_latent": float(np.mean([trial.origin == "latent" for trial in proposed])),
    }


def strategy_named(text: str) -> Strategy:
    """The strategy of `name:setting=value:...`; it begins where the training set ends."""
    name, *given = text.split(":")
    settings = {
        key: yaml.safe_load(value)
        for key, _, value in (setting.partition("=") for setting in given)
    }
    if name == "mutation":
        return MutateBest(**settings)
    return STRATEGIES[name](**({"initial": TRAINING} if name == "pgvae" else {}), **settings)


def main() -> None:
    arguments = parse()
    strategies = {text: strategy_named(text) for text in arguments.strategies}
    table = read_table("nasbench201", str(arguments.table), arguments.objective, arguments.test, "")
    grid = [
        cells(table, imbalance, separation)
        for imbalance in IMBALANCES
        for separation in SEPARATIONS
    ]
    problems = (
        [problem for problem in (toy(), *grid) if problem.name in arguments.problems]
        if arguments.problems
        else grid
    )
    rows: list[dict[str, Any]] = []
    for problem in problems:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            before = started(problem, seed)
            for text, strategy in strategies.items():
                began = time.perf_counter()
                figures = judge(problem, before, search(problem, strategy, before, seed))
                seconds = time.perf_counter() - began
                rows.append(
                    {"problem": problem.name, "strategy": text, "seed": seed}
                    | figures
                    | {"seconds": seconds}
                )
        print_problem([row for row in rows if row["problem"] == problem.name], arguments.strategies)
    if arguments.name:
        print(
            "written:",
            record(
                arguments.name,
                [{name: _text(value) for name, value in row.items()} for row in rows],
            ),
        )


def print_problem(rows: list[dict[str, Any]], strategies: Sequence[str]) -> None:
    """Means over the seeds with standard errors, and the first strategy's lead over each other,
    seed by seed.
    """
    print(
        f"\n{rows[0]['problem']}: best of the training set "
        f"{np.mean([row['best_of_training'] for row in rows]):.3f}"
    )
    own = {text: [row for row in rows if row["strategy"] == text] for text in strategies}
    first = np.array([row["best"] for row in own[strategies[0]]])
    for text in strategies:
        lead = first - [row["best"] for row in own[text]]
        shown = "".join(
            f"  {name.replace('_', ' ')} {mean_and_error([row[name] for row in own[text]])}"
            for name in ("improvement_percent", "half_way_regret", "regret")
        )
        shown += (
            f"  test {mean_and_error([row['test_regret'] for row in own[text]])}  lead "
            f"{mean_and_error(lead)}"
        )
        shown += (
            f"  proposed {np.mean([row['mean_proposed'] for row in own[text]]):.1f} latent "
            f"{np.mean([row['from_latent'] for row in own[text]]):.2f}"
        )
        print(
            f"  {text:42}{shown}  {np.mean([row['seconds'] for row in own[text]]):.1f} s",
            flush=True,
        )


def mean_and_error(values: Sequence[float] | np.ndarray) -> str:
    """The mean and its standard error."""
    return f"{np.mean(values):6.2f} ± {np.std(values) / max(len(values) - 1, 1) ** 0.5:.2f}"


def _text(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else value


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument(
        "--objective", required=True, help="the column that the search sees, higher is better"
    )
    parser.add_argument("--test", required=True, help="the column that what it chose is judged by")
    parser.add_argument(
        "--strategies",
        type=lambda text: text.split(","),
        default=list(METHODS),
        help="the first is compared with the others",
    )
    parser.add_argument(
        "--problems",
        type=lambda text: text.split(";"),
        help="names as printed, with semicolons between; by default the nine of NAS-Bench-201",
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument("--name", default="pgvae", help="of the CSV; empty: none is written")
    return parser.parse_args()


if __name__ == "__main__":
    main()
