"""The files of `nas init` and of configs/ are complete, commented, and run as they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from nas.cli.starter_files import NAMES, write_starter_files
from nas.config.loading import load_config
from nas.config.sections import ConfigError, RunConfig
from nas.strategies import STRATEGIES
from nas.training.recipe import Recipe
from spaces.load import load_space

CONFIGS = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))


def keys(text: str) -> set[str]:
    """The keys of a configuration file, those of sections with a dot."""
    loaded = yaml.safe_load(text)
    inner = {
        f"{key}.{name}"
        for key, section in loaded.items()
        if isinstance(section, dict)
        for name in section
    }
    return set(loaded) | inner


def expected_keys(config: RunConfig) -> set[str]:
    sections = {
        "training": [field.name for field in dataclasses.fields(Recipe)],
        "strategy": ["name", *make_plug_in(config.strategy.name)],
        "finalists": list(type(config.finalists).model_fields),
        "executor": list(type(config.executor).model_fields),
        "evaluator": list(type(config.evaluator).model_fields),
    }
    if "over" in sections["strategy"]:
        assert set(config.strategy.settings["over"]) == {
            "name",
            *make_plug_in(config.strategy.settings["over"]["name"]),
        }
    wanted = set(RunConfig.model_fields) | {
        f"{section}.{name}" for section, names in sections.items() for name in names
    }
    return (
        wanted
        if config.evaluator.name == "train"
        else {key for key in wanted if not key.startswith("training")}
    )


def make_plug_in(strategy: str) -> list[str]:
    return [field.name for field in dataclasses.fields(STRATEGIES[strategy]) if field.repr]  # type: ignore[arg-type]


def assert_complete(path: Path) -> RunConfig:
    text, config = path.read_text(), load_config(path)
    assert keys(text) >= expected_keys(config)
    for line in text.splitlines():
        # The line of a section needs no comment, because its keys have theirs.
        assert not line.strip() or "#" in line or line.rstrip().endswith(":"), line
    return config


def test_the_files_are_written_into_a_new_directory(tmp_path: Path) -> None:
    written = write_starter_files(tmp_path / "new" / "search")
    assert [path.name for path in written] == list(NAMES)
    assert all(path.read_text() for path in written)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text("mine = 1\n")
    with pytest.raises(
        ValueError, match=r"space\.py would be overwritten: give `nas init` another directory"
    ):
        write_starter_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["space.py"]
    assert (tmp_path / "space.py").read_text() == "mine = 1\n"


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="the files could not be written into"):
        write_starter_files(tmp_path / "file")


def test_the_config_is_complete_and_finds_what_lies_beside_it(tmp_path: Path) -> None:
    write_starter_files(tmp_path)
    config = assert_complete(tmp_path / "config.yaml")
    assert config.task is not None
    assert config.space == f"{tmp_path / 'space.py'}:space"
    assert config.task.name == f"{tmp_path / 'task.py'}:task"


def test_the_space_is_sound_on_the_task(tmp_path: Path) -> None:
    from nas.tasks import load_task
    from spaces.check import check

    write_starter_files(tmp_path)
    task = load_task(f"{tmp_path / 'task.py'}:task", seed=3)
    assert len(task.train) > len(task.validation) == len(task.test)
    report = check(
        load_space(f"{tmp_path / 'space.py'}:space").for_shapes(task.shapes), 5, size_seconds=1.0
    )
    assert report.problems == ()
    assert report.count == 5


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_are_complete(path: Path) -> None:
    config = assert_complete(path)
    space = load_space(config.space)
    assert space.name == config.space or ".py:" in config.space


def test_every_use_has_a_config() -> None:
    assert {path.stem for path in CONFIGS} >= {
        "asha_digits",
        "cifar10",
        "digits",
        "flexibert_shakespeare",
        "flexibert_sst2",
        "images",
        "nasbench201",
        "pareto_digits",
        "segmentation",
        "smoke",
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_settings_of_the_plug_ins_are_theirs(path: Path) -> None:
    from nas.config.strategy import strategy_of

    try:
        strategy_of(load_config(path))
    except ConfigError as error:
        pytest.fail(f"{path}: {error}")
