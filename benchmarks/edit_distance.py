"""How long edit distances between transformers take, and how close they are to the exact ones.

    python benchmarks/edit_distance.py

Four things are measured:

- the time for 1,000 random pairs of four-layer transformers of the space `flexibert`;
- on these pairs, the ratio of the distance found to the lower bound, and the ratio of the node
  costs of an alignment of layers to the distance found;
- networkx on some of these pairs: the distance and the time of its first approximation;
- on transformers of one layer, the distance found against networkx' exact distance, without the
  exhaustive search that small graphs get otherwise.

With another `--space` its transformers have any number of layers, and no alignment is computed.
Writes `results/edit_distance.csv`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import networkx
import numpy as np

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.record import record, spread
from predictors.edits import distance as edit_distance
from predictors.edits.costs import EditCosts, suggest_costs, transformer_costs
from predictors.edits.distance import edit_distances, lower_bounds
from spaces import Graph, SearchSpace
from spaces.flexibert import flexibert
from spaces.flexibert.named import PAPER
from spaces.graph import Node
from spaces.load import load_space
from spaces.operators import fix, sample_graph

# Seconds for one exact distance by networkx; pairs that take longer are left out.
PATIENCE = 20.0


def draw(space: SearchSpace, count: int, seed: int) -> list[Graph]:
    random = Random(seed)
    return [sample_graph(space, random)[1] for _ in range(count)]


def aligned(first: Graph, second: Graph, place: dict[Node, float]) -> float:
    """The node costs of the cheapest edit that maps layers to layers in their order.

    Within a layer the heads are matched as sets, and the feed-forward layers as chains.
    """
    ours, theirs = (_layers(graph, place) for graph in (first, second))
    whole = [
        [sum(heads) + sum(chain) + 2 * place[Node("add_norm")] for heads, chain in layers]
        for layers in (ours, theirs)
    ]
    each = [
        [
            _sets(a[0], b[0]) + _chains(a[1], b[1], a[1], b[1], _differences(a[1], b[1]))
            for b in theirs
        ]
        for a in ours
    ]
    return _chains(ours, theirs, whole[0], whole[1], each)


def _chains(
    first: Sequence[Any],
    second: Sequence[Any],
    ours: Sequence[float],
    theirs: Sequence[float],
    each: Sequence[Sequence[float]],
) -> float:
    """The cost of the cheapest alignment of two chains.

    Args:
        first: the links of the one chain.
        second: the links of the other chain.
        ours: the cost of each link of `first` without a partner.
        theirs: the cost of each link of `second` without a partner.
        each: the cost of each pair of links as partners.
    """
    cost = np.zeros((len(first) + 1, len(second) + 1))
    cost[1:, 0], cost[0, 1:] = np.cumsum(ours), np.cumsum(theirs)
    for i in range(len(first)):
        for j in range(len(second)):
            cost[i + 1, j + 1] = min(
                cost[i, j + 1] + ours[i], cost[i + 1, j] + theirs[j], cost[i, j] + each[i][j]
            )
    return float(cost[-1, -1])


def _sets(first: Sequence[float], second: Sequence[float]) -> float:
    size = max(len(first), len(second))
    ours, theirs = (sorted([*values, *[0.0] * (size - len(values))]) for values in (first, second))
    return float(sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)))


def _differences(first: Sequence[float], second: Sequence[float]) -> list[list[float]]:
    return [[abs(a - b) for b in second] for a in first]


def _layers(graph: Graph, place: dict[Node, float]) -> list[tuple[list[float], list[float]]]:
    runs: list[list[float]] = [[]]
    for node in graph.nodes[1:-1]:
        if node.op == "add_norm":
            runs.append([])
        else:
            costs = (
                cost
                for label, cost in place.items()
                if label.op == node.op and set(label.attributes) <= set(node.attributes)
            )
            runs[-1].append(next(costs))
    return list(zip(runs[:-1:2], runs[1::2], strict=True))


def in_networkx(graph: Graph, costs: EditCosts) -> networkx.DiGraph:
    result = networkx.DiGraph([(edge.source, edge.target) for edge in graph.edges])
    for number, label in enumerate(costs.rows(graph.nodes).tolist()):
        result.add_node(number, label=label)
    return result


def prices(costs: EditCosts) -> dict[str, Any]:
    return {
        "node_subst_cost": lambda first, second: costs.change[first["label"]][second["label"]],
        "node_del_cost": lambda of: costs.node[of["label"]],
        "node_ins_cost": lambda of: costs.node[of["label"]],
        "edge_del_cost": lambda _: costs.edge,
        "edge_ins_cost": lambda _: costs.edge,
    }


def four_layers(space: SearchSpace, count: int, few: int, seed: int) -> dict[str, Any]:
    """Time and bounds on random pairs, and networkx' first approximation on some of them."""
    paper = space.name == "flexibert"
    graphs = draw(fix(space, {"layers": 4}) if paper else space, 2 * count, seed)
    pair_P2, costs = np.arange(2 * count).reshape(-1, 2), suggest_costs(graphs)
    started, worked = time.perf_counter(), time.process_time()
    found_P = edit_distances(graphs, pair_P2, costs)
    row = {
        "pairs": count,
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - worked,
    }
    row["over_lower_bound"] = found_P.sum() / lower_bounds(graphs, pair_P2, costs).sum()
    if paper:
        place = dict(zip(costs.labels, costs.node, strict=True))
        row["aligned_layers_over_found"] = (
            np.mean([aligned(graphs[i], graphs[j], place) for i, j in pair_P2]) / found_P.mean()
        )
    networks = [in_networkx(graph, costs) for graph in graphs[: 2 * few]]
    worked = time.process_time()
    approximations = [
        networkx.optimize_graph_edit_distance(first, second, **prices(costs))
        for first, second in zip(networks[::2], networks[1::2], strict=True)
    ]
    theirs = [next(approximation) for approximation in approximations]
    row["networkx_first_seconds_per_1000"] = (time.process_time() - worked) / few * 1000
    row["networkx_first_over_found"] = np.sum(theirs) / found_P[:few].sum()
    row["networkx_first_below_found"] = int((np.array(theirs) < found_P[:few] - 1e-3).sum())
    return row


def against_exact(count: int, seed: int) -> dict[str, Any]:
    """The search against networkx on transformers of one layer, 7 to 11 nodes."""
    graphs = draw(flexibert("one_layer", replace(PAPER, layers=(1,))), 2 * count, seed)
    pair_P2, costs = np.arange(2 * count).reshape(-1, 2), transformer_costs(graphs)
    whole, edit_distance.SMALLEST = edit_distance.SMALLEST, 0
    found_P = edit_distances(graphs, pair_P2, costs)
    edit_distance.SMALLEST = whole
    exact_P, seconds = np.full(count, np.nan), []
    for pair, (first, second) in enumerate(pair_P2.tolist()):
        started = time.perf_counter()
        exact = networkx.graph_edit_distance(
            in_networkx(graphs[first], costs),
            in_networkx(graphs[second], costs),
            **prices(costs),
            timeout=PATIENCE,
        )
        seconds.append(time.perf_counter() - started)
        if seconds[-1] < PATIENCE:
            exact_P[pair] = exact
    known = np.isfinite(exact_P)
    equal = np.abs(found_P - exact_P)[known] < 1e-3
    return {
        "exact_pairs": int(known.sum()),
        "found_over_exact": found_P[known].sum() / exact_P[known].sum(),
        "found_equal_exact": float(equal.mean()),
        "found_below_exact": int((found_P < exact_P - 1e-3)[known].sum()),
        "networkx_exact_seconds": spread(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="flexibert", help="as a configuration names it")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--networkx-pairs", type=int, default=20)
    parser.add_argument("--exact-pairs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    space, rows = load_space(arguments.space), []
    for seed in range(arguments.seeds):
        timed = four_layers(space, arguments.pairs, arguments.networkx_pairs, seed)
        exact = against_exact(arguments.exact_pairs, seed)
        rows.append({"space": space.name, "seed": seed, **timed, **exact})
        for name, value in rows[-1].items():
            print(name, f"{value:.3f}" if isinstance(value, float) else value)
        print()
    print(record("edit_distance", rows))


if __name__ == "__main__":
    main()
