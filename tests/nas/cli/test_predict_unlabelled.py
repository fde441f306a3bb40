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
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
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
