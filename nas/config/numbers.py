"""The numbers that objectives and constraints are about, and the space held to the constraints."""

from __future__ import annotations

from random import Random

from nas.config.sections import ConfigError, RunConfig, TableSection
from nas.objectives.constrained_space import within
from nas.objectives.descriptors import operations
from nas.objectives.graph_numbers import check_computable
from spaces import SearchSpace
from spaces.operators import sample


def constrained_space(config: RunConfig, space: SearchSpace) -> SearchSpace:
    """The space held to the constraints that can be computed from a graph, without an evaluation.

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
                check_computable(space, name)
            except ValueError as error:
                raise _not_a_number(config, name, error) from error
    computed = [constraint for constraint in config.constraints if constraint.name not in measured]
    held = within(space, computed)
    if computed:
        sample(held, Random(config.seed))
    return held


def check_numbers(config: RunConfig) -> None:
    """Refuses objectives and constraints with an unknown name. Loads no space.

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
    optimised = any(objective.name == name for objective in config.objectives)
    what = "objective" if optimised else "constraint"
    return ConfigError(
        f"the {what} {name!r} is none of the numbers that an evaluation gives "
        f"({', '.join(measured_numbers(config))}), and {error}"
    )


def measured_numbers(config: RunConfig) -> tuple[str, ...]:
    """The names of the numbers that only an evaluation gives.

    All others that a run needs are computed from the graph.
    """
    if isinstance(config.evaluator, TableSection):
        return ("score", "seconds", *config.evaluator.metrics)
    measured = ("score", "seconds", "batch_size")
    if config.evaluator.latency is None:
        return measured
    return (*measured, "latency", "latency_error", "memory")


def needed_numbers(config: RunConfig) -> tuple[str, ...]:
    """The names of the numbers that the objectives and constraints are about, each once."""
    return tuple(dict.fromkeys(item.name for item in (*config.objectives, *config.constraints)))
