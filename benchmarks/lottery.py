"""The hyper-parameter lottery: each strategy over a grid of its own settings, at one budget, so
that none is judged by one lucky or unlucky setting.

    python benchmarks/lottery.py --space nasbench201 --table nasbench201.npz --objective
    c100_val_200 --test c100_test_200 \
        --budget 100 --strategies random,evolution,local,mcts,smbo,surrogate --settings
        surrogate=3,smbo=4 --plot OUT.svg

What counts is the regret on the test column of the architecture that the objective chose (lower is
better). Each setting is tried with tuning seeds and with test seeds, which are disjoint. Said of
each strategy, on test seeds: the regret's median and quartiles over settings and seeds, the mean of
its default, best and worst setting; then the setting that was best on the tuning seeds, with its
mean there and on the test seeds, and their difference, of which the part that the average setting
does not show too, the seeds being harder or easier for all, is what choosing overstates. Then, for
each pair, the probability that a random setting and seed of one beats a random setting and seed of
the other; ties count half.

A grid with more settings than `--settings` is sampled, its default always among them. `--add-to
FILE.csv` takes the rows of strategies that are not run again, so a strategy can be added later;
with `--strategies ""` they are only printed and plotted. Writes `results/lottery_NAME.csv`, a row
for each search, with `search.py`'s other figures.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Python puts this file's folder first on the path, where `predictors.py` would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.lottery_plot import lottery_plot
from benchmarks.record import record
from benchmarks.search import MARKS, one, strategy_named
from nas.seeds import generator

# What of each strategy is swept. A setting that is not named keeps its default; combinations that a
# strategy refuses are left out.
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
TUNING, TEST = "tuning", "test"


@dataclass(frozen=True)
class Standing:
    """What the lottery says of one strategy; regrets in points of the test column.

    Attributes:
        settings: how many were tried.
        quartiles: the first, the median and the third, over settings and test seeds.
        default, best, worst: the mean over test seeds of the default setting (None where it was not
            tried), and of those with the least and largest mean.
        chosen: the setting with the least mean over tuning seeds.
        chosen_tuning, chosen_test: its mean over tuning seeds, and over test seeds.
        drift: how much worse the average setting is on test seeds.
    """

    settings: int
    quartiles: tuple[float, float, float]
    default: float | None
    best: tuple[str, float]
    worst: tuple[str, float]
    chosen: str
    chosen_tuning: float
    chosen_test: float
    drift: float

    @property
    def gap(self) -> float:
        """How much worse the chosen setting is on seeds that it was not chosen by."""
        return self.chosen_test - self.chosen_tuning

    @property
    def overstated(self) -> float:
        """The part of the gap that comes of choosing."""
        return self.gap - self.drift


def settings_of(strategy: str, arguments: argparse.Namespace) -> list[str]:
    """The grid's settings in `search.py`'s words, the default first, of the others at most as many
    as asked for, drawn at random.
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
    """Whether the settings are the strategy's own; which predictor it is given is not one of them."""
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


def standing(rows: Sequence[Mapping[str, Any]], defaults: Sequence[str]) -> Standing:
    """What the rows of one strategy say."""
    tuning, test = (
        {
            text: float(regrets(seeds, phase).mean())
            for text, seeds in grouped(rows, "setting").items()
        }
        for phase in (TUNING, TEST)
    )
    chosen = min(tuning, key=lambda text: (tuning[text], text))
    default = next((test[text] for text in defaults if text in test), None)
    best, worst = min(test, key=lambda text: test[text]), max(test, key=lambda text: test[text])
    low, median, high = np.quantile(regrets(rows, TEST), (0.25, 0.5, 0.75)).tolist()
    drift = statistics.fmean(test.values()) - statistics.fmean(tuning.values())
    return Standing(
        settings=len(test),
        quartiles=(low, median, high),
        default=default,
        best=(best, test[best]),
        worst=(worst, test[worst]),
        chosen=chosen,
        chosen_tuning=tuning[chosen],
        chosen_test=test[chosen],
        drift=drift,
    )


def beats(one_N: np.ndarray, other_M: np.ndarray) -> float:
    """The probability that a random regret of the one is below a random one of the other; ties
    count half.
    """
    less_NM, equal_NM = one_N[:, None] < other_M, one_N[:, None] == other_M
    return float((less_NM + 0.5 * equal_NM).mean())


def regrets(rows: Sequence[Mapping[str, Any]], phase: str) -> np.ndarray:
    """The regrets of all settings and seeds of the phase."""
    return np.array([row["regret"] for row in rows if row["phase"] == phase])


def grouped(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, list[Mapping[str, Any]]]:
    """The rows by what stands in the column, in the order in which it first came."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def one_row(job: tuple[argparse.Namespace, str, str, int]) -> dict[str, Any]:
    """One search, with its regret at the budget; where the space was used up before, at its end."""
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
    """The rows of a CSV that this script wrote, but for some strategies."""
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
    """The table of strategies, then the matrix."""
    print(
        f"{'strategy':12} {'settings':>8}  {'median [quartiles]':22} {'default':>8} {'best':>6} "
        f"{'worst':>6}   chosen: tuning, test, gap (by choosing)"
    )
    for name, said in standings.items():
        low, median, high = said.quartiles
        spread = f"{median:.2f} [{low:.2f}, {high:.2f}]"
        default = "–" if said.default is None else f"{said.default:.2f}"
        figures = (
            f"{default:>8} {said.best[1]:6.2f} {said.worst[1]:6.2f}   {said.chosen_tuning:.2f}, "
            f"{said.chosen_test:.2f}, {said.gap:+.2f} ({said.overstated:+.2f})"
        )
        print(f"{name:12} {said.settings:8}  {spread:22} {figures}  {said.chosen}")
    print(
        f"\nthe row beats the column with probability\n{'':12}"
        + "".join(f"{name:>12}" for name in standings)
    )
    for name in standings:
        print(f"{name:12}" + "".join(f"{chances[name, other]:12.2f}" for other in standings))


def main() -> None:
    arguments = parse()
    texts = {name: settings_of(name, arguments) for name in arguments.strategies}
    phases = [(TUNING, seed) for seed in range(arguments.tuning_seeds)] + [
        (TEST, arguments.first_test_seed + seed) for seed in range(arguments.test_seeds)
    ]
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
                print(
                    f"\r{count}/{len(jobs)} searches",
                    end="" if count < len(jobs) else "\n",
                    file=sys.stderr,
                    flush=True,
                )
                if count == len(jobs) or jobs[count][2:] != jobs[count - 1][2:]:
                    written = save(rows, arguments)
        print("written:", written)
    of = grouped(rows, "strategy")
    standings = {
        name: standing(
            own, [text for text in grouped(own, "setting") if is_default(text, arguments)]
        )
        for name, own in of.items()
    }
    pooled = {name: regrets(own, TEST) for name, own in of.items()}
    chances = {(name, other): beats(pooled[name], pooled[other]) for name in of for other in of}
    print_report(standings, chances)
    if arguments.plot:
        points = {
            name: {
                text: regrets(seeds, TEST).tolist()
                for text, seeds in grouped(own, "setting").items()
            }
            for name, own in of.items()
        }
        title = (
            f"The hyper-parameter lottery: {arguments.space}, {arguments.test}, budget "
            f"{arguments.budget}"
        )
        arguments.plot.write_text(lottery_plot(points, chances, title) + "\n", encoding="utf-8")


def save(rows: Sequence[Mapping[str, Any]], arguments: argparse.Namespace) -> Path:
    """Writes what there is, in the order of the grids; after each seed, so that a run that is ended
    early leaves whole seeds.
    """
    ordered = sorted(
        rows,
        key=lambda row: (
            list(GRIDS).index(row["strategy"]),
            row["setting"],
            row["phase"],
            row["seed"],
        ),
    )
    shown = [
        {key: f"{value:.5g}" if isinstance(value, float) else value for key, value in row.items()}
        for row in ordered
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
    parser.add_argument("--test", required=True, help="the column that what it chose is judged by")
    parser.add_argument(
        "--strategies",
        type=lambda text: text.split(",") if text else [],
        default=list(GRIDS),
        help="with commas; by default all",
    )
    parser.add_argument(
        "--settings",
        type=_counts,
        default={},
        help="at most so many settings of some strategies, such as surrogate=3,smbo=4",
    )
    parser.add_argument("--budget", type=int, choices=MARKS, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tuning-seeds", type=int, default=5, help="0 and on")
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
    parser.set_defaults(cost="")
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
    return {
        name: int(count) for name, _, count in (part.partition("=") for part in text.split(","))
    }


if __name__ == "__main__":
    main()
