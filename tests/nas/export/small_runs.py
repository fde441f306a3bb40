"""A small space, and the journals and weights of runs in it, without a search."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import torch
from torch import nn

from nas.config.loading import parse_config
from nas.evaluators.evaluator import FinalResult, Observation
from nas.record.environment import environment
from nas.record.events import (
    final_event,
    finalist_event,
    finished_event,
    outcome_event,
    round_event,
)
from nas.record.journal import create
from nas.record.trials import Final, Finalist, Trial
from nas.search.finalists import final_seed
from spaces import Architecture, GraphBuilder, SearchSpace, Shapes
from spaces.canonical import canonical_key
from spaces.load import load_space

SHAPES = Shapes((1, 8, 8), (10,))
CLASSES = ["zero", 'one"', *map(str, range(2, 10))]
METADATA = {
    "inputs": "uint8",
    "normalize": "[[0.3], [0.5]]",
    "metric": "accuracy",
    "classes": json.dumps(CLASSES),
}


def define(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    value = builder.node(
        "conv2d", value, out_channels=choose.one_of("channels", [4, 6]), kernel_size=3, padding=1
    )
    value = builder.node(
        choose.one_of("activation", ["relu", "tanh"]), builder.node("batch_norm2d", value)
    )
    value = builder.node("flatten", builder.node("adaptive_avg_pool2d", value, output_size=2))
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


def traced(choose):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, choose.one_of("width", [8, 16])), nn.Tanh(), nn.Linear(8, 10)
    )


SMALL = SearchSpace("small", define)
space = SMALL.for_shapes(SHAPES)


def architecture(channels: int = 4, activation: str = "relu") -> Architecture:
    return Architecture("small", (("channels", channels), ("activation", activation)))


def trained(space: SearchSpace, item: Architecture, seed: int) -> nn.Module:
    """A network whose weights and running statistics are not the initial ones."""
    torch.manual_seed(seed)
    network = space.build(item)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(
                    torch.rand_like(tensor) + 0.5
                    if name.endswith("running_var")
                    else tensor + 0.3 * torch.randn_like(tensor)
                )
    return network


def config_of(space_name: str, **changes) -> dict:
    settings = {
        "space": space_name,
        "task": "digits",
        "strategy": "random",
        "budget": 4,
        "seed": 3,
        "finalists": {"count": 2, "seeds": 2},
    }
    return parse_config({**settings, **changes}, "here").model_dump(mode="json")


def key_of(space_name: str, shapes: Shapes, item: Architecture) -> str:
    own = {"small": SMALL, "mine.py:traced": SearchSpace("traced", traced)}
    space = own.get(space_name) or load_space(space_name)
    return (
        canonical_key(space.for_shapes(shapes).graph(item))
        if space.name == item.space
        else item.key
    )


def a_run(
    directory: Path,
    items: list[Architecture],
    *,
    space_name: str = "small",
    finals: bool = True,
    shapes: Shapes = SHAPES,
    keys_of: SearchSpace | None = None,
    **changes,
) -> Path:
    """The journal of a run with these trials.

    The last trial has the best search score, and the first has the best full trainings.
    """
    config = config_of(space_name, **changes)
    trials = []
    for number, item in enumerate(items):
        if keys_of is None:
            key = key_of(space_name, shapes, item)
        else:
            key = canonical_key(keys_of.graph(item))
        trials.append(Trial(number, 0, "search", item, "random", None, key, 100 + number))
    shown = {"shapes": {"input": list(shapes.input), "output": list(shapes.output)}}
    with create(directory, config, {**environment(), **shown}) as journal:
        journal.append([round_event(0, "search", trials)])
        for trial in trials:
            observation = Observation(0.5 + trial.number / 100, 1.0)
            journal.append([outcome_event(trial.number, observation)])
        if finals:
            seed = parse_config(config, "here").seed
            for rank, trial in enumerate(trials[:2], start=1):
                journal.append([finalist_event(Finalist(trial.number, rank, "search"))])
            for trial in trials[:2]:
                for index, (validation, test) in enumerate([(0.9, 0.81), (0.95, 0.83)]):
                    result = FinalResult(validation - trial.number / 10, test)
                    final = Final(trial.number, final_seed(seed, index), result)
                    journal.append([final_event(final)])
        journal.append([finished_event("the budget is used")])
    return directory


def load_model(folder: Path):
    spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
