"""Trains the prior: an expert for each column of the published tables.

An expert of costs is a forest. One of scores is a forest and the heads of graph networks, which
learn all columns of a table together.

    python benchmarks/pretrain.py ../shared/data CACHE OUT [--without TABLE ...] \\
        [--experts SPACE:FILE.npz:COLUMN ...]

`CACHE` keeps the tables as they were read (see `known_tables.py`), and each forest and network when
it is trained, so an interrupted run goes on where it was. `OUT` gets the prior, for
`predictor: {name: quick, prior: OUT}`; its card says what was asked for. Without `--without`, and
with the folder `predictors/prior/shipped` as `OUT`, this makes what is shipped.

`--experts` adds columns of other tables, such as `nasbench_mr:nasbench_mr.npz:seg_4x`. Those of
costs end in `:cost`. `FILE.npz+FILE.npz` joins files with the same rows. What may not be shipped is
for benchmarks only.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.known_tables import TABLES, Column, KnownTable, column_of, rows_table, table
from benchmarks.record import commit
from predictors.learners.forest import Forest
from predictors.prior.experts import Expert, Prior
from predictors.prior.graph_networks import GraphNetworks
from predictors.prior.growing import expert_forest, expert_of, joined, settings_of_trees
from predictors.prior.networks import WHOLE, Networks, whole_numbers
from predictors.prior.stored import rounded_network, save_prior

SEED = 20261130
# The graph networks of each table of scores, how much they count beside the forest and how that
# fades (chosen by benchmarks/heads.py).
NETWORKS, SHARE, FADE = 2, 0.4, 1.5
# How they are trained (`Training`), and their sizes (`pretrain`). The key of a kept network has all
# of it, so nothing is left to a default.
TRAINING = {
    "graphs": 900,
    "passes": 1,
    "batch_size": 10,
    "learning_rate": 2e-3,
    "weight_decay": 3e-2,
    "hidden": 0.3,
}
NETWORK = {"width": 24, "layers": 3, "each": 6}


def key_of(arrays: Iterable[np.ndarray], *settings: object) -> str:
    """A short digest of these arrays, in this order, and of the settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def grown(known: KnownTable, column: str, whole_MW: np.ndarray, cache: Path) -> Forest:
    """The expert's forest, from the cache if it was grown before from the same numbers."""
    label_M = known.labels[column]
    held_M = np.isfinite(label_M)
    settings = settings_of_trees(int(held_M.sum()), cost=known.cost)
    key = key_of([whole_MW, label_M], settings, SEED)
    path = cache / f"expert_{known.name}_{column}_{key}.npz"
    if not path.is_file():
        forest = expert_forest(whole_MW[held_M], label_M[held_M], cost=known.cost, seed=SEED)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(
            part, **{item.name: getattr(forest, item.name) for item in fields(Forest)}
        )
        part.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        return Forest(**{item.name: kept[item.name] for item in fields(Forest)})


def trained(
    known: KnownTable, columns: Sequence[str], seed: int, cache: Path
) -> dict[str, np.ndarray]:
    """A graph network with a head for each column, from the cache if it was trained before."""
    label_NC = np.column_stack([known.labels[column] for column in columns])
    arrays = [getattr(known.networks, item.name) for item in fields(Networks)]
    key = key_of([*arrays, label_NC], TRAINING, NETWORK, SEED + seed)
    path = cache / f"network_{known.name}_{columns[0]}_{key}.npz"
    if not path.is_file():
        from predictors.prior.encoder_training import Training, pretrain

        tables = [(known.networks, label_N) for label_N in label_NC.T]
        network = pretrain(tables, Training(**TRAINING), SEED + seed, **NETWORK)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **rounded_network(network.arrays()))
        part.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def pretrained(
    data: Path,
    cache: Path,
    asked: Sequence[tuple[str, str | None]],
    columns: Sequence[Column] = (),
    share: float = SHARE,
    fade: float = FADE,
) -> Prior:
    """The prior of these tables; a column, or all of them where it is None; and of more columns."""
    experts: list[Expert] = []
    forests: list[Forest] = []
    centers: list[np.ndarray] = []
    members: list[dict[str, np.ndarray]] = []
    shares: list[tuple[int, float]] = []
    samples: dict[str, np.ndarray] = {}
    reads: list[tuple[str, str | None, Callable[[], KnownTable]]] = [
        *((name, only, partial(table, name, data, cache)) for name, only in asked),
        *((column.table, column.name, partial(rows_table, column, cache)) for column in columns),
    ]
    for name, only, read in reads:
        began = time.perf_counter()
        known = read()
        whole_MW = whole_numbers(known.networks)
        samples[name] = np.random.default_rng(SEED).permutation(whole_MW)[:600]
        asked_for = list(known.labels) if only is None else [only]
        if not known.cost:
            heads = [len(experts) + place for place in range(len(asked_for))]
            members += [trained(known, asked_for, seed, cache) for seed in range(NETWORKS)]
            shares += [(expert, share / NETWORKS) for expert in heads * NETWORKS]
        for column in asked_for:
            held_M = np.isfinite(known.labels[column])
            label_N = known.labels[column][held_M]
            experts.append(expert_of(name, column, label_N, cost=known.cost))
            forests.append(grown(known, column, whole_MW, cache))
            centers.append(whole_MW[held_M].mean(0))
        print(f"{name:20} {time.perf_counter() - began:5.0f} s", flush=True)
    spread_W = np.concatenate(list(samples.values())).std(0) + 1e-6
    assert len(spread_W) == len(WHOLE)
    share_GK = np.zeros((len(shares), len(experts)))
    for head, (expert, share) in enumerate(shares):
        share_GK[head, expert] = share
    return Prior(
        tuple(experts),
        joined(forests),
        np.stack(centers).astype(np.float32).astype(np.float64),
        spread_W.astype(np.float32).astype(np.float64),
        GraphNetworks(tuple(members)),
        share_GK.astype(np.float32).astype(np.float64),
        fade,
    )


def shippable() -> list[str]:
    """The tables whose licence allows that weights trained on them are shipped."""
    return [name for name, (_, _, may_be) in TABLES.items() if may_be]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of the tables")
    parser.add_argument("cache", type=Path, help="the folder for what was read and grown")
    parser.add_argument("out", type=Path, help="the folder for the prior")
    parser.add_argument("--without", nargs="*", default=[], help="tables that are left out")
    parser.add_argument("--only", nargs="*", default=[], help="no others than these tables")
    parser.add_argument(
        "--experts",
        nargs="*",
        type=column_of,
        default=[],
        metavar="SPACE:FILE.npz:COLUMN[:cost]",
        help="columns of further tables",
    )
    parser.add_argument("--share", type=float, default=SHARE, help="of the graph networks")
    parser.add_argument("--fade", type=float, default=FADE, help="of the graph networks")
    arguments = parser.parse_args()
    left_out = set(arguments.without)
    unknown = (left_out | set(arguments.only)) - set(TABLES)
    if unknown:
        raise SystemExit(f"no table is called {', '.join(sorted(unknown))}; {', '.join(TABLES)}")
    asked = [
        (name, None)
        for name in shippable()
        if name not in left_out and (not arguments.only or name in arguments.only)
    ]
    prior = pretrained(
        arguments.data,
        arguments.cache,
        asked,
        arguments.experts,
        arguments.share,
        arguments.fade,
    )
    card = {
        "without": sorted(left_out),
        "only": sorted(arguments.only),
        "further": [str(column) for column in arguments.experts],
        "share": arguments.share,
        "fade": arguments.fade,
        "commit": commit(),
        "seed": SEED,
    }
    save_prior(prior, arguments.out, card)
    size = sum(path.stat().st_size for path in arguments.out.iterdir())
    print(
        f"{arguments.out}: {len(prior.experts)} experts, {len(prior.networks.members)} graph "
        f"networks, {size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
