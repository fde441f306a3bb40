"""The prior that a configuration names by its directory: recorded with the run, and compared."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.config.compose import compose
from nas.config.loading import load_config, parse_config
from nas.config.sections import ConfigError, RunConfig
from nas.record.history import History
from nas.record.journal import create, open_for_reading
from nas.search.run import resume, start
from predictors.prior.stored import SHIPPED, digest, load_prior, save_prior

CONFIG = """
space: nasbench201
evaluator: {name: table, path: "builtin:nasbench201", score: c100_val_200}
strategy: {name: surrogate, initial: 2, candidates: 60}
predictor: {name: whole, prior: mine}
executor: inline
finalists: {count: 0}
baseline: none
budget: 4
batch: 2
"""


def quiet(history: History, events: object) -> None:
    """Watches and prints nothing."""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "search.yaml").write_text(CONFIG)
    write_prior(tmp_path / "mine", [0, 1, 2])
    return tmp_path


def write_prior(directory: Path, experts: list[int]) -> None:
    """Some of the shipped experts."""
    shipped = load_prior("shipped")
    assert shipped is not None
    save_prior(shipped.only(experts), directory, {})


def cut_short(folder: Path, config: RunConfig) -> tuple[Path, History]:
    """A run that was interrupted in its first round, and its whole history otherwise."""
    whole = start(config, folder / "whole", quiet)
    with open_for_reading(folder / "whole") as journal:
        cut = create(folder / "cut", journal.config, journal.environment)
        cut.append(journal.events()[:1])
        cut.close()
    # So that the prior is read again, as in another process.
    load_prior.cache_clear()
    return folder / "cut", whole


def proposed(history: History) -> list[tuple[Any, ...]]:
    return [(trial.architecture, trial.prediction, trial.outcome) for trial in history.trials]


def test_the_directory_and_the_digest_are_recorded(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, whole = cut_short(here, load_config(here / "search.yaml"))
    prior = load_prior(str(here / "mine"))
    assert prior is not None
    with open_for_reading(cut) as journal:
        assert journal.config["predictor"]["prior"] == str(here / "mine")
        assert journal.environment["prior"] == digest(prior)
    monkeypatch.chdir("/")
    assert proposed(resume(cut, quiet)) == proposed(whole)
    assert len(whole.observed) == 4


def test_another_prior_in_the_directory_is_refused(here: Path) -> None:
    cut, _ = cut_short(here, load_config(here / "search.yaml"))
    write_prior(here / "mine", [0, 1, 3])
    with pytest.raises(ValueError, match=r"is not the one that the run .*cut began with.*put the"):
        resume(cut, quiet, changed_data=True)
    write_prior(here / "mine", [0, 1, 2])
    load_prior.cache_clear()
    assert len(resume(cut, quiet).observed) == 4


def test_a_directory_that_is_gone_is_refused(here: Path) -> None:
    cut, _ = cut_short(here, load_config(here / "search.yaml"))
    shutil.rmtree(here / "mine")
    with pytest.raises(ConfigError, match=r"a prior is .*; .*mine cannot be read"):
        resume(cut, quiet)


@pytest.mark.parametrize("strategy", ["surrogate", "random"])
@pytest.mark.parametrize("prior", ["nowhere", ""])
def test_a_prior_that_is_not_there_is_refused_before_anything_is_written(
    here: Path, prior: str, strategy: str
) -> None:
    config = load_config(here / "search.yaml", [f"predictor.prior={prior!r}"])
    named = parse_config({**config.model_dump(mode="json"), "strategy": strategy}, "here")
    with pytest.raises(ConfigError, match=r"a prior is .*; .* cannot be read"):
        start(named, here / "run", quiet)
    assert not (here / "run").exists()


@pytest.mark.parametrize("prior", ["none", "shipped"])
def test_a_name_is_no_directory(here: Path, prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SHIPPED, here / prior)
    monkeypatch.chdir(here)
    config = load_config(here / "search.yaml", [f"predictor.prior={prior}"])
    assert config.predictor.settings["prior"] == prior
    assert compose(config).prior == ""
