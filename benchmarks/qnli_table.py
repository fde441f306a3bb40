"""Turns FlexiBERT's measured small transformers into a table that searches can look up.

    python benchmarks/qnli_table.py flexibert_qnli.json.gz qnli.npz

The input is a JSON list of {"model": {l, a, h, s, f}, "qnli": accuracy}: layers, attention heads,
hidden sizes, similarities, feed-forward sizes. The table has the columns that the space
`flexibert_qnli` reads, and `qnli`.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy

from spaces.flexibert.qnli import DESIGN, SIMILARITIES


def read_qnli(path: Path) -> dict[str, numpy.ndarray]:
    """The table's columns, for N transformers.

    `layers` and `qnli` are (N,). `heads`, `hidden`, `similarity` and `feed_forward` are (N, 4),
    with 0 for the layers that a transformer does not have.

    Raises:
        ValueError: a model's lists are not as long as it has layers.
    """
    with gzip.open(path, "rt") as file:
        measured = json.load(file)
    most = max(DESIGN.layers)
    columns = {
        "layers": numpy.array([item["model"]["l"] for item in measured]),
        "qnli": numpy.array([item["qnli"] for item in measured]),
    }
    lists = {"heads": "a", "hidden": "h", "similarity": "s", "feed_forward": "f"}
    for name, short in lists.items():
        columns[name] = numpy.zeros((len(measured), most), dtype=numpy.int64)
        for row, item in enumerate(measured):
            values = item["model"][short]
            if len(values) != item["model"]["l"]:
                raise ValueError(
                    f"the model {row} of {path} has {item['model']['l']} layers, "
                    f"and {len(values)} in {short!r}"
                )
            if short == "s":
                values = [SIMILARITIES.index(value) for value in values]
            columns[name][row, : len(values)] = values
    return columns


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    columns = read_qnli(arguments.source)
    numpy.savez_compressed(arguments.target, **columns)  # pyright: ignore[reportArgumentType]
    print(f"{arguments.target}: {len(columns['qnli'])} transformers")


if __name__ == "__main__":
    main()
