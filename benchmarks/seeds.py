"""Runs every seed of every strategy in parallel processes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

Row = dict[str, Any]


def each_seed(
    one: Callable[[tuple[argparse.Namespace, str, int]], Row], arguments: argparse.Namespace
) -> list[Row]:
    """The rows of all strategies and seeds, ordered by strategy, then by seed.

    After an interrupt only the rows of the seeds that are complete are returned.

    Args:
        one: makes the row of a strategy and a seed.
        arguments: the command's: `strategies`, the number of `seeds` from `first_seed` on, and
            `workers`, the number of processes.
    """
    names = arguments.strategies
    jobs = [
        (arguments, name, arguments.first_seed + seed)
        for seed in range(arguments.seeds)
        for name in names
    ]
    rows: list[Row] = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        try:
            for row in pool.map(one, jobs):
                rows.append(row)
                print(f"\r{len(rows)}/{len(jobs)} searches", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    seeds = len(rows) // len(names)
    print(f"\n{seeds} seeds", file=sys.stderr)
    if not seeds:
        raise SystemExit("no seed was finished, so nothing is written")
    return [rows[seed * len(names) + place] for place in range(len(names)) for seed in range(seeds)]
