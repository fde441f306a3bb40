"""`nas predict` without a predictor, as a user types it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nas.cli.main import app
from predictors.prior.stored import SHIPPED

OWN = """
from torch import nn
from spaces import Shapes


def network():
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )


def define(choose):
    return network()


small = nn.Linear(16, 2)
text = "no network"


def broken():
    raise RuntimeError("no luck")


def misspelt():
    return nn.Linear(width, 2)


def negative():
    return nn.Sequential(nn.Flatten(), nn.Linear(-3, 10))


def fraction():
    return nn.Sequential(nn.Flatten(), nn.Linear(3072 / 2, 10))


def quitting():
    raise SystemExit(0)


class Quitting(nn.Module):
    def forward(self, x):
        raise SystemExit(3)


class Mismatched(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(32, 8), nn.Linear(9, 2)

    def forward(self, x):
        return self.second(self.first(x))


def disguised():
    return type("\\x1b[31mRed\\nline", (nn.Sequential,), {})(*network())
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "ending.py").write_text("import sys\n\nsys.exit('bye')\n")
    (tmp_path / "failing.py").write_text("nothing\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "prior.json").write_text('{"format": 1}')
    return tmp_path


def nas(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["predict", *arguments])


def done(*arguments: str) -> Result:
    result = nas(*arguments)
    assert result.exit_code == 0, result.output
    return result


def test_a_space_is_ranked_without_a_label(here: Path) -> None:
    asked = ("--space", "convnet", "--sample", "40", "--top", "3")
    answer = json.loads(done(*asked, "--json", "--out", "all.csv").stdout)
    assert answer["space"] == "convnet"
    assert not answer["lower_is_better"]
    means = [item["mean"] for item in answer["best"]]
    assert means == sorted(means, reverse=True)
    assert len(means) == 3
    assert answer["tables"]
    assert not any(table["of_this_space"] for table in answer["tables"])
    assert 0 < answer["expected_correlation"] < 1
    with open("all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == answer["distinct"]
    assert float(rows[0]["mean"]) == means[0]
    shown = done(*asked).stdout
    lines = shown.splitlines()
    assert lines[0].split() == ["rank", "expected", "90", "%", "interval", "architecture"]
    assert len({line.index("activation=") for line in lines[1:4]}) == 1, "columns are aligned"
    told = " ".join(shown.split())
    assert "It has seen no label of this space." in told
    assert f"rank correlation of {answer['expected_correlation']:.2f}" in told
    for table in answer["tables"]:
        assert (table["table"] in shown) == (table["share"] >= 0.005)
    assert done(*asked).stdout == shown


def test_a_space_whose_table_the_prior_knows_is_named(here: Path) -> None:
    asked = ("--space", "nasbench201", "--sample", "30")
    best = json.loads(done(*asked, "--json").stdout)["best"]
    (here / "some.json").write_text(json.dumps(best[:2]))
    shown = done("--space", "nasbench201", "--arch", "some.json").stdout
    assert "the prior has learnt from this very space: nasbench201." in " ".join(shown.split())
    costs = json.loads(done(*asked, "--cost", "--json").stdout)
    means = [item["mean"] for item in costs["best"]]
    assert means == sorted(means)
    assert costs["lower_is_better"]
    assert "lower is better" in done(*asked, "--cost").stdout


def test_shapes_and_priors_may_be_given(here: Path) -> None:
    shutil.copytree(SHIPPED, "mine")
    asked = ("--space", "convnet", "--sample", "10", "--seed", "2", "--json")
    shipped = json.loads(done(*asked).stdout)
    mine = json.loads(done(*asked, "--prior", "mine").stdout)
    assert mine == {**shipped, "prior": "mine"}
    large = json.loads(done(*asked, "--input", "3,64,64", "--classes", "100").stdout)
    distances = [
        {table["table"]: table["distance"] for table in answer["tables"]}
        for answer in (shipped, large)
    ]
    assert distances[0] != distances[1]


def test_a_module_gets_its_place_in_the_tables_that_are_near(here: Path) -> None:
    asked = ("--module", "own.py:network")
    answer = json.loads(done(*asked, "--json").stdout)
    assert answer["input"] == [3, 32, 32]
    assert answer["parameters"] == 3 * 64 * 9 + 2 * 64 * 64 * 9 + 9 * 64 + 64 * 10 + 10
    for kind in ("scores", "costs"):
        distances = [said["distance"] for said in answer[kind]]
        assert distances == sorted(distances)
        assert distances
        for said in answer[kind]:
            values = [said[end]["value"] for end in ("lowest", "expected", "highest")]
            assert values == sorted(values)
    shown = done(*asked).stdout
    assert f"Sequential: {answer['parameters']:,} parameters" in shown
    headings = [line for line in shown.splitlines() if line.startswith("table ")]
    assert [" score " in headings[0], " cost " in headings[1]] == [True, True]
    for said in (*answer["scores"], *answer["costs"]):
        assert f"{said['table']}" in shown
        assert f"{100 * said['expected']['better_than']:.0f} %" in shown


def test_a_module_unlike_all_that_is_known_gets_a_sentence(here: Path) -> None:
    asked = ("--module", "own.py:small", "--input", "16")
    answer = json.loads(done(*asked, "--json").stdout)
    assert answer["scores"] == answer["costs"] == []
    assert {each["table"] for each in answer["not_asked"]} >= {"nasbench201", "timm"}
    shown = done(*asked).stdout
    assert "says nothing of the network's score: it knows no such networks" in shown
    assert "says nothing of the network's cost: it knows no such networks" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_names_cannot_command_the_terminal(here: Path) -> None:
    shutil.copytree(SHIPPED, "loud")
    card = json.loads((SHIPPED / "prior.json").read_text())
    for expert in card["experts"]:
        expert["table"] = "\x1b[2Jgone\ud800"
    (here / "loud" / "prior.json").write_text(json.dumps(card))
    shown = done("--module", "own.py:disguised", "--prior", "loud").stdout
    assert shown.startswith("\\x1b[31mRed\\nline: ")
    assert "\n\\x1b[2Jgone\\ud800  " in shown
    ranked = done("--space", "convnet", "--sample", "5", "--prior", "loud").stdout
    assert "\n\\x1b[2Jgone\\ud800  " in ranked
    assert "\x1b" not in shown + ranked


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ("nothing was named", "--space", "--module")),
        (("kept", "--cost"), ("--cost cannot stand beside a predictor's directory",)),
        (("kept", "--module", "own.py:network"), ("--module cannot stand beside",)),
        (("--module", "own.py:network", "--all"), ("--all cannot stand beside --module",)),
        (
            ("--module", "own.py:network", "--space", "convnet"),
            ("--space cannot stand beside --module",),
        ),
        (("--module", "network"), ("my_file.py:network",)),
        (("--module", "nowhere.py:network"), ("there is no file nowhere.py",)),
        (("--module", "own.py:netwrk"), ("did you mean 'network'?",)),
        (("--module", "own.py:text"), ("should be an nn.Module", "str")),
        (("--module", "own.py:define"), ("it needs choose", "--space")),
        (("--module", "own.py:broken"), ("no luck", "own.py:24, in broken")),
        (("--module", "own.py:misspelt"), ("NameError: name 'width'", "own.py:28, in misspelt")),
        (("--module", "own.py:negative"), ("RuntimeError: ", "own.py:32, in negative")),
        (("--module", "own.py:fraction"), ("TypeError: ", "own.py:36, in fraction")),
        (("--module", "own.py:Mismatched"), ("Mismatched cannot be traced", "own.py:54, in")),
        (("--module", "own.py:quitting"), ("sys.exit(0) was called", "own.py:40, in quitting")),
        (("--module", "own.py:Quitting"), ("sys.exit(3) was called", "own.py:45, in forward")),
        (("--module", "ending.py:network"), ("sys.exit('bye') was called", "ending.py:3, in")),
        (("--module", "failing.py:network"), ("NameError: name 'nothing'", "failing.py:1, in")),
        (
            ("--module", "own.py:network", "--input", "a=3,32,32;a=16"),
            ("--input gives each shape a name of its own", "'a=3,32,32;a=16'"),
        ),
        (("--module", "own.py:network", "--prior", ""), ("--prior names", "an empty name")),
        (("--space", "convnet", "--prior", " "), ("--prior names", "an empty name")),
        (("--space", "convnet", "--prior", "old"), ("benchmarks/pretrain.py write a new one",)),
        (("--module", "own.py:network", "--input", "3"), ("cannot be",)),
        (("--module", "own.py:network", "--classes", "7"), ("--output", "it returns 10")),
        (("--module", "own.py:network", "--prior", "none"), ("--prior none",)),
        (("--space", "convnet", "--prior", "nowhere"), ("nowhere cannot be read",)),
        (("--space", "nasbench_graph"), ("only describes its architectures",)),
        (("--space", "convnet", "--all", "--sample", "3"), ("give one of them",)),
        (("--space", "nowhere"), ("no space is called 'nowhere'",)),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    here: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    result = nas(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr, result.stderr
