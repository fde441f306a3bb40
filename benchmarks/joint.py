"""How much of the exact front strategies find that choose a transformer and its device together.

    python benchmarks/edgetran_table.py --joint edgetran_hardware.json.gz edgetran_joint.npz
    python benchmarks/joint.py --table edgetran_joint.npz --seeds 20 --budget 100 \
        --strategies random,nsga2,surrogate:predictor=gp:candidates=200

This is BOSHCODE's task, on latency, energy and peak power of EdgeTran's measured transformers on
three devices. The space is `flexibert2_on_devices`, restricted to the 566 pairs that were measured:
each question offers the answers of the pairs that are left, and `random` draws every pair with the
same probability.

The objectives are the decimal logarithms of the three measures, all minimised; between the devices
the measures span up to four orders of magnitude. The score of an evaluation is `frugality` (see
`edgetran_table.py`).

The evaluated pairs are judged by their hypervolume, as a share of the exact front's. The reference
point is the exact front's worst values, extended by a tenth of the front's range. Writes
`results/joint.csv`, or another CSV by `--name`, a row for each strategy and seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record, spread
from benchmarks.search import searched
from benchmarks.seeds import each_seed
from nas.config.sections import RunConfig
from nas.config.strategy import strategy_of
from nas.objectives.objective import Objective
from nas.objectives.pareto import front, hypervolume
from nas.strategies import STRATEGIES, Strategy
from nas.tasks.arrays import read_npz
from spaces import Architecture, SearchSpace
from spaces.flexibert.edgetran import DEVICES, on_devices
from spaces.operators import only

MARKS = (16, 32, 64, 100)
OBJECTIVES = tuple(
    Objective(name, "minimise") for name in ("log_latency", "log_energy", "log_peak_power")
)


@dataclass(frozen=True, eq=False)
class Joint:
    """N measurements, one of each pair of a transformer and a device.

    Attributes:
        space: restricted to these pairs.
        rows: the row of each architecture.
        objective_N: the score, higher is better.
        costs_N3: the objectives, lower is better.
    """

    space: SearchSpace
    rows: dict[Architecture, int]
    objective_N: np.ndarray
    costs_N3: np.ndarray

    def row(self, architecture: Architecture) -> int:
        """The row of the architecture."""
        return self.rows[architecture]

    def metrics(self, row: int) -> tuple[tuple[str, float], ...]:
        """The objectives by name."""
        names = [objective.name for objective in OBJECTIVES]
        return tuple(zip(names, self.costs_N3[row].tolist(), strict=True))

    @cached_property
    def on_front(self) -> np.ndarray:
        """Which rows are on the exact front."""
        return front(-self.costs_N3)

    @cached_property
    def reference_3(self) -> np.ndarray:
        """The reference point of the hypervolume, of the negated costs."""
        points_M3 = -self.costs_N3[self.on_front]
        return points_M3.min(0) - 0.1 * np.ptp(points_M3, axis=0)

    def share(self, rows: list[int]) -> float:
        """The hypervolume of these rows, as a share of the exact front's."""
        reached = hypervolume(-self.costs_N3[rows], self.reference_3)
        return reached / hypervolume(-self.costs_N3[self.on_front], self.reference_3)


@lru_cache(maxsize=1)
def read(path: Path) -> Joint:
    columns = read_npz(path)
    assert on_devices.rows is not None
    architectures = on_devices.rows(columns)
    rows = {architecture: row for row, architecture in enumerate(architectures)}
    costs = np.stack([columns[objective.name] for objective in OBJECTIVES], axis=1)
    return Joint(only(on_devices, architectures), rows, columns["frugality"], costs)


def strategy_named(text: str, table: Path) -> Strategy:
    """The strategy of `name:setting=value:...`, checked as in a configuration."""
    name, *given = text.split(":")
    settings = {
        key: yaml.safe_load(value)
        for key, _, value in (setting.partition("=") for setting in given)
    }
    config: dict[str, Any] = {
        "space": on_devices.name,
        "evaluator": {
            "name": "table",
            "path": str(table),
            "score": "frugality",
            "metrics": {each.name: each.name for each in OBJECTIVES},
        },
        "predictor": {"name": settings.pop("predictor", "quick")},
        "strategy": {"name": name, **settings},
    }
    if "objectives" in getattr(STRATEGIES.get(name), "__dataclass_fields__", ()):
        config["objectives"] = [asdict(objective) for objective in OBJECTIVES]
    return strategy_of(RunConfig.model_validate(config))


def one(job: tuple[argparse.Namespace, str, int]) -> dict[str, Any]:
    """One seed of one strategy."""
    arguments, text, seed = job
    joint, started = read(arguments.table), time.perf_counter()
    strategy = strategy_named(text, arguments.table)
    found = searched(joint, strategy, arguments.budget, arguments.batch, seed)[1]
    marks = [mark for mark in MARKS if mark <= len(found)]
    return {
        "strategy": text,
        "seed": seed,
        "evaluated": len(found),
        **{f"hypervolume_{mark}": f"{joint.share(found[:mark]):.5f}" for mark in marks},
        "on_front": int(joint.on_front[found].sum()),
        "seconds": f"{time.perf_counter() - started:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument(
        "--strategies",
        type=lambda text: text.split(","),
        default=["random", "nsga2", "surrogate:predictor=gp:candidates=200"],
    )
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--first-seed", type=int, default=1000, help="reporting seeds; tune on others"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--name", default="joint", help="of the CSV")
    arguments = parser.parse_args()
    joint = read(arguments.table)
    chosen = [
        architecture.decisions[0][1]
        for architecture, row in joint.rows.items()
        if joint.on_front[row]
    ]
    print(
        f"{len(joint.rows)} measurements; on the exact front {len(chosen)}:",
        *(f"{chosen.count(device)} on {device}" for device in DEVICES),
    )
    rows = each_seed(one, arguments)
    for text in arguments.strategies:
        own = [row for row in rows if row["strategy"] == text]
        shown = "   ".join(
            f"{mark}: {spread([float(row[f'hypervolume_{mark}']) for row in own])}"
            for mark in MARKS
            if f"hypervolume_{mark}" in own[0]
        )
        on_front = np.mean([row["on_front"] for row in own])
        seconds = np.mean([float(row["seconds"]) for row in own])
        print(f"{text:24} {shown}   on the front {on_front:.1f}, {seconds:.1f} s")
    print("written:", record(arguments.name, rows))


if __name__ == "__main__":
    main()
