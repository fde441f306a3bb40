"""Accuracy on SST-2 of the transformer that a search finds, and of random and ordinary ones.

    python benchmarks/flexibert_sst2.py --out runs/sst2 -s task.path=/data/sst2_train.tsv \
        -s task.test=/data/sst2_dev.tsv
    python benchmarks/flexibert_sst2.py --run runs/sst2
    python benchmarks/flexibert_sst2.py --config configs/flexibert_sst2_gpu.yaml \
        --out runs/sst2_gpu -s task.path=... -s task.test=...

An ordinary transformer is like BERT: all layers are alike, with scaled dot products and
feed-forward layers of one width. The found transformer is compared with two groups of them:

- of its size: as many layers, and the nearest number of parameters that is not smaller;
- the best: all 16 ordinary ones with BERT's single inner feed-forward layer are trained as the
  search trains, with one seed; the best by validation accuracy are trained fully.

Every full training has the run's recipe and its seeds. The test texts are read once, after it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record
from benchmarks.sst2_networks import DESIGNS, Entry, best, entry, of_size, of_winner, ordinary_ones
from nas.config.evaluator import shaped_space
from nas.config.loading import load_config, parse_config
from nas.config.sections import RunConfig
from nas.config.workers import workers_of
from nas.evaluators.evaluator import FinalResult, Observation
from nas.executors import Executor, Job
from nas.record.folding import fold
from nas.record.history import History
from nas.record.journal import open_for_reading
from nas.search.finalists import final_seed
from nas.search.run import start
from nas.seeds import derive
from spaces import Architecture, SearchSpace
from spaces.canonical import canonical_key

CONFIG = Path(__file__).parents[1] / "configs" / "flexibert_sst2.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="search first, in this new directory")
    where.add_argument("--run", type=Path, help="a finished run of such a configuration")
    parser.add_argument("--config", type=Path, default=CONFIG, help="of the search, with --out")
    parser.add_argument(
        "-s",
        "--set",
        action="append",
        default=[],
        help="overrides of the config, with --out",
    )
    parser.add_argument("--seeds", type=int, default=3, help="full trainings of each network")
    parser.add_argument(
        "--count",
        type=int,
        default=3,
        help="how many ordinary networks of the found one's size, and how many best ordinary ones",
    )
    parser.add_argument("--name", help="of the CSV; by default sst2_SPACE")
    arguments = parser.parse_args()
    if arguments.out is not None:
        kept = [f"finalists.seeds={arguments.seeds}", "keep_weights=finalists"]
        to_search = load_config(arguments.config, [*kept, *arguments.set])
        start(to_search, arguments.out, lambda *_: None)
    config, history = read(arguments.out or arguments.run)
    if config.space not in DESIGNS:
        raise SystemExit(
            f"ordinary networks are defined for the spaces {' and '.join(DESIGNS)}; "
            f"the run searched {config.space!r}"
        )
    space, design = shaped_space(config), DESIGNS[config.space]
    ordinary = [
        entry(space, "ordinary", item) for item in ordinary_ones(space, design, design.stacks)
    ]
    with workers_of(config).executor() as executor:
        arms = {"search": "found"}
        if config.baseline == "random":
            arms["random"] = "random search"
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


def searched(executor: Executor, architectures: Sequence[Architecture], seed: int) -> list[float]:
    """The validation score of each, trained as the search trains."""
    scores: dict[int, float] = {}
    jobs = [Job(number, item, seed) for number, item in enumerate(architectures)]
    for job, outcome in executor.run(jobs):
        assert isinstance(outcome, Observation), outcome
        scores[job.trial] = outcome.score
        done = f"ordinary {len(scores)} of {len(jobs)}: {outcome.score:.4f}"
        print(done, file=sys.stderr, flush=True)
    return [scores[number] for number in range(len(architectures))]


def fully(
    executor: Executor,
    space: SearchSpace,
    entries: Sequence[Entry],
    config: RunConfig,
    history: History,
    seeds: int,
) -> list[list[FinalResult]]:
    """The results of the full trainings of each entry, by seed.

    A network is trained once with each seed. Trainings that the run has done are not repeated.
    """
    keys = [canonical_key(space.graph(item.architecture)) for item in entries]
    done = {
        (history.trial(final.trial).canonical, final.seed): final.result for final in history.finals
    }
    wanted = dict.fromkeys(
        (key, final_seed(config.seed, index)) for key in keys for index in range(seeds)
    )
    left = [pair for pair in wanted if pair not in done]
    jobs = [
        Job(number, entries[keys.index(key)].architecture, seed, final=True)
        for number, (key, seed) in enumerate(left)
    ]
    for count, (job, outcome) in enumerate(executor.run(jobs), start=1):
        done[left[job.trial]] = outcome  # type: ignore[assignment]
        print(f"full training {count} of {len(jobs)}: {outcome}", file=sys.stderr, flush=True)
    results = [
        [done[key, final_seed(config.seed, index)] for index in range(seeds)] for key in keys
    ]
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
    """Each layer's width, operation, heads, feed-forward widths: `64: sa_sdp x 2, 128 | ...`."""
    layers: dict[str, list[str]] = {}
    for path, answer in architecture.decisions[1:]:
        layers.setdefault(path.split("/")[0], []).append(str(answer))
    return " | ".join(
        f"{hidden}: {operation} x {heads}, {' '.join(sizes)}"
        for hidden, heads, operation, _, *sizes in layers.values()
    )


def table(entries: Sequence[Entry], results: Sequence[Sequence[FinalResult]]) -> str:
    sizes = f"{'parameters':>11}{'multiply-adds':>15}"
    lines = [f"{'group':<14}{sizes}{'searched':>10}{'validation':>18}{'test':>18}  layers"]
    for item, its in zip(entries, results, strict=True):
        validation = with_deviation([result.validation for result in its])
        test = with_deviation([result.test for result in its])
        searched = f"{item.searched:.4f}" if item.searched is not None else ""
        sizes = f"{item.parameters:>11,}{item.multiply_adds:>15,}"
        lines.append(
            f"{item.group:<14}{sizes}{searched:>10}{validation:>18}{test:>18}  "
            f"{named(item.architecture)}"
        )
    return "\n".join(lines)


def verdicts(entries: Sequence[Entry], results: Sequence[Sequence[FinalResult]]) -> Iterator[str]:
    """The found network's test accuracy minus each other group's mean, paired by seed.

    Of the group "best ordinary" only the network with the best validation accuracy counts.
    """
    means = {
        group: [its for item, its in zip(entries, results, strict=True) if item.group == group]
        for group in dict.fromkeys(item.group for item in entries)
    }
    (found,) = means.pop("found")
    for group, networks in means.items():
        if group == "best ordinary":
            networks = [max(networks, key=mean_validation)]
        others = [
            statistics.mean(result.test for result in same_seed)
            for same_seed in zip(*networks, strict=True)
        ]
        gaps = [result.test - other for result, other in zip(found, others, strict=True)]
        yield f"found less {group}, test: {with_deviation(gaps)} over {len(gaps)} seeds"


def mean_validation(results: Sequence[FinalResult]) -> float:
    return statistics.mean(result.validation for result in results)


def noise(history: History, results: Sequence[Sequence[FinalResult]]) -> str:
    """How much of the difference between networks may come from the seed.

    Shown are the deviations of the validation accuracy between the full trainings of one network,
    and between the networks that a search evaluated.
    """
    within = [
        statistics.variance([result.validation for result in its])
        for its in results
        if len(its) > 1
    ]
    lines: list[str] = []
    if within:
        deviation = statistics.mean(within) ** 0.5
        lines.append(f"deviation between seeds of one network, validation: {deviation:.4f}")
    for arm in ("random", "search"):
        scores = [trial.score for trial in history.of_arm(arm).observed]
        if len(scores) > 1:
            lines.append(
                f"{arm}: {len(scores)} networks, validation in the search {with_deviation(scores)}"
            )
    return "\n".join(lines)


def with_deviation(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0
    return f"{statistics.mean(values):.4f} ± {deviation:.4f}"


if __name__ == "__main__":
    main()
