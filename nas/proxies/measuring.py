"""Scores untrained architectures by proxies, in this process or in several.

The scores of an architecture depend only on the plan and on the architecture.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

from nas.executors import WorkerError
from spaces import Architecture, Graph, SearchSpace, Shapes
from spaces.load import load_space
from spaces.ops.tokens import vocabulary

if TYPE_CHECKING:
    from nas.tasks.task import Task


@dataclass(frozen=True)
class ProxyPlan:
    """What is computed, in plain values that can be sent to another process.

    Attributes:
        space: a name for `spaces.load.load_space`.
        shapes: of the data.
        proxies: names in `nas.proxies.PROXIES`.
        task: the batch comes from this task's training split, given as for `named_task`; None: the
            batch is noise.
        batch_size: the number of samples in the batch.
        seed: of the weights and of the batch. They differ between repeats, and the draws are the
            same for all architectures.
        repeats: the number of networks whose scores are averaged. Each has its own weights and its
            own batch.
        device: the device of the networks, as `nas.training.devices.find_device` takes it.
    """

    space: str
    shapes: Shapes
    proxies: tuple[str, ...]
    task: str | None = None
    batch_size: int = 32
    seed: int = 0
    repeats: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.batch_size < 2 or self.repeats < 1:
            raise ValueError(
                "a batch has at least two samples, and there is at least one repeat; got "
                f"{self.batch_size} and {self.repeats}"
            )


@dataclass(frozen=True)
class Scored:
    """The scores of an architecture, and the seconds that each took.

    Attributes:
        values: in the order of the plan's proxies; NaN if a score is not finite.
        seconds: in the same order, the sum over the repeats.
    """

    values: tuple[float, ...]
    seconds: tuple[float, ...]


Measure = Callable[[Architecture], Scored]


def measure_all(
    plan: ProxyPlan, architectures: Sequence[Architecture], *, workers: int = 1
) -> Iterator[tuple[int, Scored]]:
    """The index and the scores of each architecture, in the order in which they finish.

    If the iterator is closed early, the workers are stopped.

    Raises:
        ValueError: the space, the task or an architecture's network does not fit the plan.
        nas.executors.WorkerError: a worker process died.
    """
    if workers == 1 or len(architectures) < 2:
        measure = prepare(plan)
        for index, architecture in enumerate(architectures):
            yield index, measure(architecture)
        return
    # Spawned, because a process that has used torch's threads cannot be forked safely.
    pool = ProcessPoolExecutor(
        min(workers, len(architectures)), get_context("spawn"), _start, (plan,)
    )
    try:
        indices = {
            pool.submit(_work, architecture.to_json()): index
            for index, architecture in enumerate(architectures)
        }
        for future in as_completed(indices):
            done = future.result()
            if isinstance(done, str):
                raise ValueError(done)
            yield indices[future], done
    except BrokenProcessPool as error:
        raise WorkerError(
            "a worker process died, perhaps because memory ran out: ask for fewer workers or a "
            "smaller batch"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def prepare(plan: ProxyPlan) -> Measure:
    """The function that scores one architecture.

    Raises:
        ValueError: the space, the task or the device is unknown, or the task has fewer samples
            than the batch.
    """
    from nas.proxies import PROXIES, Batch, noise_batch, task_batch
    from nas.seeds import derive
    from nas.training.devices import find_device, own_randomness

    space, device = load_space(plan.space).for_shapes(plan.shapes), find_device(plan.device)
    repeats = range(plan.repeats)
    weight_seeds = [derive(plan.seed, "proxies: weights", repeat) for repeat in repeats]
    batch_seeds = [derive(plan.seed, "proxies: batch", repeat) for repeat in repeats]
    task_batches: list[Batch] | None = None
    if plan.task is not None:
        task = named_task(plan.task)
        task_batches = [task_batch(task, plan.batch_size, seed).to(device) for seed in batch_seeds]

    def batch_of(architecture: Architecture, repeat: int) -> Batch:
        if task_batches is not None:
            return task_batches[repeat]
        tokens = vocabulary(_network(space, architecture))
        seed = batch_seeds[repeat]
        return noise_batch(plan.shapes, plan.batch_size, seed, tokens=tokens).to(device)

    def measure(architecture: Architecture) -> Scored:
        totals, seconds = [0.0] * len(plan.proxies), [0.0] * len(plan.proxies)
        for repeat in repeats:
            with own_randomness(weight_seeds[repeat], device):
                module = space.build(architecture).to(device)
            batch = batch_of(architecture, repeat)
            for number, name in enumerate(plan.proxies):
                began = time.perf_counter()
                totals[number] += PROXIES[name](module, batch)
                seconds[number] += time.perf_counter() - began
        means = (total / plan.repeats for total in totals)
        values = tuple(mean if math.isfinite(mean) else math.nan for mean in means)
        return Scored(values, tuple(seconds))

    return measure


def named_task(text: str) -> Task:
    """The task that a configuration would give as `task: text`; the seed of its splits is 0.

    The text is a name, or a YAML mapping such as {name: images, path: photos}.

    Raises:
        ValueError: the text is neither, or there is no such task.
    """
    import yaml

    from nas.tasks import load_task

    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"a task is a name, or a mapping such as {{name: images, path: photos}}; got "
            f"{text!r} ({error})"
        ) from error
    settings = {"name": loaded} if isinstance(loaded, str) else loaded
    if not isinstance(settings, dict) or not isinstance(settings.get("name"), str):
        raise ValueError(
            f"a task is a name, or a mapping such as {{name: images, path: photos}}; got {text!r}"
        )
    options = {key: value for key, value in settings.items() if key != "name"}
    return load_task(settings["name"], **{"seed": 0, **options})


def _network(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.network_graph(space.graph(architecture))


# The measure of a worker process, set once when the process starts; or an error message.
_measure: Measure | str = "the worker was not started"


def _start(plan: ProxyPlan) -> None:
    import torch

    global _measure
    # Only the parent reacts to Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        _measure = prepare(plan)
    except ValueError as error:
        _measure = str(error)


def _work(architecture: str) -> Scored | str:
    """The scores, or the message of an error that the user can correct."""
    if isinstance(_measure, str):
        return _measure
    try:
        return _measure(Architecture.from_json(architecture))
    except ValueError as error:
        return str(error)
