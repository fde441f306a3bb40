"""Sentences of SST-2: the transformer that a search has found beside random search's, beside
ordinary ones of its size, and beside the best ordinary one.

    python benchmarks/flexibert_sst2.py --out runs/sst2 -s task.path=/data/sst2_train.tsv -s
    task.test=/data/sst2_dev.tsv python benchmarks/flexibert_sst2.py --run runs/sst2 python
    benchmarks/flexibert_sst2.py --config configs/flexibert_sst2_gpu.yaml --out runs/sst2_gpu -s
    task.path=... -s task.test=...

Ordinary is what BERT is: all layers alike, scaled dot products, feed-forward layers of one width.
Of the found one's size are those with as many layers whose parameters are nearest to its own and
not fewer. For the best one all ordinary ones with BERT's single inner feed-forward layer, 16, are
trained as the search trains, with one seed, and the best by validation fully. Every full training
has the run's recipe and its seeds; the test texts are read after it, once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

# Python puts this file's folder first on the path, where `predictors.py` would hide the package
# `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record
from nas.config.compose import executor_of, shaped_space
from nas.config.config import RunConfig, load_config, parse_config
from nas.evaluators.evaluator import FinalResult, Observation
from nas.executors import Executor, Job
from nas.record.history import History, fold
from nas.record.journal import open_for_reading
from nas.search.run import final_seed, start, winner
from nas.seeds import derive
from spaces import Architecture, SearchSpace
from spaces.canonical import canonical_key
from spaces.choices import Answer
from spaces.flexibert import Design, layers_of
from spaces.flexibert.named import PAPER, TINY
from spaces.ops import costs

CONFIG = Path(__file__).parents[1] / "configs" / "flexibert_sst2.yaml"
DESIGNS = {"flexibert_tiny": TINY, "flexibert": PAPER}


@dataclass(frozen=True)
class Entry:
    """A network that is trained fully, and why it is."""

    group: str
    architecture: Architecture
    parameters: int
    multiply_adds: int
    searched: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="search first, in this new directory")
    where.add_argument("--run", type=Path, help="a finished run of such a configuration")
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="of the search, where one is made"
    )
    parser.add_argument(
        "-s",
        "--set",
        action="append",
        default=[],
        help="overrides of the config, where a search is made",
    )
    parser.add_argument("--seeds", type=int, default=3, help="full trainings of each network")
    parser.add_argument(
        "--count",
        type=int,
        default=3,
        help="ordinary networks of the found one's size, and best ordinary ones; 0: none",
    )
    parser.add_argument("--name", help="of the file of results; the space's, unless said otherwise")
    arguments = parser.parse_args()
    if arguments.out is not None:
        start(
            load_config(
                arguments.config,
                [f"finalists.seeds={arguments.seeds}", "keep_weights=finalists", *arguments.set],
            ),
            arguments.out,
            lambda *_: None,
        )
    config, history = read(arguments.out or arguments.run)
    if config.space not in DESIGNS:
        raise SystemExit(
            f"which networks are ordinary is known of the spaces {' and '.join(DESIGNS)}; the "
            f"run is of {config.space!r}"
        )
    space, design = shaped_space(config), DESIGNS[config.space]
    ordinary = [
        entry(space, "ordinary", item) for item in ordinary_ones(space, design, design.stacks)
    ]
    with executor_of(config) as executor:
        arms = (
            {"search": "found", "random": "random search"}
            if config.baseline == "random"
            else {"search": "found"}
        )
        winners = [entry(space, name, *of_winner(history, arm)) for arm, name in arms.items()]
        as_bert = list(ordinary_ones(space, design, (1,))) if arguments.count else []
        scores = searched(executor, as_bert, derive(config.seed, "ordinary"))
        tried = [
            entry(space, "ordinary", item, score)
            for item, score in zip(as_bert, scores, strict=True)
        ]
        entries = [
            *winners,
            *of_size(space, ordinary, winners[0], arguments.count),
            *best(tried, arguments.count),
        ]
        results = fully(executor, space, entries, config, history, arguments.seeds)
    rows = [row(item, score=item.searched) for item in tried]
    rows += [
        row(item, item.searched, seed, result)
        for item, its in zip(entries, results, strict=True)
        for seed, result in enumerate(its)
    ]
    print(table(entries, results), *verdicts(entries, results), noise(history, results), sep="\n")
    print("written:", record(arguments.name or f"sst2_{config.space}", rows))


def read(directory: Path) -> tuple[RunConfig, History]:
    with open_for_reading(directory) as journal:
        return parse_config(journal.config, str(directory)), fold(journal.events())


def of_winner(history: History, arm: str) -> tuple[Architecture, float]:
    number = winner(history, arm)
    if history.finished is None or number is None:
        raise SystemExit(f"the run should be finished, and have a finalist of the arm {arm!r}")
    trial = history.trial(number)
    return trial.architecture, trial.score  # type: ignore[return-value]


def entry(
    space: SearchSpace, group: str, architecture: Architecture, score: float | None = None
) -> Entry:
    counted = costs(space.network_graph(space.graph(architecture)), space.shapes.input)
    return Entry(group, architecture, counted.parameters, counted.multiply_adds, score)


def ordinary_ones(
    space: SearchSpace, design: Design, stacks: tuple[int, ...]
) -> Iterator[Architecture]:
    """The space's networks with all layers alike, scaled dot products, and so many feed-forward
    layers in each.
    """
    widths = [(features,) * count for count in stacks for features in design.feed_forward]
    for layers, hidden, heads, feed_forward in product(
        design.layers, design.hidden, design.heads, widths
    ):
        decisions: list[tuple[str, Answer]] = [("layers", layers)]
        for layer in range(layers):
            sizes = [
                (f"feed_forward_{place}", features) for place, features in enumerate(feed_forward)
            ]
            answers = (
                ("hidden", hidden),
                ("heads", heads),
                ("operation", "sa_sdp"),
                ("stacks", len(feed_forward)),
                *sizes,
            )
            decisions += [(f"layer_{layer}/{question}", answer) for question, answer in answers]
        yield Architecture(space.name, tuple(decisions))


def searched(executor: Executor, architectures: Sequence[Architecture], seed: int) -> list[float]:
    """The validation score of each, trained as the search trains."""
    scores: dict[int, float] = {}
    for job, outcome in executor.run(
        [Job(number, item, seed) for number, item in enumerate(architectures)]
    ):
        assert isinstance(outcome, Observation), outcome
        scores[job.trial] = outcome.score
        print(
            f"ordinary {len(scores)} of {len(architectures)}: {outcome.score:.4f}",
            file=sys.stderr,
            flush=True,
        )
    return [scores[number] for number in range(len(architectures))]


def of_size(space: SearchSpace, ordinary: Sequence[Entry], found: Entry, count: int) -> list[Entry]:
    """Those with as many layers whose parameters are nearest and not fewer; where there are too few
    of them, the largest of those with fewer.
    """
    depth = len(layers_of(space.graph(found.architecture)))
    same = [item for item in ordinary if len(layers_of(space.graph(item.architecture))) == depth]
    nearest = sorted(
        same,
        key=lambda item: (
            item.parameters < found.parameters,
            abs(item.parameters - found.parameters),
        ),
    )
    return [regrouped(item, "its size") for item in nearest[:count]]


def best(ordinary: Sequence[Entry], count: int) -> list[Entry]:
    return [
        regrouped(item, "best ordinary")
        for item in sorted(ordinary, key=lambda item: -(item.searched or 0.0))[:count]
    ]


def regrouped(item: Entry, group: str) -> Entry:
    return Entry(group, item.architecture, item.parameters, item.multiply_adds, item.searched)


def fully(
    executor: Executor,
    space: SearchSpace,
    entries: Sequence[Entry],
    config: RunConfig,
    history: History,
    seeds: int,
) -> list[list[FinalResult]]:
    """The full trainings of each, by seed. One network is trained once with a seed; what the run
    has trained is not trained again.
    """
    keys = [canonical_key(space.graph(item.architecture)) for item in entries]
    done = {
        (history.trial(final.trial).canonical, final.seed): final.result for final in history.finals
    }
    wanted = dict.fromkeys(
        (key, final_seed(config, index)) for key in keys for index in range(seeds)
    )
    left = [pair for pair in wanted if pair not in done]
    jobs = [
        Job(number, entries[keys.index(key)].architecture, seed, final=True)
        for number, (key, seed) in enumerate(left)
    ]
    for count, (job, outcome) in enumerate(executor.run(jobs), start=1):
        done[left[job.trial]] = outcome  # type: ignore[assignment]
        print(f"full training {count} of {len(jobs)}: {outcome}", file=sys.stderr, flush=True)
    results = [[done[key, final_seed(config, index)] for index in range(seeds)] for key in keys]
    return [[result for result in its if isinstance(result, FinalResult)] for its in results]


def row(
    item: Entry, score: float | None, seed: int | None = None, result: FinalResult | None = None
) -> dict[str, Any]:
    return {
        "group": item.group,
        "architecture": named(item.architecture),
        "parameters": item.parameters,
        "multiply_adds": item.multiply_adds,
        "searched": score,
        "seed": seed,
        "validation": result and result.validation,
        "test": result and result.test,
    }


def named(architecture: Architecture) -> str:
    """`64: sa_sdp x 2, 128 | ...`: a layer's width, its operation with its heads, its feed-forward
    widths.
    """
    layers: dict[str, list[str]] = {}
    for path, answer in architecture.decisions[1:]:
        layers.setdefault(path.split("/")[0], []).append(str(answer))
    return " | ".join(
        f"{hidden}: {operation} x {heads}, {' '.join(sizes)}"
        for hidden, heads, operation, _, *sizes in layers.values()
    )


def table(entries: Sequence[Entry], results: Sequence[Sequence[FinalResult]]) -> str:
    lines = [
        f"{'group':<14}{'parameters':>11}{'multiply-adds':>15}{'searched':>10}{'validation':>18}{'test':>18} "
        " layers"
    ]
    for item, its in zip(entries, results, strict=True):
        validation, test = (
            with_deviation([result.validation for result in its]),
            with_deviation([result.test for result in its]),
        )
        searched = f"{item.searched:.4f}" if item.searched is not None else ""
        sizes = f"{item.parameters:>11,}{item.multiply_adds:>15,}"
        lines.append(
            f"{item.group:<14}{sizes}{searched:>10}{validation:>18}{test:>18}  "
            f"{named(item.architecture)}"
        )
    return "\n".join(lines)


def verdicts(entries: Sequence[Entry], results: Sequence[Sequence[FinalResult]]) -> Iterator[str]:
    """The found network's test accuracy less each other group's, paired by seed; of the best
    ordinary ones the one that is best on validation.
    """
    means = {
        group: [its for item, its in zip(entries, results, strict=True) if item.group == group]
        for group in dict.fromkeys(item.group for item in entries)
    }
    (found,) = means.pop("found")
    for group, networks in means.items():
        if group == "best ordinary":
            networks = [
                max(networks, key=lambda its: statistics.mean(result.validation for result in its))
            ]
        others = [
            statistics.mean(result.test for result in same_seed)
            for same_seed in zip(*networks, strict=True)
        ]
        gaps = [result.test - other for result, other in zip(found, others, strict=True)]
        yield f"found less {group}, test: {with_deviation(gaps)} over {len(gaps)} seeds"


def noise(history: History, results: Sequence[Sequence[FinalResult]]) -> str:
    """How much of what tells networks apart is the seed: validation accuracies of one network's
    full trainings, and of the networks that a search drew.
    """
    within = [
        statistics.variance([result.validation for result in its])
        for its in results
        if len(its) > 1
    ]
    lines = (
        [
            "deviation between seeds of one network, validation: "
            f"{statistics.mean(within) ** 0.5:.4f}"
        ]
        if within
        else []
    )
    for arm in ("random", "search"):
        scores = [trial.score for trial in history.of_arm(arm).observed]
        if len(scores) > 1:
            lines.append(
                f"{arm}: {len(scores)} networks, validation in the search {with_deviation(scores)}"
            )
    return "\n".join(lines)


def with_deviation(values: Sequence[float]) -> str:
    return (
        f"{statistics.mean(values):.4f} ± {statistics.stdev(values) if len(values) > 1 else 0:.4f}"
    )


if __name__ == "__main__":
    main()
