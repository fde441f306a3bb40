"""Keeps what a benchmark measured: a CSV under benchmarks/results, each row with the commit it was
measured at.
"""

from __future__ import annotations

import csv
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Writes `results/name.csv` anew."""
    stamped = [
        {
            **row,
            "commit": commit(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }
        for row in rows
    ]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(stamped[0]))
        writer.writeheader()
        writer.writerows(stamped)
    return path


def commit() -> str:
    """The short hash of the commit; with a plus where the tree differs from it."""
    folder = Path(__file__).parent
    try:
        short = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", ":!results"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return short + ("+" if changed.strip() else "")


def spread(values: list[float]) -> str:
    """Median with the quartiles, as text."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"
