"""How much strategies gain if the training set has many poor architectures and few good ones.

    python benchmarks/pgvae.py --table nasbench201.npz --objective c100_val_200 --test c100_test_200
    python benchmarks/pgvae.py --problems toy --name pgvae_toy --table nasbench201.npz \
        --objective c100_val_200 --test c100_test_200

Each strategy gets a training set of 200 as its history and proposes 20 architectures ten times.
Strategies are compared seed by seed: all start from the same training sets. A strategy may have
settings, such as `pgvae:weighting=cbas:latent=4`. `pgvae_problems.py` describes the nine problems
in NAS-Bench-201 and the toy problem. Writes `results/pgvae.csv`, a row for each strategy, problem
and seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.pgvae_problems import TRAINING, Problem, cells, toy
from benchmarks.published_table import read_table
from benchmarks.record import record
from nas.evaluators.evaluator import Observation
from nas.record.history import History
from nas.record.trials import Trial
from nas.seeds import generator
from nas.strategies import STRATEGIES, Strategy
from nas.strategies.strategy import Asked, key_of, novel
from spaces import Architecture, SearchSpace
from spaces.operators import mutate

ROUNDS, COUNT = 10, 20
IMBALANCES, SEPARATIONS = (0.01, 0.05, 0.2), (2, 3, 4)
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


@dataclass(frozen=True)
class MutateBest:
    """Proposes mutations of the best so far: one decision of one of `parents` is changed."""

    parents: int = 10

    def ask(self, space: SearchSpace, history: History, count: int, seed: int) -> Asked:
        """See `Strategy.ask`."""
        ranked = sorted(history.observed, key=lambda trial: (-trial.score, trial.number))
        random = generator(seed, "mutation", len(history.trials))
        children = self._children(space, ranked[: self.parents], random)
        return Asked(novel(space, history, children, count))

    def _children(
        self, space: SearchSpace, best: Sequence[Trial], random: Random
    ) -> Iterator[tuple[Architecture, str]]:
        while True:
            yield mutate(space, random.choice(best).architecture, random), "mutation"


def started(problem: Problem, seed: int) -> History:
    """The training set as a history."""
    members = problem.training(seed)
    found = [(member, "training", key_of(problem.space, member)) for member in members]
    return _after(problem, History(), found)


def _after(
    problem: Problem, history: History, found: Sequence[tuple[Architecture, str, str]]
) -> History:
    trials = [
        Trial(
            number=len(history.trials) + place,
            round=len(history.rounds),
            arm="search",
            architecture=architecture,
            origin=origin,
            prediction=None,
            canonical=key,
            seed=place,
            outcome=Observation(problem.score(architecture)),
        )
        for place, (architecture, origin, key) in enumerate(found)
    ]
    return History((*history.trials, *trials))


def search(problem: Problem, strategy: Strategy, history: History, seed: int) -> History:
    """The history after 10 rounds of 20."""
    for _ in range(ROUNDS):
        asked = strategy.ask(problem.space, history, COUNT, seed)
        found = [(item.architecture, item.origin, item.canonical) for item in asked.proposals]
        history = _after(problem, history, found)
    return history


def judge(problem: Problem, before: History, after: History) -> dict[str, float]:
    """The gain over the best of the training set, and the regret to the best of the space."""
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
    """The strategy of `name:setting=value:...`; the training set is pgvae's initial design."""
    name, *given = text.split(":")
    parts = (setting.partition("=") for setting in given)
    settings: dict[str, Any] = {key: yaml.safe_load(value) for key, _, value in parts}
    if name == "mutation":
        return MutateBest(**settings)
    initial: dict[str, Any] = {"initial": TRAINING} if name == "pgvae" else {}
    return STRATEGIES[name](**initial, **settings)


def main() -> None:
    arguments = parse()
    strategies = {text: strategy_named(text) for text in arguments.strategies}
    table = read_table("nasbench201", str(arguments.table), arguments.objective, arguments.test, "")
    problems = [
        cells(table, imbalance, separation)
        for imbalance in IMBALANCES
        for separation in SEPARATIONS
    ]
    if arguments.problems:
        named = arguments.problems
        problems = [problem for problem in (toy(), *problems) if problem.name in named]
    rows: list[dict[str, Any]] = []
    for problem in problems:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            before = started(problem, seed)
            for text, strategy in strategies.items():
                began = time.perf_counter()
                figures = judge(problem, before, search(problem, strategy, before, seed))
                seconds = time.perf_counter() - began
                row = {"problem": problem.name, "strategy": text, "seed": seed}
                rows.append(row | figures | {"seconds": seconds})
        print_problem([row for row in rows if row["problem"] == problem.name], arguments.strategies)
    if arguments.name:
        written = [{name: _text(value) for name, value in row.items()} for row in rows]
        print("written:", record(arguments.name, written))


def print_problem(rows: list[dict[str, Any]], strategies: Sequence[str]) -> None:
    """Prints means over the seeds with standard errors.

    `lead` is the first strategy's best score minus that of the strategy, seed by seed.
    """
    before = np.mean([row["best_of_training"] for row in rows])
    print(f"\n{rows[0]['problem']}: best of the training set {before:.3f}")
    own = {text: [row for row in rows if row["strategy"] == text] for text in strategies}
    first = np.array([row["best"] for row in own[strategies[0]]])
    for text in strategies:
        lead = first - [row["best"] for row in own[text]]
        shown = "".join(
            f"  {name.replace('_', ' ')} {mean_and_error([row[name] for row in own[text]])}"
            for name in ("improvement_percent", "half_way_regret", "regret")
        )
        test = mean_and_error([row["test_regret"] for row in own[text]])
        proposed, latent, seconds = (
            np.mean([row[name] for row in own[text]])
            for name in ("mean_proposed", "from_latent", "seconds")
        )
        shown += f"  test {test}  lead {mean_and_error(lead)}"
        shown += f"  proposed {proposed:.1f} latent {latent:.2f}"
        print(f"  {text:42}{shown}  {seconds:.1f} s", flush=True)


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
    parser.add_argument("--test", required=True, help="the column that judges the chosen row")
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
