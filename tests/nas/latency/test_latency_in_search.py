"""Latencies that a search measures: settings, configuration and evaluation."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import torch

from nas.config.loading import parse_config
from nas.config.sections import ConfigError
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.latency import LatencySettings
from nas.latency.measuring import peak_memory
from nas.tasks import load_task
from nas.training.recipe import Recipe
from spaces.load import load_space
from spaces.operators import sample


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("batch_size", "at least 1"),
        ("threads", "at least 1"),
        ("within", "above 0 and below 1"),
        ("limit", "seconds above 0"),
    ],
)
def test_settings_are_checked(setting: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"a latency's {setting} is .*{says}; got 0"):
        LatencySettings(**{setting: 0})  # type: ignore[arg-type]


TRAIN = {
    "space": "convnet",
    "task": "digits",
    "evaluator": {"name": "train", "latency": {"batch_size": 2, "limit": 0.01}},
}


def test_an_evaluation_measures_if_it_is_configured() -> None:
    task = load_task("digits", seed=0)
    train = replace(task.train, inputs=task.train.inputs[:64], targets=task.train.targets[:64])
    task = replace(task, train=train)
    space = load_space("convnet").for_shapes(task.shapes)
    architecture = sample(space, Random(0))
    evaluator = TrainEvaluator(space, task, Recipe(epochs=1, batch_size=32), device="cpu")
    plain = evaluator.evaluate(architecture, seed=1)
    measuring = replace(evaluator, latency=LatencySettings(batch_size=500, limit=0.01))
    measured = measuring.evaluate(architecture, seed=1)
    assert isinstance(plain, Observation)
    assert isinstance(measured, Observation)
    assert measured.score == plain.score
    known = dict(measured.metrics)
    assert {"latency", "latency_error", "memory"} == known.keys() - dict(plain.metrics).keys()
    assert known["latency"] > 0 <= known["latency_error"]
    network = space.build(architecture).eval()
    assert known["memory"] == peak_memory(network, torch.zeros(500, *task.shapes.input)), (
        "the batch is larger than the split"
    )


def test_a_configuration_has_the_settings() -> None:
    config = parse_config(TRAIN, "a.yaml")
    assert config.evaluator.latency == LatencySettings(batch_size=2, limit=0.01)  # type: ignore[union-attr]
    assert parse_config(config.model_dump(mode="json"), "again") == config
    assert parse_config({"space": "convnet", "task": "digits"}, "a.yaml").evaluator.latency is None  # type: ignore[union-attr]
    for latency, says in (
        (
            {"batchsize": 1},
            r"unknown key 'evaluator.latency.batchsize'; did you mean 'batch_size'\?",
        ),
        ({"limit": 0}, "a latency's limit is a number of seconds above 0; got 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            parse_config({**TRAIN, "evaluator": {"name": "train", "latency": latency}}, "a.yaml")


def test_a_missing_device_is_refused_before_the_run_begins() -> None:
    from nas.config.compose import compose

    evaluator = {"name": "train", "latency": {"device": "cuda:99"}}
    config = parse_config({**TRAIN, "evaluator": evaluator}, "a.yaml")
    with pytest.raises(
        ConfigError, match=r"evaluator.latency.device: the device 'cuda:99' is not on this machine"
    ):
        compose(config)
