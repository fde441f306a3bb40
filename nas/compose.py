"""From a checked configuration to the parts of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas.config import ConfigError, RunConfig, TableSection, parse_config, settings_of
from nas.executors import Executor, InlineExecutor, ProcessExecutor
from nas.executors.worker import make_evaluator
from nas.objectives import SCORE
from nas.strategies import STRATEGIES, RandomSearch, Strategy
from spaces import SearchSpace
from spaces.load import load_space

if TYPE_CHECKING:
    from nas.evaluators.evaluator import Evaluator
    from nas.tasks import Task
    from nas.training.recipe import Recipe

SEARCH, BASELINE = "search", "random"


@dataclass(frozen=True)
class Parts:
    """What a run is made of. `arms` are the compared strategies by name: the search, and the random baseline where there is one."""

    space: SearchSpace
    arms: Mapping[str, Strategy]


def compose(config: RunConfig) -> Parts:
    """The space and the strategies that a configuration names. The task or table is read once, so that wrong data is found before the run begins.

    Raises:
        ConfigError: a plug-in or setting is unknown, or a device is not here.
        ValueError: the space or task cannot be had.
    """
    space = shaped_space(config)
    strategy = strategy_of(config)
    arms = {SEARCH: strategy}
    if config.baseline == "random" and not isinstance(strategy, RandomSearch):
        arms[BASELINE] = RandomSearch()
    if isinstance(config.evaluator, TableSection):
        evaluator(config.model_dump(mode="json"), "cpu")
    devices_of(config)
    return Parts(space, arms)


def strategy_of(config: RunConfig) -> Strategy:
    """The strategy, with the predictor and the objectives where it takes them: where it has these fields with `repr=False`.

    Raises:
        ConfigError: the strategy or a setting is unknown, or it cannot be after these objectives.
    """

    def predictor() -> Any:
        from predictors import PREDICTORS

        return settings_of("predictor", PREDICTORS, config.predictor)

    strategy = settings_of("strategy", STRATEGIES, config.strategy, predictor=predictor, objectives=lambda: config.objectives)
    if config.objectives != (SCORE,) and getattr(strategy, "objectives", None) != config.objectives:
        able = [name for name, known in STRATEGIES.items() if "objectives" in known.__dataclass_fields__]
        raise ConfigError(
            f"the strategy {config.strategy.name!r} is after the score alone; for other objectives take {' or '.join(able)}, or leave `objectives` out"
        )
    return strategy


def shaped_space(config: RunConfig) -> SearchSpace:
    """The space, for the shapes of the task's data."""
    space = load_space(config.space)
    return space if config.task is None else space.for_shapes(task_of(config).shapes)


def task_of(config: RunConfig) -> Task:
    """The task that a configuration names. Its split has a seed of its own, so that runs of many seeds share one test set."""
    from nas.tasks import load_task

    assert config.task is not None
    return load_task(config.task.name, **{"seed": 0, **config.task.settings})


def evaluator(settings: Mapping[str, Any], device: str) -> Evaluator:
    """What scores architectures on a device: made in the process that uses it, from the configuration as JSON."""
    config = parse_config(settings, "the run's configuration")
    if isinstance(config.evaluator, TableSection):
        from nas.evaluators.table import table_evaluator

        table = config.evaluator
        return table_evaluator(load_space(config.space), table.path, score=table.score, test=table.test, seconds=table.seconds, metrics=table.metrics)
    from nas.evaluators.training import TrainEvaluator

    task = task_of(config)
    return TrainEvaluator(load_space(config.space).for_shapes(task.shapes), task, config.training, final_recipe(config), device)


def final_recipe(config: RunConfig) -> Recipe:
    """How a finalist is trained: as in the search, for more epochs."""
    return replace(config.training, epochs=config.finalists.epochs or 3 * config.training.epochs)


def final_count(config: RunConfig) -> int:
    """How many times a finalist is trained: a table says the same every time."""
    return 1 if isinstance(config.evaluator, TableSection) else config.finalists.seeds


def executor_of(config: RunConfig, factory: str = "nas.compose:evaluator") -> Executor:
    """Where evaluations run; `factory` is what makes their evaluator, `module:function`."""
    settings = config.model_dump(mode="json")
    devices = devices_of(config)
    if config.executor.name == "inline":
        return InlineExecutor(lambda: make_evaluator(factory, settings, devices[0]))
    threads = max(1, (os.cpu_count() or 1) // len(devices))
    limit = config.executor.time_limit
    # A full training may take as much longer as it has more epochs; held to the search's limit the finalists would be lost.
    longer = 1.0 if isinstance(config.evaluator, TableSection) else max(1.0, final_recipe(config).epochs / config.training.epochs)
    limits = None if limit is None else (limit, limit * longer)
    return ProcessExecutor(factory, settings, devices, time_limits=limits, threads=threads)


def devices_of(config: RunConfig) -> list[str]:
    """The device of every worker: all GPUs or the CPU, as many times as there are workers for each.

    Raises:
        ConfigError: a device is not on this machine.
    """
    wanted, workers = config.executor.devices, config.executor.workers
    if isinstance(wanted, list):
        devices = _found(wanted)
    elif isinstance(config.evaluator, TableSection):
        devices = ["cpu"]
    else:
        import torch

        count = torch.cuda.device_count() if wanted != "cpu" else 0
        if wanted == "cuda" and not count:
            raise ConfigError("executor.devices is cuda, and torch finds no GPU here; set it to auto or cpu, or install a CUDA build of torch")
        devices = [f"cuda:{number}" for number in range(count)] or ["cpu"]
    if workers is None:
        # On a CPU networks of a search gain little from several threads, and much from trainings side by side.
        alone = devices != ["cpu"] or isinstance(config.evaluator, TableSection)
        workers = len(devices) if alone else min(config.batch, os.cpu_count() or 1)
    return [devices[number % len(devices)] for number in range(workers)]


def _found(devices: list[str]) -> list[str]:
    from nas.training.training import find_device

    if not devices:
        raise ConfigError("executor.devices is an empty list; name a device, such as [cuda:0], or set it to auto")
    try:
        return [str(find_device(device)) for device in devices]
    except ValueError as error:
        raise ConfigError(f"executor.devices: {error}") from error
