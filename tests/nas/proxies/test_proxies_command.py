"""The command `nas proxies`: its tables and files, how it resumes, and its error messages."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner, Result

import nas.proxies.measuring
from nas.cli.main import app
from nas.proxies import PROXIES, suiting_proxies
from nas.proxies.measuring import ProxyPlan, prepare
from nas.tasks.arrays import read_npz
from spaces import Architecture, Shapes

SPACE = """
from torch import nn
from spaces import Architecture, SearchSpace, Shapes

WIDTHS, COLOURS = (4, 8, 16), ("red", "blue")

def define(choose):
    width = choose.one_of("width", WIDTHS)
    choose.one_of("colour", COLOURS)  # Changes nothing: two of one width are isomorphic.
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))

def rows(columns):
    pairs = zip(columns["width"].tolist(), columns["colour"].tolist())
    return [Architecture("tiny", (("width", width), ("colour", colour))) for width, colour in pairs]

space = SearchSpace("tiny", define, Shapes((6,), (3,)), rows=rows)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(SPACE)
    numpy.savez(
        tmp_path / "table.npz",
        width=numpy.array([4, 8, 4, 16]),
        colour=numpy.array(["red", "red", "blue", "blue"]),
    )
    return tmp_path


def proxies(*arguments: str) -> Result:
    options = ("--batch-size", "4", "--proxies", "synflow,parameters")
    return CliRunner().invoke(app, ["proxies", "tiny.py:space", *options, *arguments])


def test_repeats_are_averaged(here: Path) -> None:
    architecture = Architecture("tiny", (("width", 8), ("colour", "red")))
    plan = ProxyPlan("tiny.py:space", Shapes((6,), (3,)), ("synflow", "parameters"), batch_size=4)
    once, again = (prepare(plan)(architecture).values for _ in range(2))
    thrice = prepare(replace(plan, repeats=3))(architecture).values
    assert once == again
    assert once[0] != thrice[0]
    assert once[1] == thrice[1] == 8 * 6 + 8 + 3 * 8 + 3


def test_a_table_is_scored_row_by_row(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(monkeypatch)
    done = proxies("--table", "table.npz", "--out", "scores.npz")
    assert done.exit_code == 0, done.output
    assert "4 of 4 rows have scores" in done.stdout
    scores = read_npz("scores.npz")
    assert scores["parameters"].tolist() == [43, 83, 43, 163]
    assert scores["synflow"][0] == scores["synflow"][2]
    assert "architecture" not in scores
    # Isomorphic rows are computed once, and rows in the file are not computed again.
    assert len(asked) == 3
    assert proxies("--table", "table.npz", "--out", "scores.npz").exit_code == 0
    assert len(asked) == 3
    other = proxies("--table", "table.npz", "--out", "scores.npz", "--seed", "1")
    assert other.exit_code == 2
    assert "with other settings: seed: 0 there, 1 now" in other.stderr


def test_a_part_of_a_table(here: Path) -> None:
    assert proxies("--table", "table.npz", "--out", "scores.npz", "--rows", "1:2").exit_code == 0
    assert numpy.isnan(read_npz("scores.npz")["parameters"]).tolist() == [True, False, True, True]
    done = proxies("--table", "table.npz", "--out", "scores.npz", "--rows", "2:", "--json")
    assert json.loads(done.stdout)["computed"] == 4
    assert read_npz("scores.npz")["parameters"].tolist() == [43, 83, 43, 163]


def test_an_interrupted_command_keeps_what_was_computed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = nas.proxies.measuring.measure_all

    def interrupted(*arguments: Any, **named: Any) -> Iterator[Any]:
        yield next(original(*arguments, **named))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(nas.proxies.measuring, "measure_all", interrupted)
        stopped = proxies("--table", "table.npz", "--out", "scores.npz")
    assert stopped.exit_code == 130
    assert "2 of 4 rows are in scores.npz, and the same command goes on" in stopped.stderr
    asked = counted(monkeypatch)
    assert proxies("--table", "table.npz", "--out", "scores.npz").exit_code == 0
    assert len(asked) == 2
    assert not list(here.glob("*.part"))


def test_a_sample_as_csv_names_its_architectures(here: Path) -> None:
    assert proxies("--sample", "5", "--out", "scores.csv").exit_code == 0
    with (here / "scores.csv").open() as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["architecture", "synflow", "parameters"]
    widths = [Architecture.from_json(row["architecture"]).answers["width"] for row in read]
    assert [float(row["parameters"]) for row in read] == [10 * width + 3 for width in widths]  # type: ignore[operator]


def test_architectures_out_of_files(here: Path) -> None:
    shown = CliRunner().invoke(app, ["space", "show", "tiny.py:space", "--json"]).stdout
    (here / "shown.json").write_text(shown)
    plain = {
        "space": "tiny",
        "decisions": {"width": 16, "colour": "red"},
        "key": "as an export has",
    }
    (here / "both.json").write_text(json.dumps([json.loads(shown), plain]))
    assert proxies("--arch", "shown.json", "--out", "one.npz").exit_code == 0
    assert proxies("--arch", "both.json", "--out", "two.npz").exit_code == 0
    one, two = read_npz("one.npz"), read_npz("two.npz")
    assert two["synflow"][0] == one["synflow"][0]
    assert two["parameters"][1] == 163
    assert json.loads(two["architecture"][1])["decisions"] == plain["decisions"]


def test_the_samples_of_a_task(here: Path) -> None:
    options = ("--sample", "1", "--batch-size", "4", "--proxies", "gradient_norm")
    command = ["proxies", "convnet", *options, "--out", "scores.npz"]
    assert CliRunner().invoke(app, [*command, "--task", "digits"]).exit_code == 0
    assert json.loads(str(read_npz("scores.npz")["settings"]))["shapes"] == {
        "input": [1, 8, 8],
        "output": [10],
    }
    wrong = CliRunner().invoke(app, [*command, "--task", "{name: digits, path: x}"])
    assert "has no option 'path'" in wrong.stderr


@pytest.mark.slow
def test_workers_find_the_same(here: Path) -> None:
    assert proxies("--table", "table.npz", "--out", "one.npz").exit_code == 0
    done = proxies("--table", "table.npz", "--out", "two.npz", "--workers", "2")
    assert done.exit_code == 0, done.output
    numpy.testing.assert_allclose(
        read_npz("one.npz")["synflow"], read_npz("two.npz")["synflow"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["exactly one of --sample N, --table FILE.npz and --arch FILE.json"]),
        (["--sample", "2", "--arch", "x.json"], ["exactly one of"]),
        (["--sample", "2", "--rows", "0:1"], ["--rows chooses rows of a table"]),
        (["--table", "table.npz", "--rows", "9:"], ["the rows 9: are none of the table's 4"]),
        (
            ["--table", "table.npz", "--rows", "many"],
            ["rows are two whole numbers with a colon", "'many'"],
        ),
        (["--table", "nowhere.npz"], ["there is no file nowhere.npz"]),
        (["--arch", "nowhere.json"], ["the architecture nowhere.json cannot be read"]),
        (
            ["--sample", "2", "--proxies", "synflwo"],
            ["no proxy is called 'synflwo'; did you mean 'synflow'?", "naswot"],
        ),
        (
            ["--sample", "2", "--input", "6", "--task", "digits"],
            ["leave --input, --output and --vocabulary out beside --task"],
        ),
        (["--sample", "2", "--task", "[1]"], ["a task is a name, or a mapping", "'[1]'"]),
        (["--sample", "2", "--input", "7"], ["7"]),
        (["--sample", "2", "--out", "scores.txt"], ["written as .npz or .csv; got scores.txt"]),
        (["--sample", "2", "--out", "no/scores.npz"], ["there is no folder no"]),
        (["--sample", "2", "--device", "tpu"], ["'tpu'"]),
    ],
)
def test_mistakes_are_answered_with_a_sentence(
    here: Path, arguments: list[str], parts: list[str]
) -> None:
    result = proxies(*(arguments if "--out" in arguments else [*arguments, "--out", "scores.npz"]))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for part in parts:
        assert part in result.stderr, result.stderr
    assert not (here / "scores.npz").exists()


def test_without_names_all_proxies_that_suit_the_inputs(here: Path) -> None:
    assert suiting_proxies(Shapes((1, 8, 8), (10,))) == tuple(PROXIES)
    command = ["proxies", "--sample", "1", "--batch-size", "4", "--json"]
    whole = CliRunner().invoke(app, [*command, "tiny.py:space", "--out", "scores.npz"])
    assert [line["proxy"] for line in json.loads(whole.stdout)["proxies"]] == list(PROXIES)
    assert "left out" not in whole.stderr
    tokens = CliRunner().invoke(
        app, [*command, "flexibert_tiny", "--input", "8", "--out", "tokens.npz"]
    )
    assert tokens.exit_code == 0, tokens.output
    assert [line["proxy"] for line in json.loads(tokens.stdout)["proxies"]] == [
        name for name in PROXIES if name != "jacobian_covariance"
    ]
    assert "left out: jacobian_covariance, as tokens have no gradient" in tokens.stderr


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """A list that collects the architectures that are built from now on."""
    asked, original = [], nas.proxies.measuring.prepare

    def prepared(plan: ProxyPlan) -> Any:
        measure = original(plan)
        return lambda architecture: (asked.append(architecture), measure(architecture))[1]

    monkeypatch.setattr(nas.proxies.measuring, "prepare", prepared)
    return asked
