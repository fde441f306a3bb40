"""Turns EdgeTran's measured transformers into a table that searches can look up.

    python benchmarks/edgetran_table.py edgetran_hardware.json.gz edgetran.npz
    python benchmarks/edgetran_table.py --joint edgetran_hardware.json.gz edgetran_joint.npz

The input is a JSON list of {"model": {l, o, h, f}, device, latency, energy, peak_power}. The model
has its number of layers, each layer's heads (operation, parameter, head size), hidden sizes and
feed-forward sizes; the measurements are in seconds, joules and watts.

The table has a row for each transformer, with the columns that the space `flexibert2` reads. For
each device it has `latency_DEVICE`, `energy_DEVICE` and `peak_power_DEVICE`, which are NaN if the
transformer was not measured on that device.

With `--joint` it has a row for each transformer on each device that it was measured on, for the
space `flexibert2_on_devices`: `device` (an index into `DEVICES`), `latency`, `energy`,
`peak_power`, their decimal logarithms `log_latency`, ..., and `frugality`. The last is EdgeTran's
weighted sum without the accuracy, which was not measured: 0.4 (1 - latency / 1000 s) +
0.4 (1 - energy / 2000 J) + 0.2 (1 - peak power / 300 W).
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy

from spaces.flexibert.design import OPERATIONS
from spaces.flexibert.edgetran import DESIGN, DEVICES

MEASURES = ("latency", "energy", "peak_power")
# Weight and cap of each measure in the authors' objective, where the accuracy has the weight 0.5.
# Here the weights of the measures are scaled to a sum of 1.
WEIGHTS = {"latency": (0.2, 1000.0), "energy": (0.2, 2000.0), "peak_power": (0.1, 300.0)}


def read_edgetran(path: Path) -> dict[str, numpy.ndarray]:
    """The columns that `spaces.flexibert.edgetran.rows` reads, and three (N,) for each device.

    The transformers are in the order of their first measurement.

    Raises:
        ValueError: a model's lists are not as long as it has layers, a head's size is not the
            hidden size divided by the number of heads, or a transformer was measured twice on one
            device.
    """
    with gzip.open(path, "rt") as file:
        measured = json.load(file)
    first: dict[str, int] = {}
    row_of = [
        first.setdefault(json.dumps(item["model"], sort_keys=True), len(first)) for item in measured
    ]
    columns = _describe([json.loads(text) for text in first], path)
    for row, item in zip(row_of, measured, strict=True):
        for measure in MEASURES:
            name = f"{measure}_{item['device'].replace('-', '_')}"
            column = columns.setdefault(name, numpy.full(len(first), numpy.nan))
            if numpy.isfinite(column[row]):
                raise ValueError(
                    f"the model {item['model']} of {path} was measured twice on "
                    f"{item['device']}: keep one measurement, such as their mean"
                )
            column[row] = item[measure]
    return columns


def by_device(columns: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    """The same measurements, with a row for each transformer on each device (see `--joint`)."""
    described = [name for name in columns if not name.startswith(MEASURES)]
    parts: list[dict[str, numpy.ndarray]] = []
    for number, device in enumerate(DEVICES):
        measured = numpy.isfinite(columns[f"latency_{device}"])
        part = {name: columns[name][measured] for name in described}
        part["device"] = numpy.full(int(measured.sum()), number)
        parts.append(
            part | {measure: columns[f"{measure}_{device}"][measured] for measure in MEASURES}
        )
    joint = {name: numpy.concatenate([part[name] for part in parts]) for name in parts[0]}
    shares = sum(weight for weight, _ in WEIGHTS.values())
    joint["frugality"] = numpy.zeros(len(joint["device"]))
    for measure, (weight, cap) in WEIGHTS.items():
        joint["frugality"] += weight / shares * (1 - joint[measure] / cap)
    return joint | {f"log_{measure}": numpy.log10(joint[measure]) for measure in MEASURES}


def _describe(models: list[dict[str, Any]], path: Path) -> dict[str, numpy.ndarray]:
    count, most = len(models), max(DESIGN.layers)
    hidden = numpy.zeros((count, most), dtype=numpy.int64)
    operations = numpy.full((count, most, max(DESIGN.heads)), -1, dtype=numpy.int64)
    feed_forward = numpy.zeros((count, most, max(DESIGN.stacks)), dtype=numpy.int64)
    for row, model in enumerate(models):
        lengths = {name: len(model[name]) for name in ("o", "h", "f")}
        if set(lengths.values()) != {model["l"]}:
            raise ValueError(
                f"the model {row} of {path} has {model['l']} layers, and its lists have {lengths}"
            )
        hidden[row, : model["l"]] = model["h"]
        for layer, (heads, width, sizes) in enumerate(
            zip(model["o"], model["h"], model["f"], strict=True)
        ):
            tokens = [head.rsplit("_", 1) for head in heads]
            if any(int(head_size) != width // len(heads) for _, head_size in tokens):
                raise ValueError(
                    f"the model {row} of {path} has in layer {layer} the heads {heads}; each "
                    f"should be {width} // {len(heads)} wide"
                )
            operations[row, layer, : len(heads)] = [
                OPERATIONS.index(operation) for operation, _ in tokens
            ]
            feed_forward[row, layer, : len(sizes)] = sizes
    layers = numpy.array([model["l"] for model in models])
    return {
        "layers": layers,
        "hidden": hidden,
        "operations": operations,
        "feed_forward": feed_forward,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument(
        "--joint", action="store_true", help="a row for each transformer and device"
    )
    arguments = parser.parse_args()
    columns = read_edgetran(arguments.source)
    if arguments.joint:
        columns = by_device(columns)
        numpy.savez_compressed(arguments.target, **columns)  # pyright: ignore[reportArgumentType]
        counts = numpy.bincount(columns["device"], minlength=len(DEVICES)).tolist()
        shown = (f"{count} on {device}" for count, device in zip(counts, DEVICES, strict=True))
        print(f"{arguments.target}: {', '.join(shown)}")
        return
    numpy.savez_compressed(arguments.target, **columns)  # pyright: ignore[reportArgumentType]
    devices = {
        name.removeprefix("latency_"): int(numpy.isfinite(column).sum())
        for name, column in columns.items()
        if name.startswith("latency_")
    }
    print(
        f"{arguments.target}: {len(columns['layers'])} transformers; "
        f"{', '.join(f'{count} on {device}' for device, count in devices.items())}"
    )


if __name__ == "__main__":
    main()
