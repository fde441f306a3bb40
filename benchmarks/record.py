"""Writes the rows of a benchmark to a CSV under benchmarks/results, with commit and machine."""

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
    """Writes `results/NAME.csv`, over an older one; every row gets the commit and the machine."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    stamp = {"commit": commit(), "machine": machine}
    stamped = [{**row, **stamp} for row in rows]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(stamped[0]))
        writer.writeheader()
        writer.writerows(stamped)
    return path


def commit() -> str:
    """The short hash of the commit, with a plus if the tree differs from it; or `unknown`."""
    try:
        short = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return short.strip() + ("+" if changed.strip() else "")


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def spread(values: list[float]) -> str:
    """The median with the quartiles, as text; a single value alone."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} [{low:.3f}, {high:.3f}]"
