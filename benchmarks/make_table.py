"""Writes the NAS-Bench-201 table that the package contains.

    python benchmarks/make_table.py nasbench201.npz [nas/data/nasbench201.npz]

The input has a row for each of the 15,625 cells in the official order. nas/data/README.md describes
the columns.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy

COLUMNS = (
    "arch",
    *(
        f"{data}_{split}_{epochs}"
        for data in ("c10", "c100")
        for epochs in (12, 200)
        for split in ("val", "test")
    ),
    *(f"{data}_{name}" for data in ("c10", "c100") for name in ("epoch_seconds", "params")),
)
ROWS = 15_625
LARGEST = 1_000_000


def write_table(source: Path, target: Path) -> int:
    """The size in bytes of the table written.

    Raises:
        ValueError: the source lacks a column or a cell, or the table is too large for the package.
    """
    with numpy.load(source, allow_pickle=False) as table:
        missing = [name for name in COLUMNS if name not in table.files]
        if missing:
            raise ValueError(
                f"{source} has no column {', '.join(missing)}; it has {', '.join(table.files)}"
            )
        columns = {name: table[name] for name in COLUMNS}
    cells = len(numpy.unique(columns["arch"], axis=0))
    if cells != ROWS or columns["arch"].shape != (ROWS, 6):
        raise ValueError(
            f"{source} should hold {ROWS} different cells of six operations; it holds {cells} in "
            f"{columns['arch'].shape}"
        )
    numpy.savez_compressed(target, **columns)
    size = target.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{target} takes {size} bytes, more than {LARGEST}: leave out columns")
    return size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument(
        "target",
        type=Path,
        nargs="?",
        default=Path(__file__).resolve().parents[1] / "nas" / "data" / "nasbench201.npz",
    )
    arguments = parser.parse_args()
    print(f"{arguments.target}: {write_table(arguments.source, arguments.target)} bytes")


if __name__ == "__main__":
    main()
