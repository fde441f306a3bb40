"""Test regret of each strategy over a grid of its settings: the hyper-parameter lottery.

    python benchmarks/lottery.py --space nasbench201 --table nasbench201.npz \
        --objective c100_val_200 --test c100_test_200 --budget 100 \
        --strategies random,evolution,local,mcts,smbo,surrogate \
        --settings surrogate=3,smbo=4 --plot OUT.svg

All strategies have the same budget, and none is judged by a single lucky or unlucky setting. The
regret is that of the architecture with the best objective, on the test column; lower is better.
Each setting is run with tuning seeds and with test seeds, which are disjoint. Printed are

- for each strategy the median and the quartiles of the regret over settings and test seeds, and the
  mean of its default, best and worst setting on the test seeds;
- for each strategy the setting that was best on the tuning seeds, its mean on the tuning seeds and
  on the test seeds, and the gap between them. The gap minus that of the average setting, for which
  the test seeds may be harder or easier, is what the choice overstates;
- for each pair of strategies the probability that a random setting and seed of the one beats a
  random setting and seed of the other. Ties count half.

A grid with more settings than `--settings` is sampled; the default is always in the sample.
`--add-to FILE.csv` takes the rows of strategies that are not run again, so that a strategy can be
added later. With `--strategies ""` these rows are only printed and plotted. Writes
`results/lottery_NAME.csv`, a row for each search, with the other figures of `search.py`.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.lottery_plot import lottery_plot
from benchmarks.lottery_standings import TEST, TUNING, Standing, beats, grouped, regrets, standing
from benchmarks.record import record
from benchmarks.search import MARKS, one, strategy_named
from nas.seeds import generator

# The values of each strategy's settings. A setting that is not named keeps its default.
# Combinations that a strategy refuses are left out.
GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "random": {},
    "evolution": {"population": (10, 20, 50, 100), "tournament": (2, 5, 10, 20)},
    "local": {"initial": (1, 5, 10, 20, 40)},
    "mcts": {"exploration": (0.01, 0.03, 0.1, 0.3, 1.0), "bisection": (True, False)},
    "smbo": {"pool": (64, 256, 1000), "epsilon": (0.0, 0.1, 0.3), "decay": (0.01, 0.1, 1.0)},
    "nsga2": {"population": (10, 20, 40), "crossover": (0.0, 0.5, 1.0)},
    "map_elites": {"initial": (10, 20, 40), "crossover": (0.0, 0.5), "children": (1, 20)},
    "surrogate": {
        "predictor": ("gp",),
        "kappa": (0.0, 0.25, 1.0),
        "initial": (4, 8, 16),
        "acquisition": ("ucb", "ei", "thompson"),
    },
}


def make_plug_in(strategy: str, arguments: argparse.Namespace) -> list[str]:
    """Settings of the strategy's grid, as `search.py` writes them, the default first.

    If there are more than `--settings` allows, the others are a random sample.
    """
    grid = GRIDS[strategy]
    texts = [
        ":".join([strategy, *(f"{name}={value}" for name, value in zip(grid, values, strict=True))])
        for values in itertools.product(*grid.values())
    ]
    accepted = [text for text in texts if _is_accepted(text, arguments)]
    first = [text for text in accepted if is_default(text, arguments)]
    others = [text for text in accepted if text not in first]
    most = arguments.settings.get(strategy, len(accepted)) - len(first)
    drawn = generator(0, f"lottery {strategy}").sample(others, max(0, min(most, len(others))))
    return [*first, *(text for text in others if text in drawn)]


def is_default(text: str, arguments: argparse.Namespace) -> bool:
    """Whether all settings have their defaults; the predictor does not count as a setting."""
    name = text.partition(":")[0]
    predictor = [
        f":predictor={value}"
        for value in GRIDS[name].get("predictor", ())
        if f"predictor={value}" in text
    ]
    return strategy_named(text, arguments) == strategy_named("".join([name, *predictor]), arguments)


def _is_accepted(text: str, arguments: argparse.Namespace) -> bool:
    try:
        strategy_named(text, arguments)
    except ValueError:
        return False
    return True


def one_row(job: tuple[argparse.Namespace, str, str, int]) -> dict[str, Any]:
    """The row of one search, with its regret at the last mark that it reached."""
    arguments, text, phase, seed = job
    row = one((arguments, text, seed))
    last = max(mark for mark in MARKS if f"test_regret_{mark}" in row)
    strategy = row.pop("strategy").partition(":")[0]
    return {
        "strategy": strategy,
        "setting": text,
        "phase": phase,
        "regret": row[f"test_regret_{last}"],
        **row,
    }


def read_rows(path: Path, without: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a CSV that this script wrote, without those of some strategies."""
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    return [
        {**row, "regret": float(row["regret"]), "seed": int(row["seed"])}
        for row in read
        if row["strategy"] not in without
    ]


def print_report(
    standings: Mapping[str, Standing], chances: Mapping[tuple[str, str], float]
) -> None:
    """Prints the table of strategies, then the matrix of pairs."""
    print(
        f"{'strategy':12} {'settings':>8}  {'median [quartiles]':22} {'default':>8} {'best':>6} "
        f"{'worst':>6}   chosen: tuning, test, gap (by choosing)"
    )
    for name, of in standings.items():
        low, median, high = of.quartiles
        spread = f"{median:.2f} [{low:.2f}, {high:.2f}]"
        default = "–" if of.default is None else f"{of.default:.2f}"
        means = f"{default:>8} {of.best[1]:6.2f} {of.worst[1]:6.2f}"
        chosen = f"{of.chosen_tuning:.2f}, {of.chosen_test:.2f}, {of.gap:+.2f}"
        chosen += f" ({of.overstated:+.2f})  {of.chosen}"
        print(f"{name:12} {of.settings:8}  {spread:22} {means}   {chosen}")
    print("\nthe row beats the column with probability")
    print(f"{'':12}" + "".join(f"{name:>12}" for name in standings))
    for name in standings:
        print(f"{name:12}" + "".join(f"{chances[name, other]:12.2f}" for other in standings))


def main() -> None:
    arguments = parse()
    texts = {name: make_plug_in(name, arguments) for name in arguments.strategies}
    first, count = arguments.first_test_seed, arguments.test_seeds
    phases = [(TUNING, seed) for seed in range(arguments.tuning_seeds)]
    phases += [(TEST, seed) for seed in range(first, first + count)]
    jobs = [
        (arguments, text, phase, seed)
        for phase, seed in phases
        for name in arguments.strategies
        for text in texts[name]
    ]
    rows = read_rows(arguments.add_to, arguments.strategies) if arguments.add_to else []
    if jobs:
        with ProcessPoolExecutor(arguments.workers) as pool:
            for count, row in enumerate(pool.map(one_row, jobs), start=1):
                rows.append(row)
                end = "" if count < len(jobs) else "\n"
                print(f"\r{count}/{len(jobs)} searches", end=end, file=sys.stderr, flush=True)
                if count == len(jobs) or jobs[count][2:] != jobs[count - 1][2:]:
                    written = save(rows, arguments)
        print("written:", written)
    of, standings = grouped(rows, "strategy"), dict[str, Standing]()
    for name, own in of.items():
        defaults = [text for text in grouped(own, "setting") if is_default(text, arguments)]
        standings[name] = standing(own, defaults)
    pooled = {name: regrets(own, TEST) for name, own in of.items()}
    chances = {(name, other): beats(pooled[name], pooled[other]) for name in of for other in of}
    print_report(standings, chances)
    if arguments.plot:
        points: dict[str, dict[str, list[float]]] = {}
        for name, own in of.items():
            settings = grouped(own, "setting").items()
            points[name] = {text: regrets(seeds, TEST).tolist() for text, seeds in settings}
        where = f"{arguments.space}, {arguments.test}, budget {arguments.budget}"
        title = f"The hyper-parameter lottery: {where}"
        arguments.plot.write_text(lottery_plot(points, chances, title) + "\n", encoding="utf-8")


def save(rows: Sequence[Mapping[str, Any]], arguments: argparse.Namespace) -> Path:
    """Writes the rows in the order of the grids.

    It is called after each seed, so that a run that ends early leaves complete seeds.
    """

    def place(row: Mapping[str, Any]) -> tuple[Any, ...]:
        strategy = list(GRIDS).index(row["strategy"])
        return strategy, row["setting"], row["phase"], row["seed"]

    shown = [
        {key: f"{value:.5g}" if isinstance(value, float) else value for key, value in row.items()}
        for row in sorted(rows, key=place)
    ]
    return record(f"lottery_{arguments.name or f'{arguments.space}_{arguments.objective}'}", shown)


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
    parser.add_argument(
        "--strategies",
        type=lambda text: text.split(",") if text else [],
        default=list(GRIDS),
        help="names, with commas between; by default all",
    )
    parser.add_argument(
        "--settings",
        type=_counts,
        default={},
        help="the most settings of some strategies, such as surrogate=3,smbo=4",
    )
    parser.add_argument("--budget", type=int, choices=MARKS, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tuning-seeds", type=int, default=5, help="from seed 0 on")
    parser.add_argument("--test-seeds", type=int, default=5)
    parser.add_argument("--first-test-seed", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--add-to", type=Path, metavar="FILE.csv", help="rows of strategies that are not run now"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument(
        "--name", default="", help="of the CSV; by default the space and the objective"
    )
    parser.set_defaults(cost="", listed=False, smooth=False)
    arguments = parser.parse_args()
    unknown = [name for name in (*arguments.strategies, *arguments.settings) if name not in GRIDS]
    if unknown:
        parser.error(
            f"there is no grid for {', '.join(unknown)}; there is one for {', '.join(GRIDS)}"
        )
    if arguments.tuning_seeds > arguments.first_test_seed:
        parser.error("the tuning seeds reach into the test seeds: raise --first-test-seed")
    return arguments


def _counts(text: str) -> dict[str, int]:
    parts = (part.partition("=") for part in text.split(","))
    return {name: int(count) for name, _, count in parts}


if __name__ == "__main__":
    main()
