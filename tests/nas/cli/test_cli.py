"""The command `nas` as a user types it: what it prints, and its message for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from typer.testing import CliRunner, Result

from nas.cli.main import app

TABLE = """
space: nasbench201
evaluator: {name: table, path: "builtin:nasbench201", score: c100_val_200, test: c100_test_200}
strategy: {name: evolution, population: 6, tournament: 3}
executor: inline
budget: 12
batch: 4
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.yaml").write_text(TABLE)
    return tmp_path


def nas(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refused(result: Result, *parts: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr, result.stderr


def test_a_search_from_beginning_to_report(here: Path) -> None:
    done = nas("search", "table.yaml", "-s", "seed=3", "-s", "strategy.population=8")
    assert done.exit_code == 0, done.output
    assert "runs/table" in done.stderr
    assert "random" in done.stdout
    summary = json.loads(nas("status", "runs/table", "--json").stdout)
    assert summary["config"]["strategy"] == {"name": "evolution", "population": 8, "tournament": 3}
    assert nas("resume", "runs/table").exit_code == 0
    assert nas("report", "runs/table").stdout.strip() == "runs/table/report.html"
    assert "<html" in (here / "runs/table/report.html").read_text()
    assert nas("search", "table.yaml").exit_code == 0
    assert (here / "runs/table-2").is_dir()


def test_reading_commands_print_json(here: Path) -> None:
    assert "nasbench201" in json.loads(nas("space", "list", "--json").stdout)
    assert json.loads(nas("config", "show", "table.yaml", "--json").stdout)["budget"] == 12
    shown = json.loads(nas("space", "show", "nasbench201", "--json").stdout)
    assert shown["architecture"]["space"] == "nasbench201"
    schema = json.loads(nas("config", "schema").stdout)
    assert {"space", "task", "strategy", "predictor", "budget", "finalists", "executor"} <= set(
        schema["properties"]
    )
    checked = json.loads(nas("space", "check", "nasbench201", "--count", "3", "--json").stdout)
    assert checked["problems"] == []


def test_a_space_is_checked_for_the_tokens_of_other_texts() -> None:
    shown = nas(
        "space",
        "check",
        "flexibert_tiny",
        "--input",
        "12",
        "--vocabulary",
        "50",
        "--classes",
        "3",
        "--count",
        "1",
    )
    assert shown.exit_code == 0, shown.output
    assert "12 of 50 tokens, 3" in shown.output
    for_each = nas(
        "space",
        "check",
        "flexibert_tiny",
        "--input",
        "12",
        "--vocabulary",
        "50",
        "--output",
        "12,50",
        "--count",
        "1",
    )
    assert for_each.exit_code == 0, for_each.output
    assert "12 of 50 tokens, 12 x 50" in for_each.output
    wrong = nas("space", "check", "flexibert_tiny", "--output", "12,0")
    assert wrong.exit_code == 2
    assert "--output is a shape, whole numbers above 0 with commas" in wrong.output
    refused = nas("space", "check", "convnet", "--vocabulary", "50")
    assert refused.exit_code == 2
    assert "--input 40" in refused.output


def test_a_space_of_texts_that_is_checked_without_a_vocabulary_is_told_which_option_is_missing(
    tmp_path: Path,
) -> None:
    (tmp_path / "bags.py").write_text(
        "from torch import nn\nfrom spaces import SearchSpace\n\n\ndef define(choose, shapes):\n"
        "    return nn.Sequential(nn.EmbeddingBag(shapes.vocabulary, 4), nn.Linear(4, "
        "2))\n\n\nspace = SearchSpace('bags', define)\n"
    )
    checked = nas("space", "check", f"{tmp_path / 'bags.py'}:space", "--count", "2")
    assert checked.exit_code == 1
    assert "--vocabulary N --input LENGTH" in checked.output


def test_a_run_that_is_refused_has_not_begun(here: Path) -> None:
    refused = nas("search", "table.yaml", "-s", "strategy.population=none")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: table.yaml: strategy.population: ")
    assert not (here / "runs").exists()


def test_settings_have_no_place_in_a_run_that_goes_on(here: Path) -> None:
    assert nas("search", "table.yaml").exit_code == 0
    refused = nas("resume", "runs/table", "-s", "budget=20")
    assert refused.exit_code == 2
    assert (
        "a run goes on with the settings that it began with, so 'budget=20' has no place here"
        in refused.stderr
    )


def test_the_schema_accepts_the_configs_that_are_shipped() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    import yaml

    schema = json.loads(nas("config", "schema").stdout)
    shipped = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))
    assert shipped
    for path in shipped:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)
    for short in (
        {
            "task": "digits",
            "executor": "inline",
            "evaluator": "train",
            "predictor": {"caution": 5.0},
        },
        {"strategy": {"name": "own.py:Own", "setting": 1}, "predictor": "own.py:Own"},
    ):
        jsonschema.validate({"space": "convnet", **short}, schema)
    for wrong in (
        {"budget": "many"},
        {"bugdet": 1},
        {"executor": "slurm"},
        {"strategy": {"name": "random", "population": 3}},
        {"strategy": "annealing"},
        {"predictor": {"name": "ridge", "members": 3}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"space": "convnet", **wrong}, schema)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["bugdet=3"], ["unknown key 'bugdet'", "did you mean 'budget'?"]),
        (["finalists.cuont=3"], ["unknown key 'finalists.cuont'", "did you mean 'count'?"]),
        (["training.epoch=3"], ["unknown key 'training.epoch'", "did you mean 'epochs'?"]),
        (["budget=many"], ["budget", "valid integer", '"many"']),
        (["budget=0"], ["budget", "greater than or equal to 1", "got 0"]),
        (["training.epochs=0"], ["epochs", "at least 1"]),
        (
            ["space=nasbench202"],
            ["no space is called 'nasbench202'", "did you mean 'nasbench201'?", "convnet"],
        ),
        (
            ["strategy=annealing"],
            [
                "no strategy is called 'annealing'",
                "asha, boshnas, evolution, hyperband, local, map_elites, mcts, nsga2, pgvae, "
                "random, smbo, surrogate",
            ],
        ),
        (["strategy.popluation=3"], ["has no setting 'popluation'", "did you mean 'population'?"]),
        (["strategy.population=x"], ["strategy.population", "'x'"]),
        (["strategy.population=2"], ["1 <= tournament <= population"]),
        (
            ["strategy=surrogate", "predictor=oracle"],
            ["no predictor is called 'oracle'. Known: auto, ", "gnn", "my_file.py:Name"],
        ),
        (["strategy=random", "predictor={name: boshnas, dropout: 7}"], ["dropout"]),
        (
            ["evaluator={name: train, transfer: {leest: 1}}"],
            ["unknown key 'evaluator.transfer.leest'", "did you mean 'least'?"],
        ),
        (
            ["strategy=surrogate", "predictor=tres"],
            ["no predictor is called 'tres'; did you mean 'trees'?"],
        ),
        (
            ["strategy=surrogate", "predictor={name: auto, members: [gp, oracle]}"],
            ["predictor auto needs different members out of gp, gnn", "oracle"],
        ),
        (
            ["strategy=surrogate", "predictor={name: auto, members: 3}"],
            ["predictor.members", "got 3"],
        ),
        (["evaluator=train", "task=mnist"], ["mnist", "digits"]),
        (["evaluator=train"], ["needs a `task`"]),
        (["evaluator.path=nowhere.npz"], ["nowhere.npz"]),
        (["evaluator.score=accuracy"], ["accuracy", "c100_val_200"]),
        (["executor.time_limit=3"], ["executor: process"]),
        (["seed"], ["an override is key=value"]),
        (["space=missing.py:space"], ["there is no file missing.py"]),
        (["space=no.such.module:space"], ["there is no module 'no.such.module'"]),
    ],
)
def test_wrong_values_are_answered_with_a_sentence(
    here: Path, change: list[str], parts: list[str]
) -> None:
    overrides = [item for value in change for item in ("-s", value)]
    refused(nas("search", "table.yaml", *overrides), *parts)
    assert not (here / "runs").exists() or not list((here / "runs").glob("*/journal.sqlite")), (
        "nothing is begun with a wrong configuration"
    )


def test_a_config_that_is_missing_or_no_yaml_is_refused(here: Path) -> None:
    refused(
        nas("search", "missing.yaml"), "there is no configuration file missing.yaml", "nas init"
    )
    (here / "broken.yaml").write_text("a: [1")
    refused(nas("search", "broken.yaml"), "broken.yaml is not YAML")
    (here / "list.yaml").write_text("- 1")
    refused(nas("search", "list.yaml"), "should hold keys and values")
    refused(nas("search", "."), "cannot be read")


def test_a_directory_that_is_no_run_is_refused(here: Path) -> None:
    for command in (["status"], ["resume"], ["report"], ["export", "--out", "x"]):
        refused(nas(command[0], "nowhere", *command[1:]), "nowhere is not a run")


def test_a_run_of_a_newer_version_is_refused(here: Path) -> None:
    import sqlite3

    assert nas("search", "table.yaml").exit_code == 0
    with sqlite3.connect(here / "runs/table/journal.sqlite") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'format'")
    connection.close()
    for command in ("status", "resume", "report"):
        refused(nas(command, "runs/table"), "journal format 99", "newer")


SPACES = """
import torch
from torch import nn
from spaces import Chooser, GraphBuilder, SearchSpace, Shapes

def hopeless(choose: Chooser):
    choose.one_of("op", ["a", "b"])
    choose.reject("never good enough")

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        if x.amax(1) > 0:
            return self.linear(x)
        return self.linear(-x)

def branching(choose: Chooser):
    choose.one_of("unused", [1, 2])
    return Branching()

untraceable = SearchSpace("untraceable", branching, Shapes((4,), (2,)))
number = 3
"""


def test_spaces_that_do_not_work_say_why(here: Path) -> None:
    (here / "mine.py").write_text(SPACES)
    refused(
        nas("search", "table.yaml", "-s", "space=mine.py:hopless"),
        "mine.py has no 'hopless'",
        "did you mean 'hopeless'?",
    )
    refused(
        nas("search", "table.yaml", "-s", "space=mine.py:number"),
        "mine.py:number' should be a SearchSpace or a function define(choose)",
    )
    hopeless = nas("space", "check", "mine.py:hopeless", "--count", "3")
    assert hopeless.exit_code == 1
    assert "never good enough" in hopeless.output
    untraceable = nas("space", "check", "mine.py:untraceable", "--count", "3")
    assert untraceable.exit_code == 1
    assert "mine.py" in untraceable.output
    assert "x.amax(1) > 0" in untraceable.output
    (here / "train.yaml").write_text(
        "space: mine.py:hopeless\ntask: digits\nstrategy: random\nexecutor: inline\n"
    )
    refused(nas("search", "train.yaml"), "rejected 1000 architectures in a row: never good enough")
    (here / "mistake.py").write_text("import spaces\n1 / 0\n")
    refused(
        nas("space", "check", "mistake.py:space"),
        "mistake.py:space could not be imported: ZeroDivisionError",
    )


def test_files_are_found_from_here_or_beside_the_config(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "elsewhere").mkdir()
    (here / "photos").mkdir()
    (here / "mine.py").write_text(SPACES)
    (here / "images.yaml").write_text(
        "space: mine.py:untraceable\ntask: {name: images, path: photos}\n"
    )
    monkeypatch.chdir(here / "elsewhere")
    shown = json.loads(nas("config", "show", "../images.yaml", "--json").stdout)
    assert shown["space"] == f"{here}/mine.py:untraceable"
    assert shown["task"]["path"] == f"{here}/photos"


def test_an_image_folder_with_one_class_is_refused(here: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (here / "photos/cats").mkdir(parents=True)
    for number in range(3):
        image.fromarray(numpy.zeros((8, 8, 3), dtype="uint8")).save(
            here / f"photos/cats/{number}.png"
        )
    (here / "images.yaml").write_text(
        "space: convnet\ntask: {name: images, path: photos}\nexecutor: inline\nstrategy: random\n"
    )
    refused(nas("search", "images.yaml"), "photos", "class")


def test_help_is_there_for_every_command() -> None:
    for command in (
        [],
        ["search"],
        ["resume"],
        ["status"],
        ["report"],
        ["export"],
        ["init"],
        ["space"],
        ["space", "check"],
        ["config"],
    ):
        assert nas(*command, "--help").exit_code == 0


def test_the_module_runs_as_a_script() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nas", "space", "list"], capture_output=True, text=True, check=True
    )
    assert "convnet" in done.stdout


OWN = """
from dataclasses import dataclass
import numpy
from nas.strategies.strategy import Asked, novel, random_draws
from predictors import Prediction

@dataclass(frozen=True)
class Backwards:
    sign: int = -1

    def ask(self, space, history, count, seed):
        drawn = random_draws(space, history, self.sign * seed)
        return Asked(novel(space, history, drawn, count), "own: backwards")

@dataclass(frozen=True)
class Flat:
    level: float = 0.0

    def fit(self, graphs, scores, *, seed=0):
        return self

    def predict(self, graphs):
        return Prediction(*(numpy.full(len(graphs), self.level) for _ in range(3)))

def function():
    pass
"""


def test_a_strategy_and_a_predictor_of_ones_own_are_named_by_file(here: Path) -> None:
    (here / "own.py").write_text(OWN)
    assert (
        nas("search", "table.yaml", "-s", "strategy={name: own.py:Backwards, sign: -2}").exit_code
        == 0
    )
    done = nas(
        "search",
        "table.yaml",
        "-s",
        "strategy={name: surrogate, initial: 4}",
        "-s",
        "predictor={name: own.py:Flat, level: 50}",
    )
    assert done.exit_code == 0, done.output
    assert (
        json.loads(nas("status", "runs/table-2", "--json").stdout)["surrogate"]["pooled"][
            "predicted"
        ]
        == 8
    )
    refused(
        nas("search", "table.yaml", "-s", "strategy={name: own.py:Backwards, sgn: 1}"),
        "has no setting 'sgn'",
        "did you mean 'sign'?",
    )
    refused(
        nas("search", "table.yaml", "-s", "strategy=own.py:function"),
        "should be a frozen dataclass",
    )
    refused(nas("search", "table.yaml", "-s", "strategy=own.py:Nothing"), "own.py has no 'Nothing'")
