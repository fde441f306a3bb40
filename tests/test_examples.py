"""The examples run, and their spaces and tasks do what they are meant to show."""

from __future__ import annotations

import runpy
import sys
import tomllib
from pathlib import Path
from random import Random

import pytest

from spaces import Shapes
from spaces.check import check
from spaces.load import known_spaces, load_space
from spaces.operators import sample

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_every_example_is_run_by_a_test() -> None:
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert names
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    missing = [name for name in names if f'"{name}"' not in text and f'run("{name}.py"' not in text]
    assert not missing, f"no test runs {missing}"


def run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.mark.parametrize("name", ["graph_space", "torch_space"])
def test_a_space_shows_and_checks_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(f"{name}.py", monkeypatch)
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["graph_space", "torch_space"])
@pytest.mark.parametrize("shapes", [Shapes((1, 8, 8), (10,)), Shapes((3, 12, 16), (4,))])
def test_a_space_serves_other_data(name: str, shapes: Shapes) -> None:
    space = load_space(f"{EXAMPLES / name}.py:space").for_shapes(shapes)
    assert check(space, 4, seed=5, size_seconds=0.5).problems == ()


def test_the_graph_space_rejects_some() -> None:
    space = load_space(f"{EXAMPLES / 'graph_space.py'}:space").for_shapes(Shapes((1, 8, 8), (10,)))
    assert check(space, 12, size_seconds=0.1).rejected > 0


def test_the_plugin_is_known_once_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test does what an installer does: it puts modules and entry points on the path."""
    described = tomllib.loads((EXAMPLES / "plugin" / "pyproject.toml").read_text())
    project = described["project"]
    information = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [f"{name} = {where}" for name, where in project["entry-points"]["nas.spaces"].items()]
    (information / "entry_points.txt").write_text("\n".join(["[nas.spaces]", *points, ""]))
    for module in described["tool"]["setuptools"]["py-modules"]:
        (tmp_path / f"{module}.py").write_text((EXAMPLES / "plugin" / f"{module}.py").read_text())
    assert "perceptrons" not in known_spaces()
    monkeypatch.syspath_prepend(tmp_path)
    space = load_space("perceptrons")
    for shapes in (Shapes((5,), (2,)), Shapes((1, 8, 8), (10,)), Shapes((3,), (2, 4))):
        assert check(space.for_shapes(shapes), 6, size_seconds=0.1).problems == ()


def test_the_task_can_be_learned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("own_task.py", monkeypatch)
    assert float(capsys.readouterr().out.split(", ")[-1]) > 0.5


def test_the_text_space_shows_checks_and_trains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tokenizers")
    run("text_space.py", monkeypatch)
    printed = capsys.readouterr().out
    assert "no problems" in printed
    assert float(printed.split(", ")[-1]) > 0.8


@pytest.mark.parametrize(
    "shapes", [Shapes((5,), (2,), vocabulary=7), Shapes((64,), (5,), vocabulary=300)]
)
def test_the_text_space_serves_other_texts(shapes: Shapes) -> None:
    space = load_space(f"{EXAMPLES / 'text_space.py'}:space")
    assert check(space.for_shapes(shapes), 8, seed=5, size_seconds=0.5).problems == ()
    with pytest.raises(ValueError, match="tasks whose inputs are tokens"):
        space.for_shapes(Shapes((64,), (2,))).graph(sample(space, Random(0)))


def test_the_task_takes_its_options_from_a_config() -> None:
    from nas.tasks import load_task

    task = load_task(f"{EXAMPLES / 'own_task.py'}:bars", seed=1, count=100)
    assert (len(task.train), len(task.validation), len(task.test)) == (60, 20, 20)


def test_a_search_runs_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("search_in_python.py", monkeypatch, str(tmp_path / "run"))
    printed = capsys.readouterr().out
    assert "6 of 6 evaluated" in printed
    assert "the best of 6: activation=" in printed
    assert 0 < float(printed.split("test accuracy")[1]) <= 1


def test_networks_of_two_inputs_are_searched_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    run("two_inputs.py", monkeypatch, str(tmp_path))
    printed = capsys.readouterr().out
    assert "6 evaluated" in printed
    assert printed.count("it gives the same outputs") == 2
    assert float(printed.split("test accuracy ")[1].split()[0]) > 0.9, "chance is 0.5"
    card = (tmp_path / "onnx" / "README.md").read_text()
    assert "image (batch, 1, 8, 8), table (batch, 5)" in card


def test_flows_run_from_python_and_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("flows.py", monkeypatch, str(tmp_path))
    first = capsys.readouterr().out
    assert [line.split(":")[0] for line in first.splitlines()[:3]] == [
        "joint",
        "separate",
        "nested",
    ]
    assert first.count("is the best found with") == 8
    run("flows.py", monkeypatch, str(tmp_path))
    assert capsys.readouterr().out == first


def test_a_search_from_coarse_to_fine_runs_and_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("coarse_to_fine.py", monkeypatch, str(tmp_path / "flow"))
    first = capsys.readouterr().out
    scores = [float(line.split(": ")[1]) for line in first.splitlines()[:3]]
    assert scores == sorted(scores), "a level begins with the best of the one before"
    run("coarse_to_fine.py", monkeypatch, str(tmp_path / "flow"))
    assert capsys.readouterr().out == first


def test_an_agent_outside_drives_a_run_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        run("outside_agent.py", monkeypatch, str(tmp_path / "run"))
    first, again = capsys.readouterr().out.splitlines()
    assert first.startswith("100 evaluated, the best 7")
    assert again == first
