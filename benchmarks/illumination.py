"""How close each strategy comes to the best score for every value of the descriptors, on a table.

    python benchmarks/illumination.py --space nasbench201 --table nasbench201.npz \
        --objective c100_test_200 --identity decisions \
        --descriptors longest:nor_conv_1x1,nor_conv_3x3 written:nor_conv_3x3 \
        written:nor_conv_1x1 --budget 1000 --initial 100 --seeds 20

A cell is a combination of the descriptors' values. Only the cells that some row of the table
reaches count; the best known score of a cell is the best of its rows. The scores are those of the
column that the search sees, so nothing is measured on held-out data. Regret is the table's best
score minus the best one found.

With `--identity network`, the default, isomorphic rows (of one canonical key) are one architecture
with their mean score. With `--identity decisions` every row is an architecture, as in published
figures.

Writes `results/illumination_NAME.csv`, a row for each strategy and seed, and with `--plot` a heat
map (see `heat_map.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.heat_map import Panel, heat_map
from benchmarks.record import record
from nas.evaluators.evaluator import Failed, Observation
from nas.objectives.descriptors import Cell, Descriptor, cell_of
from nas.objectives.elite_archive import archive, illumination, scores
from nas.prediction.labels import read_labels
from nas.record.history import History
from nas.record.trials import Trial
from nas.strategies import Evolution, MapElites, RandomSearch, Strategy
from nas.strategies.strategy import key_of
from predictors import predictor
from spaces import Chooser, Graph, SearchSpace, node

FIGURES = ("coverage", "quality_diversity_share", "precision", "reliability", "regret")


@dataclass(frozen=True, eq=False)
class Truth:
    """The scores of the table.

    Attributes:
        space: the table's, in which isomorphic rows differ with `--identity decisions`.
        descriptors: which cells there are.
        values: the score by canonical key.
        best: the best known score of every reachable cell.
    """

    space: SearchSpace
    descriptors: tuple[Descriptor, ...]
    values: Mapping[str, float]
    best: Mapping[Cell, float]


def read_truth(arguments: argparse.Namespace) -> Truth:
    """The scores of the table that the command line names, and the best score of every cell."""
    descriptors = arguments.descriptors
    labels = read_labels(arguments.table, space=arguments.space, column=arguments.objective)
    space = apart(labels.space) if arguments.identity == "decisions" else labels.space
    several: dict[str, list[float]] = {}
    members: dict[Cell, set[str]] = {}
    for architecture, value in zip(labels.architectures, labels.values_N.tolist(), strict=True):
        if math.isfinite(value):
            key, cell = key_of(space, architecture), cell_of(space, architecture, descriptors)
            several.setdefault(key, []).append(value)
            members.setdefault(cell, set()).add(key)
    values = {key: float(np.mean(same)) for key, same in several.items()}
    best = {cell: max(values[key] for key in keys) for cell, keys in sorted(members.items())}
    return Truth(space, descriptors, values, best)


def apart(space: SearchSpace) -> SearchSpace:
    """The same space without isomorphic architectures: the input node carries the decisions."""

    def define(choose: Chooser) -> Graph:
        graph = space.as_graph(space.run(choose))
        marked = node(
            "input", **dict(graph.nodes[0].attributes), decisions=tuple(choose.decisions.items())
        )
        return Graph((marked, *graph.nodes[1:]), graph.edges)

    return dataclasses.replace(space, define=define)


def compared(arguments: argparse.Namespace) -> dict[str, Callable[[], Strategy]]:
    """The strategies by name.

    `map_elites children=N` takes the least tried of N children; `map_elites NAME` ranks its
    candidates by that predictor.
    """
    plain = MapElites(descriptors=arguments.descriptors, initial=arguments.initial)

    def several(children: int) -> Callable[[], Strategy]:
        return lambda: dataclasses.replace(plain, children=children)

    def predicting(name: str) -> Callable[[], Strategy]:
        return lambda: dataclasses.replace(
            plain, predictor=predictor(name), candidates=arguments.candidates
        )

    return {
        "random": RandomSearch,
        "evolution 50/10": lambda: Evolution(population=50, tournament=10),
        "map_elites": lambda: plain,
        **{f"map_elites children={count}": several(count) for count in arguments.children},
        **{f"map_elites {name}": predicting(name) for name in arguments.predictor},
    }


def play(truth: Truth, strategy: Strategy, budget: int, batch: int, seed: int) -> History:
    """A search in the table, without a journal."""
    trials: list[Trial] = []
    while len(trials) < budget:
        asked = strategy.ask(
            truth.space, History(tuple(trials)), min(batch, budget - len(trials)), seed
        )
        if not asked.proposals:
            break
        for item in asked.proposals:
            value = truth.values.get(item.canonical)
            missing = Failed("missing", "the table has no such row")
            trial = Trial(
                number=len(trials),
                round=len(trials),
                arm="search",
                architecture=item.architecture,
                origin=item.origin,
                prediction=item.prediction,
                canonical=item.canonical,
                seed=len(trials),
                outcome=missing if value is None else Observation(value),
            )
            trials.append(trial)
    return History(tuple(trials))


def measure(truth: Truth, found: Mapping[Cell, float]) -> dict[str, float]:
    """The figures of one archive."""
    figures = dataclasses.asdict(illumination(found, truth.best))
    return figures | {"regret": max(truth.best.values()) - max(found.values())}


TRUTH: Truth
STRATEGIES: dict[str, Callable[[], Strategy]] = {}


def one_search(
    job: tuple[str, int, argparse.Namespace],
) -> tuple[dict[str, Any], dict[Cell, float]]:
    """The row of one search, and its best score in each cell.

    It runs in a process that was forked from the one that read the table.
    """
    name, seed, arguments = job
    began = time.perf_counter()
    # All strategies share the draws of their initial random designs.
    history = play(TRUTH, STRATEGIES[name](), arguments.budget, arguments.batch, seed)
    found = scores(archive(TRUTH.space, history.observed, TRUTH.descriptors))
    figures = {key: round(value, 5) for key, value in measure(TRUTH, found).items()}
    seconds = round(time.perf_counter() - began, 2)
    return {"strategy": name, "seed": seed, **figures, "seconds": seconds}, found


def main() -> None:
    global TRUTH
    arguments = parse()
    TRUTH = read_truth(arguments)
    STRATEGIES.update(compared(arguments))
    names = arguments.strategies or list(STRATEGIES)
    unknown = [name for name in names if name not in STRATEGIES]
    if unknown:
        raise SystemExit(f"--strategies has no {unknown[0]!r}; known are {', '.join(STRATEGIES)}")
    print(
        f"{len(TRUTH.values)} architectures, {len(TRUTH.best)} reachable cells, best "
        f"{max(TRUTH.best.values()):.3f}"
    )
    jobs = [
        (name, arguments.first_seed + seed, arguments)
        for name in names
        for seed in range(arguments.seeds)
    ]
    with ProcessPoolExecutor(
        arguments.processes, mp_context=multiprocessing.get_context("fork")
    ) as pool:
        results = list(pool.map(one_search, jobs))
    print_summary([row for row, _ in results], names)
    settings = {
        "table": arguments.table.name,
        "objective": arguments.objective,
        "identity": arguments.identity,
        "cells": len(TRUTH.best),
        "descriptors": " ".join(item.name for item in arguments.descriptors),
        "budget": arguments.budget,
        "initial": arguments.initial,
        "batch": arguments.batch,
    }
    if arguments.name:
        rows = [settings | row for row, _ in results]
        print("written:", record(f"illumination_{arguments.name}", rows))
    if arguments.plot:
        shown = [
            Panel(name, [found for row, found in results if row["strategy"] == name])
            for name in names
            if not arguments.plotted or name in arguments.plotted
        ]
        title = f"{arguments.objective} after {arguments.budget} evaluations"
        arguments.plot.write_text(heat_map(shown, TRUTH.best, TRUTH.descriptors, title) + "\n")


def print_summary(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Prints means and standard deviations over the seeds."""
    print(f"{'':26}" + "".join(f"{name.replace('_', ' '):>26}" for name in FIGURES) + "   seconds")
    for name in names:
        own = [row for row in rows if row["strategy"] == name]
        cells = "".join(
            f"{np.mean([row[key] for row in own]):>18.3f} ± {np.std([row[key] for row in own]):.3f}"
            for key in FIGURES
        )
        print(f"{name:26}{cells} {np.mean([row['seconds'] for row in own]):9.1f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", required=True, help="a space's name, or my_file.py:space")
    parser.add_argument("--table", type=Path, required=True, help="FILE.npz")
    parser.add_argument(
        "--objective",
        required=True,
        help="the column to illuminate, COLUMN or COLUMN:INDEX, above 0 and higher is better",
    )
    parser.add_argument(
        "--descriptors",
        type=_descriptor,
        nargs="+",
        required=True,
        help="NAME or NAME=EDGE,EDGE,...; see nas/objectives/descriptors.py",
    )
    parser.add_argument(
        "--identity",
        choices=("network", "decisions"),
        default="network",
        help="which rows are one architecture",
    )
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--initial", type=int, default=100, help="of map_elites")
    parser.add_argument(
        "--batch", type=int, default=1, help="evaluations between two looks at the results"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument(
        "--children",
        type=int,
        nargs="*",
        default=[20],
        help="also map_elites that takes the least tried of this many children",
    )
    parser.add_argument(
        "--predictor", nargs="*", default=[], help="also map_elites with each of these predictors"
    )
    parser.add_argument(
        "--candidates", type=int, default=500, help="how many a predictor ranks for each batch"
    )
    parser.add_argument("--strategies", nargs="*", help="of those named above; by default all")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--name", default="", help="of the CSV; without it none is written")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.svg",
        help="the mean best score of each cell; the first descriptors are the axes",
    )
    parser.add_argument("--plotted", nargs="*", help="the strategies to plot; by default all")
    arguments = parser.parse_args()
    arguments.descriptors = tuple(arguments.descriptors)
    return arguments


def _descriptor(text: str) -> Descriptor:
    name, _, edges = text.partition("=")
    return Descriptor(name, tuple(float(edge) for edge in edges.split(",") if edge))


if __name__ == "__main__":
    main()
