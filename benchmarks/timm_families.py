"""How well the accuracy of trained classifiers is predicted for families that were never seen.

    python benchmarks/timm_families.py ../shared/data/timm_results.csv.gz CACHE [--seeds 3]

A row of timm's results is a network at one size of an image, trained by one recipe. Whole families
are held out, in five folds, or each in turn (`--folds 0`). With `--unseen FILE.csv.gz` the rows of
the first file are learnt, and those of the second one are predicted.

What is read of a row, and never its accuracies or its speed:

network     the numbers of the whole network (`predictors.prior.networks.WHOLE`)
recipe      the columns `dist` and `extra`, and the tag: its epochs, its training resolution, and
            each further word of it that occurs in at least two families that are learnt from
evaluation  how timm's registry says to prepare the images: crop, normalisation, interpolation

A method is a learner with what it reads, such as `process: network + recipe`. Learners are a
Gaussian process, boosted trees, a forest, and the mean of the first two. `chosen` is that among all
of these that predicts families best that are held out within what is learnt from. Beside them are
the counts, and a forest on logarithms of `param_count`, `infer_gmacs`, `infer_macts` and `img_size`
with `dist` (`forest: counts`). The CACHE is that of known_tables.py. Writes
`results/timm_families_NAME.csv`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.known_tables import timm_table
from benchmarks.record import record
from benchmarks.timm_table import distinct, named, timm_rows
from benchmarks.vision_libraries import vision_library
from predictors.frame.kernel import most_likely_kernel
from predictors.prior.networks import WHOLE, whole_numbers
from predictors.ranking import kendall_tau, spearman

COUNTS = ("param_count", "infer_gmacs", "infer_macts")
INNER_FOLDS = 4
# The parameters of the process are chosen on at most this many rows.
MOST = 400
# Epochs of a recipe whose tag does not say them.
USUAL_EPOCHS = 300.0
MOST_DEVIATIONS = 4.0
READS = {
    "network": ("size", "structure"),
    "network + recipe": ("size", "structure", "recipe", "words"),
    "network + recipe + evaluation": ("size", "structure", "recipe", "words", "evaluation"),
}
BASELINE = "forest: counts"
# Numbers of the network that say how large it is.
SIZES = (
    "log2 parameters",
    "log2 multiply-adds",
    "log2 activations",
    "log2 parameters without embeddings",
    "log2 multiply-adds over parameters",
    "log2 positions of the input",
)


@dataclass(frozen=True, eq=False)
class Rows:
    """N trained classifiers.

    Attributes:
        parts: (N, F) arrays of features by name.
        words: of each row's tag.
        top1_N: in percent.
        family_N: the name of the family.
        counts: (N,) arrays by the name of the column.
    """

    parts: Mapping[str, np.ndarray]
    words: Sequence[frozenset[str]]
    top1_N: np.ndarray
    family_N: np.ndarray
    counts: Mapping[str, np.ndarray]


def read_rows(path: Path, cache: Path) -> Rows:
    """The rows of the file whose architecture the installed timm knows."""
    stated = timm_rows(path)
    known = timm_table(path, cache)
    place = {each: number for number, each in enumerate(distinct(stated))}
    assert len(place) == len(known.networks)
    number_N = [place[named(row)] for row in stated]
    whole_NW = _on_log_scale(whole_numbers(known.networks))[number_N]
    size_W = np.isin(WHOLE, SIZES)
    registered = [_registered(row["model"]) for row in stated]
    recipes = [_recipe(row, config) for row, config in zip(stated, registered, strict=True)]
    counts = {name: np.array([float(row[name]) for row in stated]) for name in COUNTS}
    size_N = np.array([float(row["img_size"]) for row in stated])
    distilled_N = np.array([row["dist"] == "True" for row in stated], dtype=float)
    small = [np.log(values + 0.01) for values in (*counts.values(), size_N)]
    return Rows(
        {
            "size": whole_NW[:, size_W],
            "structure": whole_NW[:, ~size_W],
            "recipe": np.array([numbers for numbers, _ in recipes]),
            "evaluation": np.array(
                [_evaluation(row, config) for row, config in zip(stated, registered, strict=True)]
            ),
            "counts": np.stack([*small, distilled_N], axis=1),
        },
        [words for _, words in recipes],
        np.array([float(row["top1"]) for row in stated]),
        np.array([row["fam"] for row in stated]),
        counts,
    )


def _on_log_scale(whole_NW: np.ndarray) -> np.ndarray:
    """The numbers, with the logarithms of those that are counts or lengths."""
    linear_W = np.array(["log" in name or "share" in name or " over " in name for name in WHOLE])
    return np.where(linear_W, whole_NW, np.log2(1 + np.maximum(whole_NW, 0)))


def _registered(model: str) -> Any:
    """What timm's registry knows of the weights of that name; None if it does not know them."""
    return vision_library("timm").get_pretrained_cfg(model, allow_unregistered=True)


def _recipe(row: Mapping[str, str], config: Any) -> tuple[list[float], frozenset[str]]:
    """Numbers of the recipe, and the words of the tag that are not numbers.

    The words `in1k` and the like name data. Those with more images than ImageNet's 1k are marked.
    """
    epochs, resolution = USUAL_EPOCHS, 0.0
    words = []
    for word in row["tag"].split("_"):
        number = re.fullmatch(r"([ers]?)(\d{2,4})", word)
        if number is None:
            words.append(word)
        elif number[1] == "e":
            epochs = float(number[2])
        elif number[1]:
            resolution = float(number[2])
    size = float(row["img_size"])
    resolution = resolution or (size if config is None else float(config.input_size[1]))
    more = any(re.fullmatch(r"in(2[12]|12)k.*|laion.*|openai|metaclip.*", word) for word in words)
    numbers = [
        float(row["dist"] == "True"),
        float(row["extra"] == "True" or more),
        np.log(epochs),
        np.log2(resolution),
        np.log2(size / resolution),
    ]
    return numbers, frozenset(words) - {"in1k"}


def _evaluation(row: Mapping[str, str], config: Any) -> list[float]:
    """Share of the image that is seen, how it is normalised, and whether it is scaled smoothly."""
    if config is None:
        return [np.nan] * 4
    other = float(row["img_size"]) != config.input_size[1]
    crop = (config.test_crop_pct if other else None) or config.crop_pct
    return [
        crop,
        float(config.mean[0] == 0.5),
        float(config.mean[0] == 0.0),
        float(config.interpolation == "bilinear"),
    ]


def features(rows: Rows, reads: Sequence[str], learnt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) what is read of every row, and the number of each feature's part (F,).

    Args:
        rows: all rows.
        reads: the parts.
        learnt: the rows that may be learnt from, whose families decide which words count.
    """
    families: dict[str, set[str]] = {}
    for row in learnt.tolist():
        for word in rows.words[row]:
            families.setdefault(word, set()).add(str(rows.family_N[row]))
    shared = sorted(word for word, within in families.items() if len(within) > 1)
    parts = {
        **rows.parts,
        "words": np.array([[word in words for word in shared] for words in rows.words], float),
    }
    read_NF = np.concatenate([parts[name] for name in reads], axis=1)
    part_F = np.repeat(np.arange(len(reads)), [parts[name].shape[1] for name in reads])
    usual_F = np.nanmean(read_NF[learnt], axis=0)
    return np.where(np.isfinite(read_NF), read_NF, usual_F), part_F


Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def process(
    known_NF: np.ndarray, target_N: np.ndarray, asked_MF: np.ndarray, part_F: np.ndarray
) -> np.ndarray:
    """A Gaussian process with the kernel of `gp`, whose groups are the parts."""
    mean_F, scale_F = known_NF.mean(0), known_NF.std(0)
    varies = scale_F > 1e-6
    known, asked = (
        np.clip(
            (each[:, varies] - mean_F[varies]) / scale_F[varies], -MOST_DEVIATIONS, MOST_DEVIATIONS
        )
        for each in (known_NF, asked_MF)
    )
    group_F = np.unique(part_F[varies], return_inverse=True)[1]
    center, width = target_N.mean(), target_N.std()
    normal_N = (target_N - center) / width
    chosen = np.sort(np.random.default_rng(0).permutation(len(known))[:MOST])
    kernel, _ = most_likely_kernel(known[chosen], group_F, normal_N[chosen])
    covariance_NN = kernel.between(known, known) + kernel.noise * np.eye(len(known))
    weight_N = np.linalg.solve(covariance_NN, normal_N)
    return center + width * (kernel.between(asked, known) @ weight_N)


def boosting(
    known_NF: np.ndarray, target_N: np.ndarray, asked_MF: np.ndarray, part_F: np.ndarray
) -> np.ndarray:
    """Boosted trees of eight leaves."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=300,
        max_leaf_nodes=8,
        min_samples_leaf=8,
        l2_regularization=5,
        max_features=0.3,
        random_state=0,
    )
    return trees.fit(known_NF, target_N).predict(asked_MF)


def forest(
    known_NF: np.ndarray,
    target_N: np.ndarray,
    asked_MF: np.ndarray,
    part_F: np.ndarray,
    *,
    share: float = 0.5,
) -> np.ndarray:
    """Extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(300, min_samples_leaf=2, max_features=share, random_state=0)
    return trees.fit(known_NF, target_N).predict(asked_MF)


LEARNERS: dict[str, Learner] = {"process": process, "boosting": boosting, "forest": forest}


def error_of(top1_N: np.ndarray) -> np.ndarray:
    """The logarithm of the error, which is what is learnt."""
    return np.log(np.maximum(100 - top1_N, 0.1))


def predictions(rows: Rows, learnt: np.ndarray, asked: np.ndarray) -> dict[str, np.ndarray]:
    """The predicted top-1 of the asked rows by each method but `chosen` and the counts."""
    target_N = error_of(rows.top1_N[learnt])
    found: dict[str, np.ndarray] = {}
    for what, reads in READS.items():
        read_NF, part_F = features(rows, reads, learnt)
        for name, learner in LEARNERS.items():
            predicted_M = learner(read_NF[learnt], target_N, read_NF[asked], part_F)
            found[f"{name}: {what}"] = 100 - np.exp(predicted_M)
        pair = (found[f"{name}: {what}"] for name in ("process", "boosting"))
        found[f"process + boosting: {what}"] = np.mean(list(pair), axis=0)
    return found


def predicted(rows: Rows, learnt: np.ndarray, asked: np.ndarray, seed: int) -> dict[str, Any]:
    """The predicted top-1 of the asked rows by each method, and which one was chosen."""
    inner: dict[str, np.ndarray] = {}
    for within, out in folds(rows.family_N[learnt], INNER_FOLDS, seed):
        for name, values in predictions(rows, learnt[within], learnt[out]).items():
            inner.setdefault(name, np.zeros(len(learnt)))[out] = values
    errors = {
        name: float(np.abs(values - rows.top1_N[learnt]).mean()) for name, values in inner.items()
    }
    best = min(errors, key=lambda name: errors[name])
    read_NF, part_F = features(rows, ("counts",), learnt)
    plain = partial(forest, share=1.0)
    outer = predictions(rows, learnt, asked)
    return {
        **{name: values[asked] for name, values in rows.counts.items()},
        BASELINE: plain(read_NF[learnt], rows.top1_N[learnt], read_NF[asked], part_F),
        **outer,
        "chosen": outer[best],
        "choice": best,
    }


def folds(family_N: np.ndarray, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The rows of all other folds and of one fold; families are whole. Each in turn for 0 folds."""
    names = np.unique(family_N)
    order = np.random.default_rng([20261130, seed]).permutation(len(names))
    fold_of = dict(zip(names[order], np.arange(len(names)) % (count or len(names)), strict=True))
    fold_N = np.array([fold_of[name] for name in family_N])
    return [
        (np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold))
        for fold in np.unique(fold_N)
    ]


def main() -> None:
    arguments = parse()
    rows = read_rows(arguments.table, arguments.cache)
    unseen = arguments.unseen and read_rows(arguments.unseen, arguments.cache)
    written: list[dict[str, Any]] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        if unseen:
            both = _joined(rows, unseen)
            known = len(rows.top1_N)
            parts = [(np.arange(known), np.arange(known, len(both.top1_N)))]
        else:
            both, parts = rows, folds(rows.family_N, arguments.folds, seed)
        found: dict[str, np.ndarray] = {}
        choices = []
        for learnt, asked in parts:
            told = predicted(both, learnt, asked, seed)
            choices.append(told.pop("choice"))
            for name, values in told.items():
                found.setdefault(name, np.full(len(both.top1_N), np.nan))[asked] = values
        asked = np.concatenate([asked for _, asked in parts])
        written += _figures(found, both.top1_N, asked, choices, seed)
        record(f"timm_families_{arguments.name}", written)
        print(f"seed {seed}: {', '.join(sorted(set(choices)))}", flush=True)
    for name in dict.fromkeys(row["method"] for row in written):
        chosen = [row for row in written if row["method"] == name]
        print(f"{name:52}", end="")
        for figure in ("spearman", "kendall_tau", "mean_error"):
            values = [float(row[figure]) for row in chosen if row[figure]]
            text = f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "-"
            print(f"{text:>18}", end="")
        print()


def _figures(
    found: Mapping[str, np.ndarray],
    top1_N: np.ndarray,
    asked: np.ndarray,
    choices: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    rows = []
    for name, values in found.items():
        off = np.abs(values[asked] - top1_N[asked]).mean()
        rows.append(
            {
                "method": name,
                "seed": seed,
                "tested": len(asked),
                "spearman": f"{spearman(values[asked], top1_N[asked]):.5g}",
                "kendall_tau": f"{kendall_tau(values[asked], top1_N[asked]):.5g}",
                "mean_error": "" if name in COUNTS else f"{off:.5g}",
                "choices": "; ".join(choices) if name == "chosen" else "",
            }
        )
    return rows


def _joined(first: Rows, second: Rows) -> Rows:
    parts = {
        name: np.concatenate([values, second.parts[name]]) for name, values in first.parts.items()
    }
    return Rows(
        parts,
        [*first.words, *second.words],
        np.concatenate([first.top1_N, second.top1_N]),
        np.concatenate([first.family_N, second.family_N]),
        {name: np.concatenate([first.counts[name], second.counts[name]]) for name in COUNTS},
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="a CSV of timm's results, gzipped")
    parser.add_argument("cache", type=Path, help="the folder for what was read")
    parser.add_argument("--folds", type=int, default=5, help="0 holds out each family in turn")
    parser.add_argument("--unseen", type=Path, help="a CSV of other families, which is predicted")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--name", default="folds", help="of the CSV")
    return parser.parse_args()


if __name__ == "__main__":
    main()
