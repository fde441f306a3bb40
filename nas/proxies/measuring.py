"""Builds architectures and scores them, in this process or in several. What an architecture gets
depends on the plan and on itself alone.
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

if TYPE_CHECKING:
    from nas.tasks.task import Task


@dataclass(frozen=True)
class Plan:
    """What is computed, in plain values, so that another process can.

    Attributes:
        space: as `spaces.load.load_space` takes it.
        shapes: of the data.
        proxies: names among `nas.proxies.PROXIES`.
        task: whose training split the batch comes from, as `named_task` takes it; None: noise.
        seed: of the weights and of the batch, by repeat, the same for all architectures.
        repeats: over how many networks, each with weights and a batch of its own, a score is
            averaged.
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
    """An architecture's scores in the order of the plan's proxies, not a number where they are not
    finite; and the seconds that each took.
    """

    values: tuple[float, ...]
    seconds: tuple[float, ...]


Measure = Callable[[Architecture], Scored]


def measure_all(
    plan: Plan, architectures: Sequence[Architecture], *, workers: int = 1
) -> Iterator[tuple[int, Scored]]:
    """Each architecture's index and scores, as they are done. Where this is left early, the workers
    are let go.

    Raises:
        ValueError: the space, the task, or an architecture's network is not as the plan needs it.
        nas.executors.WorkerError: a worker process died.
    """
    if workers == 1 or len(architectures) < 2:
        measure = prepare(plan)
        for index, architecture in enumerate(architectures):
            yield index, measure(architecture)
        return
    # Spawned, as a process that computed with torch's threads cannot be forked safely.
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
            "a worker process died, perhaps for want of memory: ask for fewer workers or a "
            "smaller batch"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def prepare(plan: Plan) -> Measure:
    """The function that scores one architecture.

    Raises:
        ValueError: there is no such space, task or device, or the task has fewer samples than the
            batch.
    """
    from nas.proxies import PROXIES, Batch, noise_batch, task_batch
    from nas.seeds import derive
    from nas.training.loop import find_device, own_randomness

    space, device = load_space(plan.space).for_shapes(plan.shapes), find_device(plan.device)
    seeds = [
        (derive(plan.seed, "proxies: weights", repeat), derive(plan.seed, "proxies: batch", repeat))
        for repeat in range(plan.repeats)
    ]
    task = named_task(plan.task) if plan.task is not None else None
    fixed = (
        [task_batch(task, plan.batch_size, seed).to(device) for _, seed in seeds]
        if task is not None
        else None
    )

    def batch_of(architecture: Architecture, repeat: int) -> Batch:
        if fixed is not None:
            return fixed[repeat]
        return noise_batch(
            plan.shapes,
            plan.batch_size,
            seeds[repeat][1],
            tokens=vocabulary(_network(space, architecture)),
        ).to(device)

    def measure(architecture: Architecture) -> Scored:
        totals, seconds = [0.0] * len(plan.proxies), [0.0] * len(plan.proxies)
        for repeat, (weights, _) in enumerate(seeds):
            with own_randomness(weights, device):
                module = space.build(architecture).to(device)
            batch = batch_of(architecture, repeat)
            for number, name in enumerate(plan.proxies):
                began = time.perf_counter()
                totals[number] += PROXIES[name](module, batch)
                seconds[number] += time.perf_counter() - began
        means = (total / plan.repeats for total in totals)
        return Scored(
            tuple(mean if math.isfinite(mean) else math.nan for mean in means), tuple(seconds)
        )

    return measure


def named_task(text: str) -> Task:
    """The task that stands in a configuration as `task: text`: a name, or a mapping such as {name:
    images, path: photos}. Its splits have the seed 0.

    Raises:
        ValueError: it is neither, or there is no such task.
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
    return load_task(
        settings["name"],
        **{"seed": 0, **{key: value for key, value in settings.items() if key != "name"}},
    )


def vocabulary(network: Graph) -> int | None:
    """How many different tokens a network takes at its input; None where it takes other numbers."""
    sizes = [network.nodes[target].get("num_embeddings") for target in network.outgoing[0]]
    return min((size for size in sizes if isinstance(size, int)), default=None)


def _network(space: SearchSpace, architecture: Architecture) -> Graph:
    return space.network_graph(space.graph(architecture))


# The measure of a worker process, which is started with its plan once; or the sentence that says
# why there is none.
_measure: Measure | str = "the worker was not started"


def _start(plan: Plan) -> None:
    import torch

    global _measure
    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        _measure = prepare(plan)
    except ValueError as error:
        _measure = str(error)


def _work(architecture: str) -> Scored | str:
    """The scores, or the sentence of an error that the user can mend."""
    if isinstance(_measure, str):
        return _measure
    try:
        return _measure(Architecture.from_json(architecture))
    except ValueError as error:
        return str(error)
