"""What a graph network adds to the forests of the prior, measured on whole spaces left out.

    python benchmarks/encoder.py ../shared/data CACHE WHAT --seeds 3

`CACHE` is that of `known_tables.py` and `pretrain.py`. Every figure is of a table of which no
network was used. WHAT is one of

- `settings`: an encoder for each table, trained in different ways, without a label; alone, and its
  blend beside that of the forests;
- `structures`: one encoder for each table, one with a head for each table, or one of the first
  table with an adapter for each other one, after so many graphs of each table;
- `labels`: the process on numbers of whole networks with few labels; with the encoders' embeddings
  as a further group of features; and with those of encoders that were never trained;
- `modes`: the ways to fine-tune an adapted encoder on few labels, each with the same steps.

Writes `results/encoder_WHAT.csv`, a row for each table, column, seed and method.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch

from benchmarks.adapting import Adapted, Beside, one_head
from benchmarks.fine_tuning import MODES, FineTuning, fine_tune, num_trained
from benchmarks.known_tables import table
from benchmarks.pretrain import NETWORK, SHARE, TRAINING, pretrained
from benchmarks.record import record
from predictors.frame.kernel import choose_kernel
from predictors.prior.encoder import Trained, run
from predictors.prior.encoder_training import Training, normal_scores, pretrain, train
from predictors.prior.experts import SHARPNESS, Prior
from predictors.prior.networks import Networks, whole_numbers
from predictors.ranking import kendall_tau, spearman

SOURCES = ("nasbench101", "nasbench201", "nasbench_macro", "accel_nasbench", "timm")
TARGETS = (*SOURCES, "nasbench_mr")
# How many networks of a table are ranked, and a seed for them.
RANKED, DRAWN = 1000, 20261130
# Labels for fine-tuning, and learning rates.
FEW, RATES = 20, (1e-3, 1e-2)
# Components of the embeddings that the process reads.
COMPONENTS = 12
SHIPPED = Training(**TRAINING)
# Where one network learns all tables at once.
SHORTER = Training(graphs=600)
# Ways to train: what differs from what is shipped, of the optimisation and of the network.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as shipped": ({}, {}),
    "no inputs hidden": ({"hidden": 0.0}, {}),
    "two thirds of the inputs hidden": ({"hidden": 0.67}, {}),
    "2,400 graphs in batches of 40": ({"graphs": 2400, "batch_size": 40}, {}),
    "8,000 graphs in batches of 40": ({"graphs": 8000, "batch_size": 40}, {}),
    "600 graphs in batches of 40": ({"graphs": 600, "batch_size": 40}, {}),
    "a ramp a number": ({}, {"each": 0}),
    "3 steps a number": ({}, {"each": 3}),
    "1 layer": ({}, {"layers": 1}),
    "width 12": ({}, {"width": 12}),
    "width 40": ({}, {"width": 40}),
    "strong decay": ({"weight_decay": 1.0}, {}),
}


@dataclass(frozen=True, eq=False)
class Space:
    """A table: all its networks to learn from, and some that are ranked where it is left out."""

    name: str
    networks: Networks
    labels: dict[str, np.ndarray]
    ranked: Networks = field(repr=False)
    rows: np.ndarray

    @property
    def lesson(self) -> tuple[Networks, np.ndarray]:
        """The networks with the labels of the first column."""
        return self.networks, next(iter(self.labels.values()))


def read_space(name: str, data: Path, cache: Path) -> Space:
    known = table(name, data, cache)
    held = np.flatnonzero(np.isfinite(next(iter(known.labels.values()))))
    rows = np.sort(np.random.default_rng(DRAWN).permutation(held)[:RANKED])
    return Space(name, known.networks, known.labels, known.networks.take(rows), rows)


@dataclass(frozen=True, eq=False)
class Target:
    """A space that is left out, and what the forests of the others say of it.

    Attributes:
        space: of which no network was used.
        whole_NW: numbers of its ranked networks.
        blend_N, opinion_NK: of the forests, as in `predictors.prior.experts.View`.
        mean_N: the scores that the forests expect.
        weight: of an expert of each other table, by its distance.
    """

    space: Space
    whole_NW: np.ndarray
    blend_N: np.ndarray
    opinion_NK: np.ndarray
    mean_N: np.ndarray
    weight: dict[str, float]


def left_out(space: Space, prior: Prior) -> Target:
    whole_NW, others = whole_numbers(space.ranked), prior.without([space.name])
    view = others.view(whole_NW, cost=False)
    assert view is not None
    blend_N, opinion_NK = view.opinions(whole_NW)
    distance = {
        expert.table: float(distance)
        for expert, distance in zip(others.experts, others.distances(whole_NW), strict=True)
    }
    weight = {
        name: float(np.exp(-SHARPNESS * (distance[name] - min(distance.values()))))
        for name in SOURCES
        if name != space.name
    }
    total = sum(weight.values())
    weight = {name: each / total for name, each in weight.items()}
    scaled_NK = opinion_NK * view.deviation_K
    return Target(space, whole_NW, blend_N, scaled_NK, view.expected * blend_N, weight)


def standard(value_NC: np.ndarray) -> np.ndarray:
    return (value_NC - value_NC.mean(0)) / (value_NC.std(0) + 1e-9)


def encoders(
    spaces: dict[str, Space], how: Training, seed: int, network: Mapping[str, Any]
) -> dict[str, Trained]:
    """An encoder of each table."""
    return {name: pretrain([spaces[name].lesson], how, seed, **network) for name in SOURCES}


def said(target: Target, experts: dict[str, Trained]) -> np.ndarray:
    """(N,) the blend of the encoders of other tables, weighted as the forests are."""
    each = [
        weight * standard(experts[name].predict(target.space.ranked)[:, 0])
        for name, weight in target.weight.items()
    ]
    return standard(np.sum(each, axis=0))


def figures(target: Target, method: str, seed: int, found_N: np.ndarray) -> Iterator[dict]:
    """A row for each column: alone, the forests, and both.

    In both the encoders have the share that is shipped, but for all networks alike: it does not
    fade.
    """
    both_N = (1 - SHARE) * standard(target.blend_N) + SHARE * standard(found_N)
    for column, label_N in target.space.labels.items():
        score_N = label_N[target.space.rows]
        yield {
            "table": target.space.name,
            "column": column,
            "method": method,
            "seed": seed,
            "alone": spearman(found_N, score_N),
            "forests": spearman(target.blend_N, score_N),
            "both": spearman(both_N, score_N),
        }


def settings(spaces: dict[str, Space], targets: list[Target], seeds: int) -> Iterator[dict]:
    everything = {target.space.name: np.zeros(len(target.blend_N)) for target in targets}
    for setting, (training, network) in SETTINGS.items():
        how = replace(SHIPPED, **training)
        together = {name: np.zeros_like(total_N) for name, total_N in everything.items()}
        for seed in range(seeds):
            experts = encoders(spaces, how, seed, NETWORK | network)
            for target in targets:
                found_N = said(target, experts)
                together[target.space.name] += found_N
                everything[target.space.name] += found_N
                yield from figures(target, setting, seed, found_N)
        for target in targets:
            yield from figures(target, f"{setting}: together", 0, together[target.space.name])
    for target in targets:
        yield from figures(target, "all together", 0, everything[target.space.name])


def structures(spaces: dict[str, Space], targets: list[Target], seeds: int) -> Iterator[dict]:
    for seed in range(seeds):
        for training in (SHORTER, SHIPPED):
            yield from by_adapters(spaces, targets, training, seed)
        for target in targets:
            lessons = [spaces[name].lesson for name in target.weight]
            heads = pretrain(lessons, SHORTER, seed, **NETWORK)
            opinion_NK = standard(heads.predict(target.space.ranked))
            found_N = opinion_NK @ list(target.weight.values())
            yield from figures(target, f"a head a table, {SHORTER.graphs}", seed, found_N)


def by_adapters(
    spaces: dict[str, Space], targets: list[Target], training: Training, seed: int
) -> Iterator[dict]:
    """An encoder for each table; and the one of the first table with adapters for the others."""
    experts = encoders(spaces, training, seed, NETWORK)
    grown: dict[tuple[str, str], Adapted] = {}
    for target in targets:
        first, *others = target.weight
        base, ranked = experts[first], target.space.ranked
        for name in others:
            if (first, name) not in grown:
                lesson = [spaces[name].lesson]
                grown[first, name] = with_adapters(base, lesson, seed, training)
        parts = [Beside(grown[first, name]) for name in others]
        each = [run(part, ranked, base.steps) for part in (base.network, *parts)]
        opinion_NK = standard(np.column_stack(each))
        found_N = opinion_NK @ list(target.weight.values())
        size = training.graphs
        yield from figures(target, f"an encoder a table, {size}", seed, said(target, experts))
        yield from figures(target, f"an adapter a table, {size}", seed, found_N)
        even_N = opinion_NK.mean(1)
        yield from figures(target, f"an adapter a table, {size}, even", seed, even_N)


def with_adapters(
    base: Trained, lessons: list[tuple[Networks, np.ndarray]], seed: int, training: Training
) -> Adapted:
    """The encoder with an adapter trained on each table, one after the other."""
    model = Adapted(one_head(base.network, np.ones(1)))
    for place, lesson in enumerate(lessons):
        model = model.with_adapter(torch.Generator().manual_seed(100 * seed + place))
        random = np.random.default_rng([seed, place])
        train(Beside(model), [lesson], base.steps, training, random)
    return model


def labels(spaces: dict[str, Space], targets: list[Target], seeds: int) -> Iterator[dict]:
    trained, random = (
        [encoders(spaces, replace(SHIPPED, graphs=graphs), seed, NETWORK) for seed in range(2)]
        for graphs in (SHIPPED.graphs, 0)
    )
    for target in targets:
        whole_NF = np.clip(standard(target.whole_NW), -4, 4)
        whole_NF = whole_NF[:, whole_NF.std(0) > 0]
        none_N, none_NK = np.zeros(len(whole_NF)), np.zeros((len(whole_NF), 0))
        shown = {
            "numbers": (whole_NF, none_NK, none_N, none_NK),
            "numbers and forests": (whole_NF, target.opinion_NK, target.mean_N, none_NK),
        }
        for name, sets in (("embeddings", trained), ("untrained embeddings", random)):
            found_NF = embeddings(target, sets)
            shown[f"numbers and {name}"] = (whole_NF, none_NK, none_N, found_NF)
            shown[f"numbers, forests and {name}"] = (
                whole_NF,
                target.opinion_NK,
                target.mean_N,
                found_NF,
            )
        for seed in range(seeds):
            for column, label_N in target.space.labels.items():
                yield from few_labels(target, column, label_N[target.space.rows], shown, seed)


def few_labels(
    target: Target,
    column: str,
    score_N: np.ndarray,
    shown: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    seed: int,
) -> Iterator[dict]:
    """Kendall's tau of each process with 20, 40 and 100 labels."""
    known = np.flatnonzero(np.isfinite(score_N))
    order = np.random.default_rng([DRAWN, seed]).permutation(known)
    for count in (20, 40, 100):
        some, others = order[:count], order[count:]
        normal_N = normal_scores(score_N[some])
        for method, parts in shown.items():
            found_M = process(parts, some, normal_N, others)
            yield {
                "table": target.space.name,
                "column": column,
                "method": method,
                "seed": seed,
                "labels": count,
                "tau": kendall_tau(found_M, score_N[others]),
            }


def process(
    parts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    some: np.ndarray,
    normal_N: np.ndarray,
    others: np.ndarray,
) -> np.ndarray:
    """The mean of the process of `whole`, with a further group of features."""
    whole_NF, opinion_NK, mean_N, embedding_NF = parts
    feature_NF = np.concatenate([whole_NF, embedding_NF], axis=1)
    group_F = np.repeat([0, 1], [whole_NF.shape[1], embedding_NF.shape[1]])
    away_N = normal_N - mean_N[some]
    known_NN = opinion_NK[some] @ opinion_NK[some].T
    kernel = choose_kernel(feature_NF[some], group_F, away_N, known_NN)
    covariance_NN = kernel.between(feature_NF[some], feature_NF[some]) + known_NN
    weight_N = np.linalg.solve(covariance_NN + kernel.noise * np.eye(len(some)), away_N)
    between_MN = kernel.between(feature_NF[others], feature_NF[some])
    return mean_N[others] + (between_MN + opinion_NK[others] @ opinion_NK[some].T) @ weight_N


def embeddings(target: Target, sets: list[dict[str, Trained]]) -> np.ndarray:
    """(N, F) the main components of the embeddings by all encoders of other tables."""
    each = [
        np.sqrt(weight) * standard(experts[name].embed(target.space.ranked))
        for experts in sets
        for name, weight in target.weight.items()
    ]
    left, size, _ = np.linalg.svd(np.concatenate(each, axis=1), full_matrices=False)
    return (left * size / size[0])[:, :COMPONENTS] * np.sqrt(len(left))


def one_label(target: Target) -> tuple[str, np.ndarray]:
    """The name and the scores of the first column."""
    column, label_N = next(iter(target.space.labels.items()))
    return column, label_N[target.space.rows]


def modes(spaces: dict[str, Space], targets: list[Target], seeds: int) -> Iterator[dict]:
    for target in targets:
        names = sorted(target.weight, key=lambda name: -target.weight[name])[:2]
        base = pretrain([spaces[names[0]].lesson], SHIPPED, 0, **NETWORK)
        model = with_adapters(base, [spaces[names[1]].lesson], 0, SHIPPED)
        column, score_N = one_label(target)
        known = np.flatnonzero(np.isfinite(score_N))
        for seed in range(seeds):
            order = np.random.default_rng([DRAWN, seed]).permutation(known)
            some, others = order[:FEW], order[FEW : FEW + 400]
            ranked, few = target.space.ranked.take(others), target.space.ranked.take(some)
            for mode, rate in [("not fine-tuned", 0.0), *product(MODES, RATES)]:
                tuned, trained = model, 0
                if rate:
                    how = FineTuning(mode, learning_rate=rate)
                    wanted_M = normal_scores(score_N[some])
                    tuned = fine_tune(model, few, wanted_M, base.steps, how)
                    trained = num_trained(model, how)
                found_M = run(tuned, ranked, base.steps)[:, 0]
                yield {
                    "table": target.space.name,
                    "column": column,
                    "method": f"{mode}, rate {rate}",
                    "seed": seed,
                    "labels": FEW,
                    "trained numbers": trained,
                    "tau": kendall_tau(found_M, score_N[others]),
                }


WHAT = {"settings": settings, "structures": structures, "labels": labels, "modes": modes}


def summary(rows: list[dict]) -> list[str]:
    """A line for each method and number of labels: means over seeds and columns of each table."""
    lines = []
    for count in sorted({row.get("labels", 0) for row in rows}):
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [r for r in rows if r["method"] == method and r.get("labels", 0) == count]
            for value in [name for name in ("alone", "forests", "both", "tau") if name in own[0]]:
                means, spreads = [], []
                for name in TARGETS:
                    found = [row[value] for row in own if row["table"] == name]
                    by_seed = {row["seed"]: [] for row in own}
                    for row in own:
                        if row["table"] == name:
                            by_seed[row["seed"]].append(row[value])
                    means.append(np.mean(found))
                    spreads.append(np.std([np.mean(each) for each in by_seed.values()]))
                each = " ".join(f"{m:.3f}±{s:.3f}" for m, s in zip(means, spreads, strict=True))
                lines.append(f"{count:4} {method:36} {value:8} {np.mean(means):.3f} | {each}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of the tables")
    parser.add_argument("cache", type=Path, help="the folder for what was read and grown")
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    began = time.perf_counter()
    prior = pretrained(arguments.data, arguments.cache, [(name, None) for name in SOURCES])
    spaces = {name: read_space(name, arguments.data, arguments.cache) for name in TARGETS}
    targets = [left_out(space, prior) for space in spaces.values()]
    rows = []
    for row in WHAT[arguments.what](spaces, targets, arguments.seeds):
        rows.append(row)
        print(*row.values(), f"{time.perf_counter() - began:.0f} s", flush=True)
    print(f"labels, method, figure, mean | {' '.join(TARGETS)}")
    print(*summary(rows), sep="\n")
    print(record(f"encoder_{arguments.what}", rows))


if __name__ == "__main__":
    main()
