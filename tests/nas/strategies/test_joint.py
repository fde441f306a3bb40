"""The joint choice of transformer and device on EdgeTran's measurements, as run and benchmark."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks.edgetran_table import by_device, read_edgetran
from benchmarks.joint import OBJECTIVES, Joint, read, strategy_named
from benchmarks.search import searched
from nas.config.loading import parse_config
from nas.objectives.objective import values
from nas.objectives.pareto import front
from nas.search.run import start
from spaces.cardinality import size
from spaces.operators import sample

OWN_SPACE = """
import numpy
from spaces.flexibert.edgetran import on_devices
from spaces.operators import only

with numpy.load({path!r}) as columns:
    measured = only(on_devices, on_devices.rows(columns))
"""


@pytest.fixture
def table(shared_data, tmp_path: Path) -> Path:
    path = tmp_path / "joint.npz"
    np.savez(path, **by_device(read_edgetran(shared_data("edgetran_hardware.json.gz"))))  # pyright: ignore[reportArgumentType]
    return path


def test_a_run_chooses_the_device_and_the_transformer_among_those_measured(
    table: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(OWN_SPACE.format(path=str(table)))
    measures = ("latency", "energy", "peak_power")
    config = parse_config(
        {
            "space": f"{tmp_path / 'own.py'}:measured",
            "evaluator": {
                "name": "table",
                "path": str(table),
                "score": "frugality",
                "metrics": {name: name for name in measures},
            },
            "objectives": [{"name": name, "goal": "minimise"} for name in measures],
            "strategy": {"name": "nsga2", "population": 8},
            "budget": 24,
            "batch": 8,
            "baseline": "none",
            "finalists": {"count": 0},
            "executor": "inline",
        },
        "a test",
    )
    history = start(config, tmp_path / "run", lambda history, events: None)
    assert len(history.observed) == 24
    assert len(history.failed) == 0
    assert len({trial.architecture.answers["device"] for trial in history.observed}) > 1
    assert front(values(history.observed, config.objectives)).any()


def test_the_space_holds_exactly_what_was_measured(table: Path) -> None:
    joint = read(table)
    assert size(joint.space) == len(joint.rows) == 566
    random = Random(0)
    drawn = Counter(sample(joint.space, random).decisions[0][1] for _ in range(150))
    # The devices have 239, 104 and 223 of the 566 measurements.
    assert 0.3 < drawn["a100"] / 150 < 0.55
    assert drawn["cpu_m1_pro"] < drawn["cpu_jetson_nano"]


def test_the_whole_table_has_all_of_the_exact_fronts_volume(table: Path) -> None:
    joint = read(table)
    everything = list(range(566))
    assert joint.share(everything) == pytest.approx(1.0)
    assert joint.share([row for row in everything if joint.on_front[row]]) == pytest.approx(1.0)
    assert joint.share([row for row in everything if not joint.on_front[row]]) < 0.999
    assert 0.0 <= joint.share(everything[:20]) < 1.0


def test_the_volume_is_that_of_points_thrown_at_random(table: Path) -> None:
    """In three objectives it is the share of a box that some measurement dominates."""
    joint = read(table)
    points = -joint.costs_N3[joint.on_front]
    best = points.max(0)
    thrown = np.random.default_rng(0).uniform(joint.reference_3, best, (40_000, 3))
    chosen = list(range(0, 566, 40))
    beaten = [
        np.all(thrown[:, None] <= -joint.costs_N3[rows], axis=2)
        for rows in (chosen, np.flatnonzero(joint.on_front))
    ]
    share_of_box = [np.any(each, axis=1).mean() for each in beaten]
    assert joint.share(chosen) == pytest.approx(share_of_box[0] / share_of_box[1], abs=0.02)


@pytest.mark.parametrize("text", ["random", "nsga2", "surrogate:predictor=ridge:candidates=10"])
def test_strategies_search_it(text: str, table: Path) -> None:
    joint: Joint = read(table)
    history, rows = searched(joint, strategy_named(text, table), 16, 8, 0)
    assert len(set(rows)) == 16
    # `values` raises an error if an objective is missing.
    assert len(values(history.observed, OBJECTIVES)) == len(history.observed)
