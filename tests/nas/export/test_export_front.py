"""A front is exported with all members verified and with an index, or not at all."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluators.evaluator import Observation
from nas.evaluators.weights import save_weights
from nas.export import export_front
from nas.record.environment import environment
from nas.record.events import outcome_event, round_event
from nas.record.files import weights_file
from nas.record.journal import create
from nas.record.trials import Trial
from spaces.load import SPACES
from tests.nas.export.small_runs import (
    METADATA,
    SMALL,
    architecture,
    config_of,
    key_of,
    space,
    trained,
)

SHAPES = {"input": [1, 8, 8], "output": [10]}
SEVERAL = {
    "objectives": [{"name": "score"}, {"name": "parameters", "goal": "minimise"}],
    "strategy": "nsga2",
    "constraints": ["score >= 0.4"],
}
# The last one violates the constraint, and the first dominates the second.
POINTS = [(0.9, 300.0), (0.7, 350.0), (0.8, 200.0), (0.3, 100.0)]


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setitem(SPACES, "small", "space_of_this_test:space")
    monkeypatch.setitem(sys.modules, "space_of_this_test", types.SimpleNamespace(space=SMALL))  # type: ignore[arg-type]
    items = [architecture(width, activation) for width in (4, 6) for activation in ("relu", "tanh")]

    def run(*, kept: tuple[int, ...] = (0, 1, 2, 3), **changes) -> Path:
        directory = tmp_path / "run"
        trials = []
        for number, item in enumerate(items):
            key = key_of("small", space.shapes, item)
            trials.append(Trial(number, 0, "search", item, "random", None, key, number))
        shown = {**environment(), "shapes": SHAPES}
        with create(directory, config_of("small", **changes), shown) as journal:
            journal.append([round_event(0, "search", trials)])
            for trial, (score, parameters) in zip(trials, POINTS, strict=True):
                observation = Observation(score, metrics=(("parameters", parameters),))
                journal.append([outcome_event(trial.number, observation)])
        for number in kept:
            network = trained(space, items[number], number)
            save_weights(network, weights_file(directory, number), METADATA)
        return directory

    return run


def test_every_member_is_exported_and_verified(make, tmp_path):
    exported = export_front(make(**SEVERAL), out=tmp_path / "out")
    assert [member.trial for member in exported.members] == [0, 2]
    assert exported.largest_difference <= 1e-5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "front.json",
        "trial-00000",
        "trial-00002",
    ]
    for member in exported.members:
        assert sorted(path.name for path in member.directory.iterdir()) == [
            "README.md",
            "architecture.json",
            "model.py",
            "model.safetensors",
        ]
        assert member.weights == "search"
    index = json.loads((tmp_path / "out" / "front.json").read_text())
    assert [(member["directory"], member["values"]) for member in index["members"]] == [
        ("trial-00000", {"score": 0.9, "parameters": 300.0}),
        ("trial-00002", {"score": 0.8, "parameters": 200.0}),
    ]
    readme = (tmp_path / "out" / "README.md").read_text()
    row = "| [trial-00002](trial-00002/README.md) | 0.800 | 200 | its training in the search |"
    assert row in readme
    assert "All keep `score >= 0.4`" in readme
    line = "trial-00000: score 0.900, parameters 300; weights: its training in the search"
    assert line in str(exported)
    assert not list(tmp_path.glob(".*unfinished"))


def test_the_command_exports_a_front_in_any_format(make, tmp_path):
    run = make(**SEVERAL)
    out, options = str(tmp_path / "out"), ["--format", "pt2", "--space", "small", "--json"]
    nas = CliRunner().invoke(app, ["export", str(run), "--pareto", "--out", out, *options])
    assert nas.exit_code == 0, nas.output
    shown = json.loads(nas.stdout)
    assert [member["format"] for member in shown["members"]] == ["pt2", "pt2"]
    assert (tmp_path / "out" / "trial-00000" / "model.pt2").is_file()
    out = str(tmp_path / "other")
    both = CliRunner().invoke(app, ["export", str(run), "--pareto", "--trial", "0", "--out", out])
    assert both.exit_code == 2
    assert "give one of them" in both.stderr


def test_what_has_no_front_or_no_weights_is_answered_by_a_sentence(make, tmp_path):
    run = make(**SEVERAL, kept=(0,))
    with pytest.raises(ValueError, match=r"holds no weights of trial 2; .*--untrained"):
        export_front(run, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    fresh = export_front(run, out=tmp_path / "out", untrained=True)
    assert {member.weights for member in fresh.members} == {"fresh"}
    with pytest.raises(ValueError, match="not empty"):
        export_front(run, out=tmp_path / "out", untrained=True)


def test_one_objective_has_no_front(make, tmp_path):
    with pytest.raises(
        ValueError, match=r"has one objective, score, so it has no front: leave --pareto out"
    ):
        export_front(make(), out=tmp_path / "out")


def test_a_front_without_feasible_members(make, tmp_path):
    with pytest.raises(ValueError, match="has no trial that keeps its constraints yet"):
        export_front(make(**{**SEVERAL, "constraints": ["score >= 0.99"]}), out=tmp_path / "out")
