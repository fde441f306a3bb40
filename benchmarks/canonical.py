"""How many classes of isomorphic networks the canonical key finds in two tables, and how fast.

    python benchmarks/canonical.py ../shared/data

The argument is a folder with nasbench201.npz and nasbench101.npz. Pairs of cells are also compared
by networkx, which must agree with the keys.

Expected: NAS-Bench-201's 15,625 cells fall into 5,425 classes; the 80,001 cells of NAS-Bench-101
are all distinct, as its authors published them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

import networkx
import numpy

from spaces import Graph, SearchSpace, nasbench101, nasbench201
from spaces.canonical import canonical_key, simplify
from spaces.operators import sample_graph

CHECKED = 3000


def main(folder: Path) -> None:
    for space, columns in (
        (nasbench201.space, ("arch",)),
        (nasbench101.space, ("adj_bits", "ops", "n_vertices")),
    ):
        table = numpy.load(folder / f"{space.name}.npz", allow_pickle=False)
        report(space, {name: table[name] for name in columns})


def report(space: SearchSpace, columns: Mapping[str, numpy.ndarray]) -> None:
    assert space.rows is not None
    cells = [space.graph(architecture) for architecture in space.rows(columns)]
    started = time.perf_counter()
    keys = [canonical_key(cell) for cell in cells]
    cell_time = (time.perf_counter() - started) / len(cells)
    random = Random(0)
    networks = [space.network_graph(sample_graph(space, random)[1]) for _ in range(50)]
    started = time.perf_counter()
    for network in networks:
        canonical_key(network)
    network_time = (time.perf_counter() - started) / len(networks)
    nodes = sum(len(network.nodes) for network in networks) / len(networks)
    print(
        f"{space.name}: {len(set(keys)):,} classes among {len(cells):,} cells; "
        f"{cell_time * 1e6:.0f} µs a cell"
    )
    print(f"  whole networks, {nodes:.0f} nodes in the mean: {network_time * 1e3:.2f} ms each")
    same, different, wrong = agreement(cells, keys, random)
    print(f"  networkx on {same:,} pairs of one key and {different:,} of two: {wrong} disagree")


def agreement(cells: list[Graph], keys: list[str], random: Random) -> tuple[int, int, int]:
    """How many pairs have one key, how many have two, and on how many networkx disagrees.

    The pairs are as hard as possible: cells of one key, and cells with the same operations and
    equally many edges.
    """
    by_key: dict[str, list[Graph]] = {}
    alike: dict[tuple, list[tuple[str, Graph]]] = {}
    for cell, key in zip(cells, keys, strict=True):
        small = simplify(cell)
        by_key.setdefault(key, []).append(small)
        alike.setdefault((tuple(sorted(map(str, small.nodes))), len(small.edges)), []).append(
            (key, small)
        )
    duplicates = [group for group in by_key.values() if len(group) > 1]
    rivals = [group for group in alike.values() if len(group) > 1]
    same = different = wrong = 0
    for _ in range(CHECKED if duplicates else 0):
        same += 1
        wrong += not isomorphic(*random.sample(random.choice(duplicates), 2))
    for _ in range(CHECKED):
        (first_key, first), (second_key, second) = random.sample(random.choice(rivals), 2)
        different += first_key != second_key
        same += first_key == second_key
        wrong += (first_key == second_key) != isomorphic(first, second)
    return same, different, wrong


def isomorphic(first: Graph, second: Graph) -> bool:
    return networkx.is_isomorphic(
        first.to_networkx(),
        second.to_networkx(),
        node_match=lambda one, other: one == other,
        edge_match=lambda one, other: (
            sorted(edge["slot"] for edge in one.values())
            == sorted(edge["slot"] for edge in other.values())
        ),
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/canonical.py FOLDER_OF_TABLES")
    main(Path(sys.argv[1]))
