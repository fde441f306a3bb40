"""A run as a table: all fields of a trial are kept, and CSV and JSON have the same content."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nas.cli.main import app
from nas.config.loading import parse_config
from nas.evaluators.evaluator import Failed, Observation
from nas.record.events import outcome_event, round_event
from nas.record.folding import fold
from nas.record.trials import Predicted, Trial
from nas.report.trials import of_runs, to_csv, to_text, trajectory
from nas.search.run import start
from spaces import Architecture


def trial(number: int, prediction: Predicted | None = None) -> Trial:
    item = Architecture("a space", (("op", "relu"), ("rate", 0.1)))
    return Trial(number, 0, "search", item, "mutation", prediction, f"key {number}", seed=number)


def test_a_row_holds_all_of_a_trial() -> None:
    trials = [trial(0, Predicted(0.5, 0.1, 0.2)), trial(1), trial(2)]
    outcomes = [
        outcome_event(0, Observation(0.6, 3.0, metrics=(("parameters", 7.0),))),
        outcome_event(1, Failed("time-out", "it took long", 9.0)),
    ]
    rows = trajectory(fold([round_event(0, "search", trials), *outcomes]))
    assert rows[0] == {
        "trial": 0,
        "round": 0,
        "arm": "search",
        "origin": "mutation",
        "fidelity": 1.0,
        "continues": None,
        "donor": None,
        "decisions": {"op": "relu", "rate": 0.1},
        "canonical": "key 0",
        "seed": 0,
        "state": "observed",
        "score": 0.6,
        "seconds": 3.0,
        "metrics": {"parameters": 7.0},
        "reason": None,
        "prediction": {"mean": 0.5, "aleatoric": 0.1, "epistemic": 0.2},
    }
    assert [(row["state"], row["score"], row["reason"]) for row in rows[1:]] == [
        ("failed", None, "time-out: it took long"),
        ("pending", None, None),
    ]
    first, second, third = csv.DictReader(to_csv(rows).splitlines())
    assert (first["mean"], first["metrics.parameters"], json.loads(first["decisions"])) == (
        "0.5",
        "7.0",
        {"op": "relu", "rate": 0.1},
    )
    assert second["reason"] == "time-out: it took long"
    assert (second["mean"], second["metrics.parameters"], third["seconds"]) == ("", "", "")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    values = {
        "space": "nasbench201",
        "evaluator": {
            "name": "table",
            "path": "builtin:nasbench201",
            "score": "c100_val_200",
            "test": "c100_test_200",
        },
        "strategy": {"name": "smbo", "initial": 4},
        "executor": "inline",
        "budget": 8,
    }
    start(parse_config(values, "the test"), tmp_path / "run", lambda history, events: None)
    return tmp_path / "run"


def test_the_command_prints_and_writes_the_same_rows(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["trials", str(run), str(run), "--json"], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)
    assert rows == of_runs([run, run])
    assert len({row["run"] for row in rows}) == 1
    assert rows[0]["strategy"] == {"name": "smbo", "initial": 4}
    assert [row["arm"] for row in rows] == 2 * (8 * ["search"] + 8 * ["random"])
    assert any(row["prediction"] for row in rows)
    app(["trials", str(run), "--csv", str(tmp_path / "trials.csv")], standalone_mode=False)
    assert capsys.readouterr().out.strip() == str(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["trial"] for row in written] == [str(row["trial"]) for row in rows[: len(written)]]
    assert 2 * len(written) == len(rows)
    app(["trials", str(run)], standalone_mode=False)
    head, *lines = capsys.readouterr().out.splitlines()
    columns = ["trial", "round", "arm", "origin", "score", "expected", "seconds", "architecture"]
    assert head.split() == columns
    assert len(lines) == len(written)


def test_partial_trainings_are_distinguished_from_whole_ones() -> None:
    paused = replace(trial(0), fidelity=1 / 9)
    promoted = replace(
        trial(1),
        architecture=paused.architecture,
        canonical=paused.canonical,
        seed=paused.seed,
        fidelity=1 / 3,
        continues=0,
    )
    events = [
        round_event(0, "search", [paused]),
        outcome_event(0, Observation(0.4)),
        round_event(1, "search", [replace(promoted, round=1)]),
    ]
    rows = [{"run": "runs/a", **row} for row in trajectory(fold(events))]
    assert [(row["fidelity"], row["continues"]) for row in rows] == [(1 / 9, None), (1 / 3, 0)]
    heads, first, second = to_text(rows).splitlines()
    assert heads.split()[4:6] == ["epochs", "score"]
    assert first.split()[4:6] == ["0.111", "0.4"]
    assert second.split()[4:6] == ["0.333", "pending"]
    whole = trajectory(fold([round_event(0, "search", [trial(0)])]))
    assert "epochs" not in to_text([{"run": "runs/a", **row} for row in whole])
