"""From a checked configuration to the parts of a run, in one place and once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.config.arms import BASELINE, SEARCH
from nas.config.evaluator import shaped_space, table_of, task_of
from nas.config.numbers import constrained_space, needed_numbers
from nas.config.plan import Plan, plan_of
from nas.config.sections import (
    NAMED_PRIORS,
    ConfigError,
    RunConfig,
    TableSection,
    TrainSection,
)
from nas.config.strategy import predictor_of, strategy_of
from nas.config.workers import Workers, found_devices, workers_of
from nas.seeds import generator
from nas.strategies import RandomSearch, Strategy
from nas.strategies.rungs import rungs_of
from nas.transfer.settings import TransferSettings
from predictors.prior.stored import digest, load_prior
from spaces import SearchSpace
from spaces.operators import sample_graph

if TYPE_CHECKING:
    from nas.tasks import Task

# How many random architectures are tried before a space is refused for the task's data.
TRIED = 5


@dataclass(frozen=True)
class Parts:
    """What a run is made of.

    Attributes:
        space: held to the constraints that are known before any evaluation.
        arms: the compared strategies by name: the search, and the random baseline if there is one.
        plan: how much is evaluated, towards what, and when it ends.
        workers: where evaluations are made.
        needed: the numbers that every observation must have: those of objectives and constraints.
        transfer: how a training begins with another trial's weights; None if it never does.
        source: what scores come from, for messages, such as `the task 'digits'`.
        data: the fingerprint of that task's data, or of that table's file.
        prior: the digest of the prior that the predictor has from a directory; empty if it has
            none, or the shipped one.
    """

    space: SearchSpace
    arms: Mapping[str, Strategy]
    plan: Plan
    workers: Workers
    needed: tuple[str, ...]
    transfer: TransferSettings | None
    source: str
    data: str
    prior: str


def compose(config: RunConfig) -> Parts:
    """The parts that a configuration names.

    The task or table is read once, so that wrong data is found before the run begins.

    Raises:
        ConfigError: a plug-in or setting is unknown, the recipe does not suit the task, the
            predictor's prior cannot be read, or a device is not on this machine.
        ValueError: the space or task cannot be loaded, or the space makes no networks for the
            task's data.
    """
    strategy = strategy_of(config)  # First: a wrong setting is answered without reading data.
    prior = _prior_digest(config)
    task = None if config.task is None else task_of(config)
    space = constrained_space(config, shaped_space(config, task))
    section = config.evaluator
    transfer = None
    if isinstance(section, TrainSection):
        _check_recipe(config, task)
        _check_suits(space, config.seed)
        transfer = section.transfer
        if section.latency is not None:
            found_devices([section.latency.device], "evaluator.latency.device")
    plan = plan_of(config)
    arms = {SEARCH: strategy}
    if BASELINE in plan.arms:
        arms[BASELINE] = RandomSearch()
    _check_rungs(config, rungs_of(strategy))
    return Parts(
        space=space,
        arms=arms,
        plan=plan,
        workers=workers_of(config),
        needed=needed_numbers(config),
        transfer=transfer,
        source=_source(config),
        data=_fingerprint(config, task),
        prior=prior,
    )


def _source(config: RunConfig) -> str:
    if isinstance(config.evaluator, TableSection):
        return f"the table {config.evaluator.path}"
    assert config.task is not None
    return f"the task {config.task.name!r}"


def _fingerprint(config: RunConfig, task: Task | None) -> str:
    if isinstance(config.evaluator, TableSection):
        from nas.evaluators.table import find_table

        return hashlib.sha256(find_table(config.evaluator.path).read_bytes()).hexdigest()
    assert task is not None
    return task.fingerprint()


def _prior_digest(config: RunConfig) -> str:
    """See `Parts.prior`. With `warm_start` the run keeps its prior itself (`begun_from`)."""
    named = getattr(predictor_of(config), "prior", "none")
    if config.warm_start is not None or not isinstance(named, str) or named in NAMED_PRIORS:
        return ""
    prior = load_prior(named)
    return "" if prior is None else digest(prior)


def _check_suits(space: SearchSpace, seed: int) -> None:
    """Refuses a space whose networks do not fit the data, before anything is evaluated.

    One network that fits is enough.

    Raises:
        ValueError: none of the first few random architectures fits; it says why the first does not.
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


def _check_recipe(config: RunConfig, task: Task | None) -> None:
    """Refuses a recipe that cannot train on the task.

    Raises:
        ConfigError: it says which key is wrong.
    """
    from nas.training.suits import check_suits

    assert task is not None
    try:
        check_suits(config.training, task)
    except ValueError as error:
        raise ConfigError(f"training: {error}") from error


def _check_rungs(config: RunConfig, rungs: tuple[float, ...]) -> None:
    """Refuses fidelities that the table lacks, or that are the same number of whole epochs."""
    whole = "training.epochs"
    epochs_at = config.training.epochs_at
    if isinstance(config.evaluator, TableSection):
        from nas.evaluators.table import TableEvaluator

        table = table_of(config, config.evaluator)
        if isinstance(table, TableEvaluator):
            for fidelity in rungs:
                table.column(fidelity)
            return
        whole, epochs_at = f"the recorded epochs of {table.source}", table.epochs_at
    epochs = [epochs_at(fidelity) for fidelity in rungs]
    if len(set(epochs)) < len(epochs):
        least = f"which should be {round(1 / rungs[0])} or more: raise strategy.least"
        if whole == "training.epochs":
            least = f"raise training.epochs to {round(1 / rungs[0])} or more, or strategy.least"
        raise ConfigError(
            f"the strategy {config.strategy.name!r} pauses trainings after "
            f"{', '.join(map(str, epochs))} of {whole}, and each should be more than the "
            f"one before: {least}"
        )
