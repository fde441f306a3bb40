"""How much a run evaluates, towards what, and when it ends: the numbers of a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field

from nas.config.arms import BASELINE, SEARCH
from nas.config.evaluator import final_count, final_recipe
from nas.config.sections import RunConfig, StopSection, TableSection
from nas.objectives.constraints import Constraint
from nas.objectives.objective import SCORE, Objective


@dataclass(frozen=True)
class Plan:
    """What a run intends. It names no space, task or strategy.

    Attributes:
        budget: evaluations of each arm, in whole ones.
        batch: evaluations that are proposed together.
        seed: the seed that all draws of the run are derived from.
        objectives: what the search optimises.
        constraints: what the result has to keep.
        stop: rules that end the search before its budget is used.
        arms: the names of the compared strategies, the search first.
        finalists: architectures of each arm that are trained fully.
        trainings: full trainings of each finalist, each with its own seed.
        longer: the epochs of a full training as a multiple of those of an evaluation.
        trains: whether evaluations are trainings; False if scores are looked up in a table.
        workers: evaluations side by side; None if that depends on the machine.
        keeps_weights: whether the weights of every trial are kept, not of finalists alone.
    """

    budget: int = 32
    batch: int = 4
    seed: int = 0
    objectives: tuple[Objective, ...] = (SCORE,)
    constraints: tuple[Constraint, ...] = ()
    stop: StopSection = field(default_factory=StopSection)
    arms: tuple[str, ...] = (SEARCH, BASELINE)
    finalists: int = 3
    trainings: int = 3
    longer: float = 3.0
    trains: bool = True
    workers: int | None = None
    keeps_weights: bool = True

    @property
    def may_stop(self) -> bool:
        """Whether a rule may end the search before its budget is used."""
        return self.stop != StopSection()


def plan_of(config: RunConfig) -> Plan:
    """The plan of a configuration. Reads no data and loads no plug-in."""
    trains = not isinstance(config.evaluator, TableSection)
    compared = config.baseline == "random" and config.strategy.name != "random"
    return Plan(
        budget=config.budget,
        batch=config.batch,
        seed=config.seed,
        objectives=config.objectives,
        constraints=config.constraints,
        stop=config.stop,
        arms=(SEARCH, BASELINE) if compared else (SEARCH,),
        finalists=config.finalists.count,
        trainings=final_count(config),
        longer=final_recipe(config).epochs / config.training.epochs if trains else 1.0,
        trains=trains,
        workers=config.executor.workers,
        keeps_weights=config.keep_weights == "all",
    )
