"""The duration of a run, predicted from a few shortened trainings that leave no files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas.cli.main import app
from nas.config.compose import compose
from nas.config.loading import parse_config
from nas.evaluators.evaluator import Observation
from nas.search.rehearsal import Rehearsed, rehearse
from nas.search.rehearsal_evaluator import BATCHES, part_of, rehearsal
from nas.tasks import load_task
from nas.training.recipe import Recipe
from spaces.load import load_space
from spaces.operators import sample

ROOT = Path(__file__).resolve().parents[3]
TINY = {
    "space": "convnet",
    "task": "digits",
    "strategy": {"name": "surrogate", "initial": 4, "candidates": 20},
    "predictor": "ridge",
    "training": {"epochs": 3, "batch_size": 32},
    "budget": 8,
    "batch": 4,
    "finalists": {"count": 2, "seeds": 2, "epochs": 9},
    "executor": "inline",
}


def rehearsed(count: int = 2, **changes: object) -> Rehearsed:
    config = parse_config({**TINY, **changes}, "test")
    return rehearse(compose(config), count)


def test_the_part_of_a_task_has_as_large_a_share_of_both_splits() -> None:
    task = load_task("digits", seed=0)
    small = part_of(task, Recipe(epochs=1, batch_size=32))
    assert len(small.train) == 32 * BATCHES
    assert len(small.validation) / len(task.validation) == pytest.approx(
        len(small.train) / len(task.train), abs=0.01
    )
    assert len(part_of(task, Recipe(epochs=1, batch_size=4096)).train) == len(task.train)


def test_an_evaluation_is_extrapolated_by_its_epochs() -> None:
    from random import Random

    settings = parse_config(TINY, "test").model_dump(mode="json")
    space = load_space("convnet")
    evaluator = rehearsal(settings, "cpu")
    outcome = evaluator.evaluate(
        sample(space.for_shapes(load_task("digits", seed=0).shapes), Random(0)), seed=0
    )
    assert isinstance(outcome, Observation)
    assert outcome.seconds > 0
    assert dict(outcome.metrics)["memory"] > 1e6
    with pytest.raises(ValueError, match="no finalists"):
        evaluator.finalize(sample(space, Random(0)), seed=0)


def test_what_a_run_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    said = rehearsed()
    assert said.search is not None
    assert said.finalists is not None
    assert said.run is not None
    assert said.evaluation is not None
    # Both arms without the four evaluations that they share, and the full trainings of each arm
    # with each seed, which take three times as long.
    assert (said.evaluations, said.trainings, said.workers, said.drawn) == (12, 8, 1, 2)
    assert said.finalists.mean == pytest.approx(24 * said.evaluation)
    assert said.search.mean == pytest.approx(12 * said.evaluation + 2 * said.thinking)
    assert said.run.mean == pytest.approx(said.search.mean + said.finalists.mean)
    assert said.run.low < said.run.mean < said.run.high
    assert said.weights is not None
    assert said.weights > 20_000
    assert said.failures == ()
    alone = rehearsed(baseline="none", keep_weights="finalists")
    assert (alone.evaluations, alone.trainings) == (8, 4)
    assert alone.weights is not None
    assert alone.weights < said.weights


def test_networks_that_cannot_be_trained_are_counted_with_their_reasons(tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    file.write_text(
        "from torch import nn\nfrom spaces import SearchSpace\n"
        "def define(choose, shapes):\n"
        "    width = choose.integer('width', 1, 64)\n"
        "    out = shapes.output[0] if choose.one_of('right', [True, False]) else 3\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, out))\n"
        "space = SearchSpace('half', define)\n"
    )
    said = rehearsed(12, space=f"{file}:space")
    assert 0 < len(said.failures) < 12
    assert all("shape" in reason for reason in said.failures)
    assert said.run is not None


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text(
        json.dumps({**TINY, "executor": {"workers": 2, "time_limit": 0.001 * 30000}})
    )
    shown = CliRunner().invoke(app, ["forecast", "c.json", "--count", "2"])
    assert shown.exit_code == 0, shown.output
    assert [line.split()[0] for line in shown.stdout.splitlines()[:5]] == [
        "search",
        "finalists",
        "altogether",
        "disk",
        "memory",
    ]
    assert "12 evaluations of" in shown.stdout
    said = json.loads(
        CliRunner().invoke(app, ["forecast", "c.json", "--count", "1", "--json"]).stdout
    )
    assert said["run"]["low"] <= said["run"]["mean"] <= said["run"]["high"]
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


def test_a_table_says_seconds() -> None:
    shown = CliRunner().invoke(
        app, ["forecast", str(ROOT / "configs" / "nasbench201.yaml"), "-s", "strategy=evolution"]
    )
    assert shown.exit_code == 0, shown.output
    assert "seconds, as scores are looked up" in shown.stdout
