"""How well embeddings of architectures preserve edit distances, and how well they predict accuracy.

    python benchmarks/embedding.py [../shared/data/flexibert_qnli.json.gz]

First, distances between transformers of the space `flexibert`, or of another `--space`: `--train`
of them and `--unseen` others are drawn for each seed. Measured on 5,000 pairs of each part are
Spearman's correlation of the embedding's and the true distances, and Kruskal's stress-1. No pair of
unseen graphs was trained on. Of the training graphs' pairs the transductive points were fitted to
about one in four, the map to one in twenty. The embeddings are

    transductive    a free point for each training graph, of least stress over `--pairs` pairs;
                    other graphs have no point
    inductive       the learnt map, `GraphEmbedding`
    flattened       the decisions as numbers, standardised, as in FlexiBERT's naive embedding:
                    a word is its index, a question that was not asked is 0
    counts          the counted features that other predictors read, standardised

The last two are scaled to the least stress.

Then, if the file is given, the accuracies on QNLI of its 660 transformers: five folds, with
isomorphic ones in the same fold. Measured is Spearman's correlation of the held-out accuracies with
the predictions of a regressor on the standardised points: a ridge regression, a Gaussian process
and extremely randomised trees. The transductive points are fitted to all graphs, without
accuracies; the learnt map and the counts are fitted to the graphs of the training folds alone.

Writes `results/embedding_distances_SPACE.csv` and `results/embedding_qnli.csv`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.qnli_table import read_qnli
from benchmarks.record import record, spread
from predictors.calibration import folds_of
from predictors.edits.costs import suggest_costs
from predictors.edits.distance import edit_distances
from predictors.edits.embedding import GraphEmbedding
from predictors.edits.stress import draw_pairs, kruskal_stress, least_stress, lengths
from predictors.ranking import spearman
from predictors.reading.features import learn_encoding
from spaces import Architecture, Graph, SearchSpace
from spaces.flexibert import qnli as table_space
from spaces.load import load_space
from spaces.operators import sample_graph

TESTED = 5000
FOLDS = 5


def flattened(architectures: Sequence[Architecture], known: Sequence[Architecture]) -> np.ndarray:
    """(M, decisions) numbers, standardised by the mean and deviation of the known architectures."""
    answered: dict[str, set[str]] = {}
    for one in known:
        for path, answer in one.decisions:
            answered.setdefault(path, set()).add(str(answer))
    words = {path: sorted(answered[path]) for path in sorted(answered)}

    def numbers(of: Architecture) -> list[float]:
        answers = dict(of.decisions)
        return [_number(answers.get(path), words[path]) for path in words]

    known_ND = np.array([numbers(one) for one in known])
    asked_MD = np.array([numbers(one) for one in architectures])
    return (asked_MD - known_ND.mean(0)) / np.maximum(known_ND.std(0), 1e-9)


def _number(answer: Any, words: Sequence[str]) -> float:
    if answer is None:
        return 0.0
    if isinstance(answer, int | float):
        return float(answer)
    return 1.0 + words.index(str(answer)) if str(answer) in words else 0.0


def stretched(embedded_P: np.ndarray, true_P: np.ndarray) -> np.ndarray:
    """The distances times the factor that gives the least stress-1."""
    return embedded_P * float((true_P**2).sum() / (embedded_P * true_P).sum())


def distances(
    space: SearchSpace, train: int, unseen: int, pairs: int, seed: int
) -> Iterator[dict[str, Any]]:
    """The rows of one seed."""
    random = Random(seed)
    drawn = [sample_graph(space, random) for _ in range(train + unseen)]
    architectures = [architecture for architecture, _ in drawn]
    graphs = [graph for _, graph in drawn]
    costs = suggest_costs(graphs)
    rows = {"train": slice(0, train), "unseen": slice(train, None)}

    started = time.process_time()
    fitted = GraphEmbedding().fit(graphs[:train], seed=seed, costs=costs)
    seconds = {"inductive": time.process_time() - started}
    started = time.process_time()
    pair_P2 = draw_pairs(train, pairs, np.random.default_rng([seed, 2]))
    distance_P = edit_distances(graphs[:train], pair_P2, costs)
    table_ND = least_stress(train, pair_P2, distance_P, fitted.settings.dimensions)
    seconds["transductive"] = time.process_time() - started
    counts_MC = learn_encoding(graphs[:train]).encode(graphs).counts_MC
    points = {
        "inductive": fitted.embed(graphs),
        "flattened": flattened(architectures, architectures[:train]),
        "counts": counts_MC,
    }
    for part, of in rows.items():
        tested_P2 = draw_pairs(len(graphs[of]), TESTED, np.random.default_rng([seed, 3]))
        true_P = edit_distances(graphs[of], tested_P2, costs)
        for name, point_MD in {"transductive": table_ND, **points}.items():
            if name == "transductive" and part == "unseen":
                continue
            embedded_P = lengths(point_MD[of] if name != "transductive" else point_MD, tested_P2)
            if name in ("flattened", "counts"):
                embedded_P = stretched(embedded_P, true_P)
            yield {
                "space": space.name,
                "seed": seed,
                "part": part,
                "embedding": name,
                "spearman": spearman(embedded_P, true_P),
                "stress": kruskal_stress(embedded_P, true_P),
                "fit_seconds": seconds.get(name, 0.0),
            }


def regressors(seed: int) -> dict[str, Any]:
    signal = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(3.0, (0.1, 1e3), nu=2.5)
    kernel = signal + WhiteKernel(0.1, (1e-4, 10.0))
    return {
        "ridge": RidgeCV(np.logspace(-2, 4, 13)),
        "gp": GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed),
        "extra trees": ExtraTreesRegressor(
            300, min_samples_leaf=2, max_features=0.5, random_state=seed
        ),
    }


def qnli(path: Path, pairs: int, seed: int) -> Iterator[dict[str, Any]]:
    """The rows of one seed, which draws the folds, the pairs and the initial weights."""
    columns = read_qnli(path)
    architectures, score_N = table_space.rows(columns), columns["qnli"]
    graphs = [table_space.space.graph(architecture) for architecture in architectures]
    costs = suggest_costs(graphs)
    pair_P2 = draw_pairs(len(graphs), pairs, np.random.default_rng([seed, 2]))
    distance_P = edit_distances(graphs, pair_P2, costs)
    table_ND = least_stress(len(graphs), pair_P2, distance_P, GraphEmbedding().dimensions)
    fold_N = folds_of(graphs, FOLDS, seed)
    expected = {
        (name, regressor): np.zeros(len(graphs))
        for name in ("transductive", "inductive", "flattened", "counts")
        for regressor in regressors(0)
    }
    for fold in range(FOLDS):
        train, test = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        known: list[Graph] = [graphs[row] for row in train]
        points = {
            "transductive": table_ND,
            "inductive": GraphEmbedding().fit(known, seed=seed, costs=costs).embed(graphs),
            "flattened": flattened(architectures, [architectures[row] for row in train]),
            "counts": learn_encoding(known).encode(graphs).counts_MC,
        }
        for name, point_MD in points.items():
            for regressor, settings in regressors(seed).items():
                with warnings.catch_warnings():
                    # sklearn warns if a kernel's parameter ends at its bound, which is fine here.
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    model = make_pipeline(StandardScaler(), settings)
                    model.fit(point_MD[train], score_N[train])
                expected[name, regressor][test] = model.predict(point_MD[test])
    for (name, regressor), expected_N in expected.items():
        of_folds = [
            spearman(expected_N[fold_N == fold], score_N[fold_N == fold]) for fold in range(FOLDS)
        ]
        yield {
            "seed": seed,
            "embedding": name,
            "regressor": regressor,
            "spearman": float(np.mean(of_folds)),
            "worst_fold": min(of_folds),
        }


def show(rows: Sequence[dict[str, Any]], by: Sequence[str], figures: Sequence[str]) -> None:
    for key in dict.fromkeys(tuple(row[name] for name in by) for row in rows):
        of = [row for row in rows if tuple(row[name] for name in by) == key]
        shown = (f"{figure} {spread([row[figure] for row in of])}" for figure in figures)
        print(f"{' '.join(key):28}", *shown, sep="  ")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("qnli", type=Path, nargs="?")
    parser.add_argument("--space", default="flexibert", help="as a configuration names it")
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--unseen", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    space, rows = load_space(arguments.space), list[dict[str, Any]]()
    for seed in range(arguments.seeds):
        rows += distances(space, arguments.train, arguments.unseen, arguments.pairs, seed)
    show(rows, ("part", "embedding"), ("spearman", "stress", "fit_seconds"))
    print(record(f"embedding_distances_{space.name}", rows))
    if arguments.qnli is not None:
        rows = []
        for seed in range(arguments.seeds):
            rows += qnli(arguments.qnli, arguments.pairs, seed)
        show(rows, ("embedding", "regressor"), ("spearman", "worst_fold"))
        print(record("embedding_qnli", rows))


if __name__ == "__main__":
    main()
