"""The configuration of a run: the sections and keys of its YAML file, frozen.

Sections that name a thing to plug in (`task`, `strategy`, `predictor`) hold the thing's name with
its settings beside it. The bare name stands for the name with its defaults: `strategy: random` is
`strategy: {name: random}`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from nas.latency.settings import LatencySettings
from nas.objectives.constraints import Constraint
from nas.objectives.constraints import parse as parse_constraint
from nas.objectives.objective import SCORE, Objective
from nas.training.recipe import Recipe
from nas.transfer.settings import TransferSettings

# The keys of the sections that name a plug-in.
PLUG_INS = ("task", "evaluator", "strategy", "predictor")
# The values of `predictor.prior` that are no directory.
NAMED_PRIORS = ("shipped", "none")


class ConfigError(ValueError):
    """The configuration is wrong. The message names the key, and what was expected."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Named(BaseModel):
    """A plug-in's name, and its settings, which are checked by the plug-in itself."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """The settings beside the name."""
        return dict(self.model_extra or {})


def _named(default: str | None = None) -> BeforeValidator:
    """Accepts a bare name for the section, and settings without a name for the default's."""

    def expand(value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        return {"name": default, **value} if isinstance(value, dict) and default else value

    return BeforeValidator(expand)


def _constraint(value: Any) -> Any:
    return parse_constraint(value) if isinstance(value, str) else value


# In files and journals a constraint is text.
ConstraintText = Annotated[
    Constraint,
    BeforeValidator(_constraint),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "(<=|>=)"}),
]


class TableSection(_Section):
    """Scores are looked up in a table of published results."""

    name: Literal["table"]
    path: str = Field(description="an npz file, or builtin:nasbench201")
    score: str | None = Field(
        default=None,
        description=(
            "the column of validation scores, higher is better; none: the table was written by "
            "`nas record`"
        ),
    )
    test: str | None = Field(
        default=None, description="the column of test scores, read for the finalists only"
    )
    seconds: str | None = Field(default=None, description="the column of training times")
    metrics: dict[str, str] = Field(
        default={},
        description=(
            "further columns, by the names that they get in the results and in `objectives`"
        ),
    )
    fidelities: dict[float, str] = Field(
        default={},
        description="columns of validation scores after fewer epochs, by their share of all epochs",
    )
    answers: Literal["drawn", "mean"] = Field(
        default="drawn",
        description=(
            "of recorded trainings: an evaluation is one of them, drawn by its seed, or their mean"
        ),
    )


class TrainSection(_Section):
    """Scores come from trainings on the task, by the recipe in the section `training`."""

    name: Literal["train"] = "train"
    latency: LatencySettings | None = Field(
        default=None,
        description="measure each trained network's `latency`, `latency_error` and `memory`",
    )
    transfer: TransferSettings | None = Field(
        default=None, description="begin a training with the weights of a neighbouring architecture"
    )


class FinalistsSection(_Section):
    """The search's end: the best by validation are trained fully and only then tested."""

    count: int = Field(
        default=3, ge=0, description="how many finalists; 0 ends the run after the search"
    )
    seeds: int = Field(default=3, ge=1, description="how many times each is trained")
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="epochs of a full training; none: three times those of the search",
    )


class ExecutorSection(_Section):
    """Where evaluations run."""

    name: Literal["process", "inline"] = "process"
    workers: int | None = Field(
        default=None,
        ge=1,
        description="worker processes; none: one a GPU, or on a CPU one a core, up to the batch",
    )
    devices: Literal["auto", "cpu", "cuda"] | list[str] = Field(
        default="auto", description="auto, cpu, cuda, or a list such as [cuda:0, cuda:1]"
    )
    time_limit: float | None = Field(
        default=None,
        gt=0,
        description=(
            "seconds after which an evaluation is ended; a full training has as much more as it "
            "has more epochs (process executor only)"
        ),
    )


class StopSection(_Section):
    """What ends a search before its budget is used."""

    hours: float | None = Field(
        default=None, gt=0, description="hours that the search may run; none: as long as it takes"
    )
    stale: int | None = Field(
        default=None, ge=1, description="evaluations in a row without a better score"
    )
    gain: float | None = Field(
        default=None,
        gt=0,
        description="the expected gain of the rest of the budget, below which it is left",
    )


class RunConfig(_Section):
    """Everything that a run is."""

    space: str = Field(
        description="a built-in or installed space, my_file.py:space or package.module:space"
    )
    task: Annotated[Named | None, _named()] = Field(
        default=None,
        description="digits, images, cifar10, or module:function; needed by the evaluator `train`",
    )
    evaluator: Annotated[
        TrainSection | TableSection, Field(discriminator="name"), _named("train")
    ] = TrainSection()
    strategy: Annotated[Named, _named("surrogate")] = Named(name="surrogate")
    predictor: Annotated[Named, _named("quick")] = Named(name="quick")
    objectives: tuple[Objective, ...] = Field(
        default=(SCORE,),
        min_length=1,
        description="what the strategies surrogate and nsga2 are after; all others: the score",
    )
    constraints: tuple[ConstraintText, ...] = Field(
        default=(), description="NAME <= NUMBER or NAME >= NUMBER: what the result has to keep"
    )
    training: Recipe = Field(default=Recipe(), description="how an architecture is trained")
    budget: int = Field(
        default=32,
        ge=1,
        description=(
            "how many evaluations, in whole ones: one of a third of the epochs counts a third"
        ),
    )
    batch: int = Field(
        default=4,
        ge=1,
        description="how many of them at a time, between two looks of the strategy at the results",
    )
    stop: StopSection = StopSection()
    baseline: Literal["random", "none"] = Field(
        default="random", description="random search at the same budget, beside the search"
    )
    finalists: FinalistsSection = FinalistsSection()
    executor: Annotated[ExecutorSection, _named("process")] = ExecutorSection()
    warm_start: str | None = Field(
        default=None,
        description="the directory of an older run, whose scores the predictor's prior learns from",
    )
    seed: int = Field(default=0, ge=0)
    keep_weights: Literal["all", "finalists"] = Field(
        default="all", description="whose trained weights stay in the run"
    )
