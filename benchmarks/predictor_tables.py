"""Writes the tables of README.md and docs/predictors.md anew from `results/predictors_*.csv`:
python benchmarks/predictor_tables.py

A table stands between `<!-- table NAME FIGURE -->` and `<!-- end -->`: a row for each method, a
column for each number of labels, the mean and the standard deviation of the figure over the splits.
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
}
SHOWN |= {"auto": "**auto, the default**"}


def table(name: str, figure: str) -> str:
    """The table of one figure of one CSV, in Markdown."""
    with (RESULTS / f"predictors_{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    sizes, methods = (
        list(dict.fromkeys(row["size"] for row in rows)),
        list(dict.fromkeys(row["method"] for row in rows)),
    )
    sizes.sort(key=lambda size: int(size) if size.isdigit() else 0)
    lines = [
        "| | " + " | ".join(f"{size} labels" if size.isdigit() else size for size in sizes) + " |",
        "|---|" + "---|" * len(sizes),
    ]
    for method in methods:
        cells = []
        for size in sizes:
            values = [
                float(row[figure])
                for row in rows
                if row["method"] == method and row["size"] == size and row[figure]
            ]
            cells.append(
                f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
                if len(values) > 1
                else ""
            )
        if any(cells):
            lines.append(f"| {SHOWN.get(method, method)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    root = Path(__file__).parent.parent
    for page in PAGES:
        text = (root / page).read_text(encoding="utf-8")
        (root / page).write_text(
            MARK.sub(lambda found: found[1] + table(found[2], found[3]) + found[4], text),
            encoding="utf-8",
        )
        print(page)


if __name__ == "__main__":
    main()
