"""Turns FlexiBERT's measured small transformers into a table: python benchmarks/qnli_table.py
flexibert_qnli.json.gz qnli.npz

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
    """The columns `layers` (N,), `heads`, `hidden`, `similarity`, `feed_forward` (N, 4) and `qnli`
    (N,), 0 where a transformer has fewer layers.

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
    for name, short in (
        ("heads", "a"),
        ("hidden", "h"),
        ("similarity", "s"),
        ("feed_forward", "f"),
    ):
        columns[name] = numpy.zeros((len(measured), most), dtype=numpy.int64)
        for row, item in enumerate(measured):
            values = item["model"][short]
            if len(values) != item["model"]["l"]:
                raise ValueError(
                    f"the model {row} of {path} has {item['model']['l']} layers, and "
                    f"{len(values)} in {short!r}"
                )
            columns[name][row, : len(values)] = (
                [SIMILARITIES.index(value) for value in values] if short == "s" else values
            )
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
