"""From a checked configuration to the parts of a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from nas.config.config import (
    ConfigError,
    Named,
    RunConfig,
    TableSection,
    TrainSection,
    named_in,
    parse_config,
    settings_of,
)
from nas.executors import Executor, InlineExecutor, ProcessExecutor
from nas.executors.worker import make_evaluator
from nas.objectives.constrained_space import check_told, within
from nas.objectives.descriptors import operations
from nas.objectives.objective import SCORE
from nas.record.arms import BASELINE, OUTSIDE, SEARCH
from nas.seeds import generator
from nas.strategies import STRATEGIES, RandomSearch, Strategy
from nas.strategies.rungs import rungs_of
from spaces import SearchSpace
from spaces.load import load_space
from spaces.operators import sample, sample_graph

if TYPE_CHECKING:
    from nas.evaluators.evaluator import Evaluator
    from nas.tasks import Task
    from nas.training.recipe import Recipe

# Random architectures that are tried before a space is said to make no networks for the data.
TRIED = 5


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    Attributes:
        arms: the compared strategies by name: the search, and the random baseline where there is
            one.
        data: the fingerprint of what scores come from, the task's data or the table's file.
    """

    space: SearchSpace
    arms: Mapping[str, Strategy]
    data: str


def compose(config: RunConfig) -> Parts:
    """The space and the strategies that a configuration names. The task or table is read once, so
    that wrong data is found before the run begins.

    Raises:
        ConfigError: a plug-in or setting is unknown, or a device is not here.
        ValueError: the space or task cannot be had, or the space makes no networks for the task's
            data.
    """
    strategy = strategy_of(config)  # First, for a wrong setting needs no data to be answered.
    task = None if config.task is None else task_of(config)
    space = constrained_space(config, shaped_space(config, task))
    if isinstance(config.evaluator, TrainSection):
        _check_suits(space, config.seed)
    arms = {SEARCH: strategy}
    if config.baseline == "random" and not isinstance(strategy, RandomSearch):
        arms[BASELINE] = RandomSearch()
    if isinstance(config.evaluator, TrainSection) and config.evaluator.latency is not None:
        _found([config.evaluator.latency.device], "evaluator.latency.device")
    _check_rungs(config, rungs_of(strategy))
    devices_of(config)
    return Parts(space, arms, _fingerprint(config, task))


def _fingerprint(config: RunConfig, task: Task | None) -> str:
    if isinstance(config.evaluator, TableSection):
        from nas.evaluators.table import find_table

        return hashlib.sha256(find_table(config.evaluator.path).read_bytes()).hexdigest()
    assert task is not None
    return task.fingerprint()


def _check_suits(space: SearchSpace, seed: int) -> None:
    """Refuses a space whose networks are for other data before the run begins, not after a row of
    failed evaluations; one that is made is enough.
    """
    from spaces.check import check_output

    random, reason = generator(seed, "does the space suit"), None
    for _ in range(TRIED):
        try:
            check_output(space, sample_graph(space, random)[1])
        except ValueError as error:
            reason = reason or error
        else:
            return
    assert reason is not None
    raise reason


def strategy_of(config: RunConfig) -> Strategy:
    """The strategy, with the predictor, the objectives and the constraints where it takes them:
    where it has these fields with `repr=False`.

    The strategy below it (`strategy.over`), where it has one, is made in the same way.

    Raises:
        ConfigError: the strategy or a setting is unknown, or it cannot be after these objectives;
            or the run is driven by an agent outside.
    """
    if config.strategy.name == OUTSIDE:
        raise ConfigError(
            "the strategy `outside` is an agent of somebody's own program, which proposes what "
            "is evaluated, so the program has to be run again: it opens "
            "the run's directory by nas.outside.SearchEnvironment.from_config, and goes on; or "
            "name one of the strategies " + ", ".join(STRATEGIES)
        )

    from predictors import PREDICTORS

    # Also where the strategy does not look at it: a wrong value is answered.
    predictor = settings_of("predictor", PREDICTORS, config.predictor)
    offered: dict[str, Any] = {
        "predictor": lambda: predictor,
        "objectives": lambda: config.objectives,
        "constraints": lambda: config.constraints,
    }

    def made(named: Named) -> Strategy:
        within = {Strategy: lambda value: made(named_in("strategy.over", value))}
        return settings_of("strategy", STRATEGIES, named, within, **offered)

    strategy = made(config.strategy)
    if config.objectives != (SCORE,) and getattr(strategy, "objectives", None) != config.objectives:
        able = [
            name for name, known in STRATEGIES.items() if "objectives" in known.__dataclass_fields__
        ]
        raise ConfigError(
            f"the strategy {config.strategy.name!r} is after the score alone; for other "
            f"objectives take {' or '.join(able)}, or leave `objectives` out"
        )
    return strategy


def _check_rungs(config: RunConfig, rungs: tuple[float, ...]) -> None:
    """Refuses fidelities of which the table has no scores, or that are not told apart by whole
    epochs. Reads the table.
    """
    if isinstance(config.evaluator, TableSection):
        from nas.evaluators.table import TableEvaluator

        table = evaluator(config.model_dump(mode="json"), "cpu")
        assert isinstance(table, TableEvaluator)
        for fidelity in rungs:
            table.column(fidelity)
        return
    epochs = [config.training.epochs_at(fidelity) for fidelity in rungs]
    if len(set(epochs)) < len(epochs):
        raise ConfigError(
            f"the strategy {config.strategy.name!r} pauses trainings after "
            f"{', '.join(map(str, epochs))} of training.epochs, and each should be more than the "
            f"one before: raise training.epochs to {round(1 / rungs[0])} or more, or strategy.least"
        )


def shaped_space(config: RunConfig, task: Task | None = None) -> SearchSpace:
    """The space, for the shapes of the task's data; `task` is the configuration's, where it is
    loaded already.
    """
    space = load_space(config.space)
    return space if config.task is None else space.for_shapes((task or task_of(config)).shapes)


def constrained_space(config: RunConfig, space: SearchSpace) -> SearchSpace:
    """The space held to those constraints that its graphs tell before any evaluation.

    Args:
        space: for the shapes of the task's data.

    Raises:
        ConfigError: an objective or constraint is a number that neither an evaluation nor a graph
            gives.
        ValueError: too few architectures keep the constraints to find one by chance.
    """
    check_numbers(config)
    measured = measured_numbers(config)
    for name in needed_numbers(config):
        if name not in measured:
            try:
                check_told(space, name)
            except ValueError as error:
                raise _not_a_number(config, name, error) from error
    told = [constraint for constraint in config.constraints if constraint.name not in measured]
    held = within(space, told)
    if told:
        sample(held, Random(config.seed))
    return held


def check_numbers(config: RunConfig) -> None:
    """Refuses objectives and constraints of numbers that nothing gives, as far as their names tell
    it.

    Raises:
        ConfigError: the message lists what is known.
    """
    for name in needed_numbers(config):
        if name not in measured_numbers(config):
            try:
                operations(name)
            except ValueError as error:
                raise _not_a_number(config, name, error) from error


def _not_a_number(config: RunConfig, name: str, error: ValueError) -> ConfigError:
    what = (
        "objective"
        if any(objective.name == name for objective in config.objectives)
        else "constraint"
    )
    return ConfigError(
        f"the {what} {name!r} is none of the numbers that an evaluation gives "
        f"({', '.join(measured_numbers(config))}), and {error}"
    )


def measured_numbers(config: RunConfig) -> tuple[str, ...]:
    """The numbers that only an evaluation gives, by name; all others that a run needs are the
    graph's. A table's own columns come before these.
    """
    if isinstance(config.evaluator, TableSection):
        return ("score", "seconds", *config.evaluator.metrics)
    return (
        "score",
        "seconds",
        "batch_size",
        *(("latency", "latency_error", "memory") if config.evaluator.latency is not None else ()),
    )


def needed_numbers(config: RunConfig) -> tuple[str, ...]:
    """The numbers that the objectives and constraints are of, each once."""
    return tuple(
        dict.fromkeys(
            (
                *(objective.name for objective in config.objectives),
                *(constraint.name for constraint in config.constraints),
            )
        )
    )


def task_of(config: RunConfig) -> Task:
    """The task that a configuration names. Its split has a seed of its own, so that runs of many
    seeds share one test set.
    """
    from nas.tasks import load_task

    assert config.task is not None
    return load_task(config.task.name, **{"seed": 0, **config.task.settings})


def evaluator(settings: Mapping[str, Any], device: str) -> Evaluator:
    """What scores architectures on a device: made in the process that uses it, from the
    configuration as JSON.
    """
    config = parse_config(settings, "the run's configuration")
    if isinstance(config.evaluator, TableSection):
        from nas.evaluators.table import table_evaluator

        table = config.evaluator
        columns = table.model_dump(exclude={"name", "path"})
        return table_evaluator(load_space(config.space), table.path, **columns)
    from nas.evaluators.train import TrainEvaluator

    task = task_of(config)
    space, section = load_space(config.space).for_shapes(task.shapes), config.evaluator
    rule = None if section.transfer is None else section.transfer.rule
    return TrainEvaluator(
        space,
        task,
        config.training,
        final_recipe(config),
        device,
        latency=section.latency,
        transfer=rule,
    )


def final_recipe(config: RunConfig) -> Recipe:
    """How a finalist is trained: as in the search, for more epochs."""
    return replace(config.training, epochs=config.finalists.epochs or 3 * config.training.epochs)


def final_count(config: RunConfig) -> int:
    """How many times a finalist is trained: a table says the same every time."""
    return 1 if isinstance(config.evaluator, TableSection) else config.finalists.seeds


def executor_of(config: RunConfig, factory: str = "nas.config.compose:evaluator") -> Executor:
    """Where evaluations run; `factory` is what makes their evaluator, `module:function`."""
    settings = config.model_dump(mode="json")
    devices = devices_of(config)
    if config.executor.name == "inline":
        return InlineExecutor(lambda: make_evaluator(factory, settings, devices[0]))
    threads = max(1, (os.cpu_count() or 1) // len(devices))
    limit = config.executor.time_limit
    # A full training may take as much longer as it has more epochs; held to the search's limit the
    # finalists would be lost.
    longer = (
        1.0
        if isinstance(config.evaluator, TableSection)
        else max(1.0, final_recipe(config).epochs / config.training.epochs)
    )
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
            raise ConfigError(
                "executor.devices is cuda, and torch finds no GPU here; set it to auto or cpu, "
                "or install a CUDA build of torch"
            )
        devices = [f"cuda:{number}" for number in range(count)] or ["cpu"]
    if workers is None:
        # On a CPU networks of a search gain little from several threads, and much from trainings
        # side by side.
        alone = devices != ["cpu"] or isinstance(config.evaluator, TableSection)
        workers = len(devices) if alone else min(config.batch, os.cpu_count() or 1)
    return [devices[number % len(devices)] for number in range(workers)]


def _found(devices: list[str], key: str = "executor.devices") -> list[str]:
    from nas.training.loop import find_device

    if not devices:
        raise ConfigError(
            "executor.devices is an empty list; name a device, such as [cuda:0], or set it to auto"
        )
    try:
        return [str(find_device(device)) for device in devices]
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error
