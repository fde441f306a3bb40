"""Rewrites the tables of README.md and docs/predictors.md from `results/predictors_*.csv`.

    python benchmarks/predictor_tables.py

A table is between `<!-- table NAME FIGURE -->` and `<!-- end -->`. It has a row for each method and
a column for each number of labels; an entry is the figure's mean and standard deviation over the
splits.
"""

from __future__ import annotations

import csv
import re
import statistics
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PAGES = ("README.md", "docs/predictors.md")
MARK = re.compile(r"(<!-- table (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHOWN = {
    "multiply_adds": "multiply-adds",
    "extra_trees": "extra trees",
    "trees": "boosted trees",
    "gp": "Gaussian process",
    "gnn": "graph network",
    "auto": "**auto, the default**",
}


def table(name: str, figure: str) -> str:
    """The table of one figure of one CSV, in Markdown."""
    with (RESULTS / f"predictors_{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    sizes.sort(key=lambda size: int(size) if size.isdigit() else 0)
    heads = [f"{size} labels" if size.isdigit() else size for size in sizes]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(sizes)]
    for method in methods:
        cells = []
        for size in sizes:
            values = [
                float(row[figure])
                for row in rows
                if row["method"] == method and row["size"] == size and row[figure]
            ]
            cell = ""
            if len(values) > 1:
                cell = f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
            cells.append(cell)
        if any(cells):
            lines.append(f"| {SHOWN.get(method, method)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    root = Path(__file__).parent.parent
    for page in PAGES:
        old = (root / page).read_text(encoding="utf-8")
        new = MARK.sub(lambda found: found[1] + table(found[2], found[3]) + found[4], old)
        (root / page).write_text(new, encoding="utf-8")
        print(page)


if __name__ == "__main__":
    main()
