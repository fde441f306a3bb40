"""Settings that are valid one by one and contradict each other."""

from __future__ import annotations

from nas.config.arms import OUTSIDE
from nas.config.sections import RunConfig, TrainSection
from nas.objectives.constraints import check as check_constraints
from nas.objectives.objective import SCORE


def contradiction_in(config: RunConfig) -> str | None:
    """The first pair of settings that cannot both hold, as a sentence; None if there is none."""
    if config.evaluator.name == "train" and config.task is None:
        return (
            "the evaluator `train` needs a `task`, such as `task: digits`; to look "
            "scores up instead, set `evaluator: {name: table, ...}`"
        )
    if (
        isinstance(config.evaluator, TrainSection)
        and config.evaluator.transfer is not None
        and config.keep_weights != "all"
    ):
        return (
            "evaluator.transfer takes weights from earlier trials, and keep_weights is "
            f"{config.keep_weights!r}, which keeps none of theirs: "
            "set keep_weights to all, or evaluator.transfer to null"
        )
    if (
        config.finalists.epochs is not None
        and config.evaluator.name == "train"
        and config.finalists.epochs < config.training.epochs
    ):
        return (
            f"finalists.epochs is {config.finalists.epochs}, fewer than "
            f"training.epochs, {config.training.epochs}: a full training is at least as "
            "long as one of the search; raise it, or set it to null for three times as many"
        )
    try:
        check_constraints(config.constraints)
    except ValueError as error:
        return f"constraints: {error}"
    names = [objective.name for objective in config.objectives]
    if len(set(names)) < len(names):
        return f"objectives: each number is one objective; got {', '.join(names)}"
    if config.stop.gain is not None and config.objectives != (SCORE,):
        return (
            "stop.gain is about the score alone, and this run has other objectives: "
            "leave it out; stop.stale counts evaluations since the front changed"
        )
    if config.warm_start is not None and config.strategy.name == OUTSIDE:
        return (
            "warm_start teaches the prior of a predictor, and an agent outside uses none: leave it "
            "out"
        )
    if config.executor.name == "inline" and config.executor.time_limit is not None:
        return (
            "executor.time_limit needs `executor: process`; an evaluation in this very "
            "process cannot be ended"
        )
    return None
