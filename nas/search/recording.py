"""Records trainings: many architectures of a space, each trained with several seeds, as a table.

A recording is a run without a search: all its architectures are proposed at once and are finalists,
so `nas resume` goes on with it, and each training reads the test data at its end. Its directory has
`table.npz` as soon as the command ends, however it ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from nas.config.arms import SEARCH
from nas.config.compose import Parts
from nas.config.sections import FinalistsSection, Named, RunConfig, TrainSection
from nas.config.stored_run import TABLE
from nas.evaluators.evaluator import Failed
from nas.evaluators.recorded import NOT_YET, RecordedTrainings
from nas.record.environment import environment
from nas.record.events import finalist_event, finished_event
from nas.record.history import EMPTY, History
from nas.record.shapes import shapes_to_json
from nas.record.trials import Finalist, Proposal
from nas.search.finalists import final_seed
from nas.search.loop import Run
from nas.strategies.random import RandomSearch
from nas.strategies.strategy import novel
from spaces import SearchSpace
from spaces.operators import every_one_of

# A space of more combinations than this is sampled, not recorded whole.
LARGEST = 1_000_000


def recording_of(config: RunConfig, count: int | None, seeds: int) -> RunConfig:
    """The configuration of a recording.

    Args:
        config: the space, the task, the recipe in `training`, the constraints and the workers; what
            it says of a search is not used.
        count: how many random architectures are trained; None: all of the space.
        seeds: how often each is trained.

    Raises:
        ValueError: the configuration trains nothing.
    """
    if not isinstance(config.evaluator, TrainSection):
        raise ValueError(
            f"a recording is made of trainings, and evaluator is {config.evaluator.name!r}: take "
            "`evaluator: train` and name a task"
        )
    changed = {
        "strategy": Named(name="random"),
        "baseline": "none",
        "batch": max(config.batch, os.cpu_count() or 1),
        "keep_weights": "finalists",
        "warm_start": None,
        "finalists": FinalistsSection(
            count=count or LARGEST, seeds=seeds, epochs=config.training.epochs
        ),
    }
    return config.model_copy(update=changed)


def to_its_end(run: Run, config: RunConfig) -> RecordedTrainings:
    """Makes all trainings that are left, and writes the table; also if that is interrupted."""
    if not run.history.finalists:
        numbers = [trial.number for trial in run.history.trials]
        run.record(
            *(
                finalist_event(Finalist(number, rank, SEARCH))
                for rank, number in enumerate(numbers, start=1)
            )
        )
    try:
        with run.parts.workers.executor() as executor:
            run.train_finalists(executor, keep_weights=False)
        run.record(finished_event("everything is recorded"))
    finally:
        table = recorded(run.history, config, _about(config, run.parts))
        table.write(run.journal.directory / TABLE)
    return table


def recorded(history: History, config: RunConfig, about: Mapping[str, Any]) -> RecordedTrainings:
    """The trainings that a history has, as a table.

    Args:
        history: of a recording.
        config: its configuration.
        about: what the table says of itself.
    """
    shape = (len(history.trials), config.finalists.seeds)
    curve_NSE = numpy.full((*shape, config.training.epochs), numpy.nan)
    numbers = {name: numpy.full(shape, numpy.nan) for name in ("validation", "test", "seconds")}
    failure_NS = numpy.full(shape, NOT_YET, dtype=object)
    row_of = {trial.number: row for row, trial in enumerate(history.trials)}
    place_of = {final_seed(config.seed, place): place for place in range(shape[1])}
    for final in history.finals:
        place = row_of[final.trial], place_of[final.seed]
        numbers["seconds"][place] = final.result.seconds
        if isinstance(final.result, Failed):
            failure_NS[place] = final.result.kind
            continue
        failure_NS[place] = ""
        numbers["validation"][place] = final.result.validation
        numbers["test"][place] = final.result.test
        # A training that ended early keeps its last score.
        curve = final.result.curve or (final.result.validation,)
        places_E = numpy.minimum(numpy.arange(config.training.epochs), len(curve) - 1)
        curve_NSE[place] = numpy.array(curve)[places_E]
    return RecordedTrainings(
        [trial.architecture for trial in history.trials],
        [trial.canonical for trial in history.trials],
        numbers["validation"],
        numbers["test"],
        curve_NSE,
        numbers["seconds"],
        failure_NS.astype(str),
        about,
    )


def _about(config: RunConfig, parts: Parts) -> dict[str, Any]:
    assert config.task is not None
    # A path says where the data lay on this machine; their fingerprint says which they are.
    settings = {
        name: Path(value).name if isinstance(value, str) and Path(value).exists() else value
        for name, value in config.task.settings.items()
    }
    name = config.task.name.rpartition(":")
    return {
        "space": parts.space.name,
        "shapes": shapes_to_json(parts.space.shapes),
        "constraints": [str(each) for each in config.constraints],
        "task": {"name": name[2], **settings},
        "data": parts.data,
        "recipe": json.loads(json.dumps(asdict(config.training))),
        "seed": config.seed,
        "environment": environment(),
    }


def chosen(space: SearchSpace, count: int | None, seed: int) -> tuple[Proposal, ...]:
    """So many random architectures of the space, or all of them where `count` is None.

    Raises:
        ValueError: the space is too large to be trained whole.
    """
    if count is not None:
        proposals = RandomSearch().ask(space, EMPTY, count, seed).proposals
        if len(proposals) < count:
            raise ValueError(
                f"only {len(proposals)} different architectures of the space {space.name!r} could "
                f"be drawn, and {count} are to be trained: take fewer, or --all"
            )
        return proposals
    every = every_one_of(space, LARGEST, "say how many are trained with --count")
    return novel(space, EMPTY, ((each, "all") for each in every), LARGEST, patience=sys.maxsize)
