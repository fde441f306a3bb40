"""Where the evaluations of a run are made: the devices of its workers, and the executor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from nas.config.evaluator import final_recipe
from nas.config.sections import ConfigError, RunConfig, TableSection
from nas.executors import Executor, InlineExecutor, ProcessExecutor
from nas.executors.worker import make_evaluator

# What makes the evaluator in the process that uses it, as `module:function`.
EVALUATOR = "nas.config.evaluator:evaluator"


@dataclass(frozen=True)
class Workers:
    """Where evaluations are made. Starts nothing before `executor` is used.

    Attributes:
        settings: the configuration as JSON values; every worker makes its evaluator from it.
        devices: one for each worker, such as `cpu` or `cuda:0`.
        inline: whether evaluations are made in this process, one after the other.
        time_limits: seconds of an evaluation and of a full training; None for no limit.
    """

    settings: dict[str, Any]
    devices: tuple[str, ...]
    inline: bool = False
    time_limits: tuple[float, float] | None = None

    @property
    def count(self) -> int:
        """How many evaluations are made side by side."""
        return 1 if self.inline else len(self.devices)

    def executor(self, factory: str = EVALUATOR) -> Executor:
        """The executor, not yet started; `factory` makes the evaluator, as `module:function`."""
        if self.inline:
            return InlineExecutor(lambda: make_evaluator(factory, self.settings, self.devices[0]))
        threads = max(1, (os.cpu_count() or 1) // len(self.devices))
        return ProcessExecutor(
            factory, self.settings, self.devices, time_limits=self.time_limits, threads=threads
        )


def workers_of(config: RunConfig) -> Workers:
    """The workers of a configuration on this machine.

    Raises:
        ConfigError: a device is not on this machine.
    """
    limit, longer = config.executor.time_limit, 1.0
    if not isinstance(config.evaluator, TableSection):
        # A full training may take longer by as much as it has more epochs. With the limit of the
        # search's evaluations the finalists would be lost.
        longer = max(1.0, final_recipe(config).epochs / config.training.epochs)
    return Workers(
        config.model_dump(mode="json"),
        tuple(devices_of(config)),
        inline=config.executor.name == "inline",
        time_limits=None if limit is None else (limit, limit * longer),
    )


def devices_of(config: RunConfig) -> list[str]:
    """The device of every worker: every GPU, or the CPU, once for each of its workers.

    Raises:
        ConfigError: a device is not on this machine.
    """
    wanted, workers = config.executor.devices, config.executor.workers
    if isinstance(wanted, list):
        devices = found_devices(wanted)
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
        # On a CPU one small network gains little from several threads. Several trainings side by
        # side gain much more.
        alone = devices != ["cpu"] or isinstance(config.evaluator, TableSection)
        workers = len(devices) if alone else min(config.batch, os.cpu_count() or 1)
    return [devices[number % len(devices)] for number in range(workers)]


def found_devices(devices: list[str], key: str = "executor.devices") -> list[str]:
    """The devices by their full names; `key` is named in errors.

    Raises:
        ConfigError: the list is empty, or one of them is not on this machine.
    """
    from nas.training.devices import find_device

    if not devices:
        raise ConfigError(
            "executor.devices is an empty list; name a device, such as [cuda:0], or set it to auto"
        )
    try:
        return [str(find_device(device)) for device in devices]
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error
