"""How much the graph networks of the prior count beside its forests, chosen on other spaces.

    python benchmarks/heads.py ../shared/data CACHE

`CACHE` is that of `known_tables.py` and `pretrain.py`. Each table of scores is ranked by the
experts of the other tables, with each share and fade of the graph networks
(`predictors.prior.experts`). Two rank correlations count alike: over all networks, and over the
best third, since a search meets mostly those. A table's settings are the best in the mean over the
*other* tables. What is shipped has the best in the mean over all of them.

Writes `results/heads.csv`, a row for each column and setting.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.known_tables import TABLES, KnownTable, table
from benchmarks.pretrain import pretrained, shippable
from benchmarks.record import record
from predictors.prior.experts import Prior
from predictors.ranking import spearman

# Shares of networks that the trees think good, and fades. A fade of 0 halves the share everywhere.
SHARES, FADES = (0.0, 0.2, 0.4, 0.6, 0.8), (0.0, 1.5, 3.0, 6.0)
SETTINGS = tuple((share, fade) for share, fade in product(SHARES, FADES) if share or not fade)
# How many networks of a table are ranked, and a seed for them.
RANKED, DRAWN = 2000, 20261201
FIGURES = ("spearman", "best third")


def figures(known: KnownTable, prior: Prior) -> list[dict]:
    """A row for each column and setting."""
    rows = []
    unit = prior.share_GK.sum(0).max()
    for column, label_N in known.labels.items():
        held = np.flatnonzero(np.isfinite(label_N))
        held = np.sort(np.random.default_rng(DRAWN).permutation(held)[:RANKED])
        row_NR, score_N = prior.heard.rows(known.networks.take(held)), label_N[held]
        good_N = score_N >= np.quantile(score_N, 2 / 3)
        for share, fade in SETTINGS:
            # Also where nothing is heard the rows keep their width.
            asked = replace(prior, share_GK=prior.share_GK * (share / unit), fade=fade)
            view = asked.view(row_NR, cost=False)
            assert view is not None, known.name
            blend_N, _ = view.opinions(row_NR)
            found = spearman(blend_N, score_N), spearman(blend_N[good_N], score_N[good_N])
            row = {"table": known.name, "column": column, "share": share, "fade": fade}
            rows.append(row | dict(zip(FIGURES, found, strict=True)))
    return rows


def mean_of(rows: Sequence[dict], tables: Sequence[str], setting: tuple[float, float]) -> list:
    """The figures of a setting: means over a table's columns, and then over the tables."""
    means = [
        [
            np.mean(
                [
                    row[figure]
                    for row in rows
                    if row["table"] == name and (row["share"], row["fade"]) == setting
                ]
            )
            for figure in FIGURES
        ]
        for name in tables
    ]
    return np.mean(means, axis=0).tolist()


def chosen(rows: Sequence[dict], tables: Sequence[str]) -> tuple[float, float]:
    """The setting that is best in the mean over these tables."""
    return max(SETTINGS, key=lambda setting: sum(mean_of(rows, tables, setting)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of the tables")
    parser.add_argument("cache", type=Path, help="the folder for what was read and grown")
    arguments = parser.parse_args()
    everything = pretrained(arguments.data, arguments.cache, [(name, None) for name in shippable()])
    rows: list[dict] = []
    for name, (_, is_cost, _) in TABLES.items():
        if not is_cost:
            known = table(name, arguments.data, arguments.cache)
            rows += figures(known, everything.without([name]))
    names = list(dict.fromkeys(row["table"] for row in rows))
    print(f"{'table':16} share fade    chosen by the others: {', '.join(FIGURES)}; forests alone")
    for name in names:
        setting = chosen(rows, [other for other in names if other != name])
        own = [*mean_of(rows, [name], setting), *mean_of(rows, [name], (0.0, 0.0))]
        print(f"{name:16} {setting[0]:5} {setting[1]:4}  ", *(f"{each:.3f}" for each in own))
    for share, fade in SETTINGS:
        each = [f"{sum(mean_of(rows, [name], (share, fade))):.3f}" for name in names]
        means = [f"{value:.3f}" for value in mean_of(rows, names, (share, fade))]
        print(f"{share:5} {fade:4}  ", *means, "|", *each)
    print("shipped:", chosen(rows, names))
    print(record("heads", rows))


if __name__ == "__main__":
    main()
