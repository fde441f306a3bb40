"""The section `training`: a recipe that does not suit the task is refused before the run begins."""

from __future__ import annotations

import pytest

from nas.config.compose import compose
from nas.config.loading import parse_config
from nas.config.sections import ConfigError
from nas.training import optimizers


def config(**training):
    return parse_config({"space": "convnet", "task": "digits", "training": training}, "here")


def test_all_options_are_read_and_suit_the_digits():
    options = {
        "optimizer": "muon",
        "schedule": "power",
        "ema": 0.99,
        "mixup": 0.2,
        "cutmix": 1,
        "accumulate": 2,
        "hopeless": 0.5,
        "class_weights": "balanced",
        "compile": True,
    }
    read = config(**options)
    assert {name: getattr(read.training, name) for name in options} == options
    compose(read)


def test_a_recipe_for_another_task_is_refused():
    tokens = parse_config(
        {
            "space": "convnet",
            "task": "tests/nas/config/word_task.py:words",
            "training": {"mixup": 0.2},
        },
        "here",
    )
    with pytest.raises(ConfigError, match=r"training: mixup is for .*'words' has tokens"):
        compose(tokens)


def test_a_missing_package_is_found_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"training: the optimizer 'soap' needs .*\[optim\]"):
        compose(config(optimizer="soap"))


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"schedule": "linear"}, "training.schedule"),
        ({"ema": 1.0}, "a recipe's ema is at least 0 and less than 1, or null; got 1.0"),
        ({"class_weights": "even"}, "training.class_weights"),
        ({"mixups": 0.2}, "did you mean 'training.mixup'|did you mean 'mixup'"),
    ],
)
def test_a_wrong_value_is_named(training, says):
    with pytest.raises(ConfigError, match=says):
        config(**training)
