"""The evaluator of a run, made in the process that uses it, with the task and the recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nas.config.loading import parse_config
from nas.config.sections import ConfigError, RunConfig, TableSection
from nas.record.shapes import with_shapes
from spaces import SearchSpace
from spaces.load import load_space
from spaces.operators import only

if TYPE_CHECKING:
    from nas.evaluators.evaluator import Evaluator
    from nas.evaluators.recorded import RecordedEvaluator
    from nas.evaluators.table import TableEvaluator
    from nas.tasks import Task
    from nas.training.recipe import Recipe


def shaped_space(config: RunConfig, task: Task | None = None) -> SearchSpace:
    """The space, for the shapes of the task's data.

    Args:
        config: of the run.
        task: its task, if it is loaded already.
    """
    space, section = load_space(config.space), config.evaluator
    if isinstance(section, TableSection) and section.score is None:
        return table_of(config, section).space
    return space if config.task is None else space.for_shapes((task or task_of(config)).shapes)


def task_of(config: RunConfig) -> Task:
    """The task that a configuration names.

    Its split has a seed of its own, so that runs with different seeds share one test set.
    """
    from nas.tasks import load_task

    assert config.task is not None
    return load_task(config.task.name, **{"seed": 0, **config.task.settings})


def evaluator(settings: Mapping[str, Any], device: str) -> Evaluator:
    """The evaluator of a run on a device.

    Args:
        settings: the run's configuration as JSON values, for they travel between processes.
        device: such as `cpu` or `cuda:0`.
    """
    config = parse_config(settings, "the run's configuration")
    if isinstance(config.evaluator, TableSection):
        return table_of(config, config.evaluator)
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


def table_of(config: RunConfig, section: TableSection) -> TableEvaluator | RecordedEvaluator:
    """The evaluator that looks scores up in the table of this section.

    Raises:
        ValueError: there is no such table or column, or the table is of another kind than the
            section says.
    """
    from nas.evaluators.recorded import RecordedEvaluator, read_recorded
    from nas.evaluators.table import find_table, table_evaluator

    if section.score is not None:
        columns = section.model_dump(exclude={"name", "path", "answers"})
        return table_evaluator(load_space(config.space), section.path, **columns)
    named = [
        name for name in ("test", "seconds", "metrics", "fidelities") if getattr(section, name)
    ]
    if named:
        raise ConfigError(
            f"evaluator.{named[0]} names columns beside that of the scores, evaluator.score, and "
            "there is none: name it; a table of recorded trainings needs none of these keys"
        )
    table = read_recorded(find_table(section.path))
    space = with_shapes(load_space(config.space), table.about.get("shapes"), section.path)
    # A search in a sample of the space draws among what was recorded.
    return RecordedEvaluator(only(space, table.architectures), section.path, table, section.answers)


def final_recipe(config: RunConfig) -> Recipe:
    """How a finalist is trained: as in the search, for more epochs."""
    return replace(config.training, epochs=config.finalists.epochs or 3 * config.training.epochs)


def final_count(config: RunConfig) -> int:
    """How many times a finalist is trained; once for a table, which always gives the same."""
    return 1 if isinstance(config.evaluator, TableSection) else config.finalists.seeds
