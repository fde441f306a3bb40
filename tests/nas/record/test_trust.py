"""A run whose configuration names code resumes for who began it; others must allow it."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas.cli.main import app
from nas.config.plug_ins import named_code
from nas.record.trust import is_sealed, seal

SPACE = """
from spaces.nasbench201 import space as whole
from dataclasses import replace
import pathlib
pathlib.Path(__file__).with_name("imported").touch()
space = replace(whole)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_a_seal_fits_one_configuration_under_one_key(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"space": "a.py:space", "budget": 3}
    own = seal(config)
    assert is_sealed(dict(reversed(config.items())), own)
    assert not is_sealed({**config, "budget": 4}, own)
    assert not is_sealed(config, "")
    key = home / "state" / "surrogate-nas" / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "another"))
    assert not is_sealed(config, own)


def test_without_a_place_for_the_key_nothing_is_sealed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    assert seal({}) == ""
    assert not is_sealed({}, seal({}))


def test_what_counts_as_named_code() -> None:
    config = {
        "space": "convnet",
        "task": {"name": "my.py:task"},
        "strategy": {"name": "random"},
        "predictor": {"name": "p.q:P"},
    }
    assert named_code(config) == ("my.py:task", "p.q:P")
    assert named_code({"space": "x.py:s", "task": None}) == ("x.py:s",)


def test_a_run_with_own_code_is_read_and_resumed_only_where_it_was_begun(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    nas = CliRunner()
    (home / "mine.py").write_text(SPACE)
    (home / "c.yaml").write_text(
        "space: mine.py:space\nevaluator: {name: table, path: 'builtin:nasbench201', score: "
        "c100_val_200}\n"
        "strategy: random\nexecutor: inline\nbudget: 4\nfinalists: {count: 0}\n"
    )
    assert nas.invoke(app, ["search", "c.yaml", "--out", "run"]).exit_code == 0
    _unfinish(home / "run")
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert nas.invoke(app, ["resume", "../run"]).exit_code == 0
    assert nas.invoke(app, ["report", "../run"]).exit_code == 0
    assert "<svg" in (home / "run" / "report.html").read_text()

    _unfinish(home / "run")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "somebody else"))
    # Other tests have files of this name too.
    for name in [name for name in sys.modules if name.endswith("mine_py")]:
        monkeypatch.delitem(sys.modules, name)
    (home / "imported").unlink()
    assert nas.invoke(app, ["status", "../run"]).exit_code == 0
    assert nas.invoke(app, ["report", "../run"]).exit_code == 0
    refused = nas.invoke(app, ["resume", "../run"])
    assert refused.exit_code == 2
    assert "begun by somebody else" in refused.stderr
    assert "mine.py:space" in refused.stderr
    assert not (home / "imported").exists(), "nothing is imported because a run directory says so"
    assert nas.invoke(app, ["resume", "../run", "--trust"]).exit_code == 0
    assert (home / "imported").exists()


def _unfinish(run: Path) -> None:
    """Undoes the last event, as if the process had been killed before it."""
    import sqlite3

    connection = sqlite3.connect(run / "journal.sqlite")
    with connection:
        connection.execute("DELETE FROM events WHERE kind = 'finished'")
    connection.close()


def test_a_space_that_has_changed_since_is_refused_before_anything_is_journalled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from nas.record.journal import open_for_reading

    monkeypatch.chdir(home)
    nas = CliRunner()
    (home / "mine.py").write_text(SPACE)
    (home / "c.yaml").write_text(
        "space: mine.py:space\nevaluator: {name: table, path: 'builtin:nasbench201', score: "
        "c100_val_200}\n"
        "strategy: random\nexecutor: inline\nbudget: 4\nfinalists: {count: 0}\n"
    )
    assert nas.invoke(app, ["search", "c.yaml", "--out", "run"]).exit_code == 0
    _unfinish(home / "run")
    with open_for_reading(home / "run") as journal:
        before = journal.events()
    changed = (
        "\ndef define(choose):\n    from spaces import node\n    graph = whole.define(choose)\n"
    )
    changed += (
        "    return replace(graph, nodes=tuple(node('changed') if item.op.startswith('nor_conv') "
        "else item for item in graph.nodes))\n"
    )
    (home / "mine.py").write_text(SPACE + changed + "space = replace(whole, define=define)\n")
    for name in [name for name in sys.modules if name.endswith("mine_py")]:
        monkeypatch.delitem(sys.modules, name)
    for command in (["resume", "run"], ["export", "run", "--out", "out", "--untrained"]):
        refused = nas.invoke(app, command)
        assert refused.exit_code == 2, refused.output
        assert "the space has changed since" in refused.stderr
    with open_for_reading(home / "run") as journal:
        assert journal.events() == before


@pytest.mark.parametrize(
    "override",
    ["strategy.kappa=.nan", "strategy.kappa=nan", "predictor.learning_rate=.inf", "task.x=.nan"],
)
def test_numbers_that_are_not_finite_are_refused(home: Path, override: str) -> None:
    (home / "c.yaml").write_text("space: convnet\ntask: {name: digits}\n")
    refused = CliRunner().invoke(app, ["config", "show", str(home / "c.yaml"), "-s", override])
    assert refused.exit_code == 2
    assert "finite" in refused.stderr


def test_a_full_training_is_not_shorter_than_one_of_the_search(home: Path) -> None:
    (home / "c.yaml").write_text(
        "space: convnet\ntask: digits\ntraining: {epochs: 10}\nfinalists: {epochs: 3}\n"
    )
    refused = CliRunner().invoke(app, ["config", "show", str(home / "c.yaml")])
    assert refused.exit_code == 2
    assert "finalists.epochs is 3, fewer than training.epochs, 10" in refused.stderr
