"""The configuration of a run: one flat YAML file, checked before anything starts, and frozen.

Sections that name a thing to plug in (`task`, `strategy`, `predictor`) are the thing's name with
its settings beside it; the bare name stands for the name with its defaults: `strategy: random` is
`strategy: {name: random}`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from nas.latency.settings import LatencySettings
from nas.objectives.constraints import Constraint
from nas.objectives.constraints import check as check_constraints
from nas.objectives.constraints import parse as parse_constraint
from nas.objectives.objective import SCORE, Objective
from nas.training.recipe import Recipe
from nas.transfer.settings import TransferSettings
from spaces.load import find_named


class ConfigError(ValueError):
    """The user's configuration is wrong; the message says where, what was expected and what came."""


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
    """Accepts the bare name for the section, and a section without a name for the default's
    settings.
    """

    def expand(value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        return {"name": default, **value} if isinstance(value, dict) and default else value

    return BeforeValidator(expand)


def _constraint(value: Any) -> Any:
    return parse_constraint(value) if isinstance(value, str) else value


# Written and kept as text.
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
    score: str = Field(description="the column of validation scores, higher is better")
    test: str | None = Field(
        default=None, description="the column of test scores, read for the finalists only"
    )
    seconds: str | None = Field(default=None, description="the column of training times")
    metrics: dict[str, str] = Field(
        default={},
        description="further columns, by the names that they get in the results and in `objectives`",
    )
    fidelities: dict[float, str] = Field(
        default={},
        description="columns of validation scores after fewer epochs, by their share of all epochs",
    )


class TrainSection(_Section):
    """Scores come from training the architecture on the task, by the recipe in the section
    `training`.
    """

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
        description="how many evaluations, in whole ones: one of a third of the epochs counts a third",
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
    seed: int = Field(default=0, ge=0)
    keep_weights: Literal["all", "finalists"] = Field(
        default="all", description="whose trained weights stay in the run"
    )


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The checked configuration in a YAML file, with `key=value` overrides; the value is YAML, the
    key may have dots.

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is wrong.
    """
    try:
        text = Path(path).read_text()
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no configuration file {path} (looked from {Path.cwd()}); `nas init DIR` "
            "writes one to start from"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error}") from error
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(
            f"{path} should hold keys and values, such as `space: convnet`; it holds "
            f"{type(loaded).__name__ if loaded is not None else 'nothing'}"
        )
    for override in overrides:
        _override(loaded, override)
    return parse_config(_beside(loaded, Path(path).parent), str(path))


def parse_config(loaded: Mapping[str, Any], where: str) -> RunConfig:
    """The checked configuration in a dictionary; `where` is named in errors.

    Raises:
        ConfigError: a key or value is wrong.
    """
    _check_finite(loaded, where)
    try:
        config = RunConfig.model_validate(loaded)
    except ValidationError as error:
        items = error.errors(include_url=False)
        # A list whose items are wrong is also said to be too short.
        within = {item["loc"][0] for item in items if len(item["loc"]) > 1}
        items = [
            item for item in items if not (item["type"] == "too_short" and item["loc"][0] in within)
        ]
        raise ConfigError("\n".join(_sentence(item, where, RunConfig) for item in items)) from error
    try:
        json.dumps(config.model_dump(mode="json"), allow_nan=False)
    except ValueError as error:
        raise ConfigError(
            f"{where}: numbers have to be finite, for the run keeps them as JSON; found .inf or "
            ".nan among the values"
        ) from error
    if config.evaluator.name == "train" and config.task is None:
        raise ConfigError(
            f"{where}: the evaluator `train` needs a `task`, such as `task: digits`; to look "
            f"scores up instead, set `evaluator: {{name: table, ...}}`"
        )
    if (
        isinstance(config.evaluator, TrainSection)
        and config.evaluator.transfer is not None
        and config.keep_weights != "all"
    ):
        raise ConfigError(
            f"{where}: evaluator.transfer takes weights from earlier trials, and keep_weights is "
            f"{config.keep_weights!r}, which keeps none of theirs: "
            "set keep_weights to all, or evaluator.transfer to null"
        )
    if (
        config.finalists.epochs is not None
        and config.evaluator.name == "train"
        and config.finalists.epochs < config.training.epochs
    ):
        raise ConfigError(
            f"{where}: finalists.epochs is {config.finalists.epochs}, fewer than "
            f"training.epochs, {config.training.epochs}: a full training is at least as "
            "long as one of the search; raise it, or set it to null for three times as many"
        )
    try:
        check_constraints(config.constraints)
    except ValueError as error:
        raise ConfigError(f"{where}: constraints: {error}") from error
    names = [objective.name for objective in config.objectives]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"{where}: objectives: each number is one objective; got {', '.join(names)}"
        )
    if config.stop.gain is not None and config.objectives != (SCORE,):
        raise ConfigError(
            f"{where}: stop.gain is about the score alone, and this run has other objectives: "
            "leave it out; stop.stale counts evaluations since the front changed"
        )
    if config.executor.name == "inline" and config.executor.time_limit is not None:
        raise ConfigError(
            f"{where}: executor.time_limit needs `executor: process`; an evaluation in this very "
            "process cannot be ended"
        )
    return config


def _check_finite(value: Any, where: str, path: str = "") -> None:
    """A number that is not finite cannot be journalled, and so a run with it could not be resumed."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {path} must be a finite number; got {value}")
    for key, inner in (
        value.items()
        if isinstance(value, Mapping)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    ):
        _check_finite(inner, where, f"{path}.{key}" if path else str(key))


def settings_of(
    kind: str,
    registry: Mapping[str, Any],
    named: Named,
    within: Mapping[Any, Callable[[Any], Any]] | None = None,
    **offered: Callable[[], Any],
) -> Any:
    """The plug-in `named`, a frozen dataclass of the registry or the user's own
    (`my_file.py:Name`), made with its settings, each checked.

    Args:
        within: by the type of a field, what makes a plug-in of the setting: where one plug-in holds
            another.
        offered: by the name of a field, what makes its value; taken where the plug-in has that
            field with `repr=False`, which is no setting.

    Raises:
        ConfigError: the name is unknown (the known ones are listed) or a setting is unknown or of a
            wrong type.
    """
    try:
        factory = find_named(kind, named.name, registry, own="my_file.py:Name")
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not (isinstance(factory, type) and dataclasses.is_dataclass(factory)):
        raise ConfigError(
            f"the {kind} {named.name!r} should be a frozen dataclass, whose fields are its "
            f"settings; it is a {type(factory).__name__}"
        )
    given = {
        field.name: offered[field.name]()
        for field in dataclasses.fields(factory)
        if field.name in offered and not field.repr
    }
    fields = {field.name: field for field in dataclasses.fields(factory) if field.name not in given}
    types = get_type_hints(factory)
    checked = {}
    for key, value in named.settings.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            known = f"; its settings are: {', '.join(fields)}" if fields else "; it has no settings"
            raise ConfigError(
                f"{kind} {named.name!r} has no setting "
                f"{key!r}{f'; did you mean {near[0]!r}?' if near else known}"
            )
        if within and types[key] in within:
            checked[key] = within[types[key]](value)
            continue
        try:
            checked[key] = TypeAdapter(types[key]).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            message = (
                "should be a list, in brackets"
                if first["type"] == "tuple_type"
                else first["msg"].lower()
            )
            raise ConfigError(
                f"{'.'.join(map(str, (kind, key, *first['loc'])))}: {message}; got "
                f"{first['input']!r}"
            ) from error
        _check_finite(checked[key], "the configuration", f"{kind}.{key}")
    try:
        return factory(**checked, **given)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def named_in(path: str, value: Any) -> Named:
    """The section that a setting holds: a name, or `name` and settings.

    Raises:
        ConfigError: it is neither; `path` says where.
    """
    section = {"name": value} if isinstance(value, str) else value
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise ConfigError(
            f"{path} should be a name, or a section with `name` and settings; got "
            f"{json.dumps(value, default=str)[:80]}"
        )
    return Named.model_validate(section)


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration file, the settings of every built-in strategy and
    predictor included.
    """
    from nas.strategies import STRATEGIES
    from predictors import PREDICTORS

    result = RunConfig.model_json_schema()
    properties = result["properties"]
    definitions = result.setdefault("$defs", {})
    for key, registry in (("strategy", STRATEGIES), ("predictor", PREDICTORS)):
        default = RunConfig.model_fields[key].default.name
        properties[key] = {
            "anyOf": [
                {"enum": sorted(registry)},
                {"type": "string", "pattern": ":"},
                {
                    "type": "object",
                    "properties": {"name": {"type": "string", "pattern": ":"}},
                    "required": ["name"],
                },
                *(
                    _plug_in_schema(name, factory, definitions, required=name != default)
                    for name, factory in registry.items()
                ),
            ],
            "default": properties[key]["default"],
        }
    # The bare name stands for the name with its defaults.
    for key, names in (
        ("task", {"type": "string"}),
        ("evaluator", {"const": "train"}),
        ("executor", {"enum": ["process", "inline"]}),
    ):
        section = properties[key]
        whole = (
            section.pop("anyOf", None)
            or section.pop("oneOf", None)
            or [{"$ref": section.pop("$ref")}]
        )
        section.pop("discriminator", None)
        section["anyOf"] = [names, *whole]
    return result


def _plug_in_schema(
    name: str, factory: Any, definitions: dict[str, Any], *, required: bool
) -> dict[str, Any]:
    from nas.strategies import STRATEGIES, Strategy

    types = get_type_hints(factory)
    properties: dict[str, Any] = {"name": {"const": name}}
    for field in dataclasses.fields(factory):
        if not field.repr:
            continue  # Filled in by the engine, not by a config.
        if types[field.name] is Strategy:
            section = {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
            }
            default = next(name for name, made in STRATEGIES.items() if type(field.default) is made)
            properties[field.name] = {"anyOf": [{"type": "string"}, section], "default": default}
            continue
        adapter = TypeAdapter(types[field.name])
        properties[field.name] = adapter.json_schema()
        # References count from the root of the whole schema.
        definitions.update(properties[field.name].pop("$defs", {}))
        if field.default is not dataclasses.MISSING:
            properties[field.name]["default"] = adapter.dump_python(field.default, mode="json")
    return {
        "type": "object",
        "properties": properties,
        "required": ["name"] if required else [],
        "additionalProperties": False,
    }


def _override(loaded: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            "an override is key=value, such as -s budget=64 or -s strategy.initial=8; got "
            f"{override!r}"
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of the override {override!r} is not YAML: {error}") from error
    *sections, last = key.split(".")
    place: dict[str, Any] = loaded
    for section in sections:
        inner = place.get(section)
        if inner is None or isinstance(inner, str):
            inner = place[section] = {"name": inner} if inner else {}
        if not isinstance(inner, dict):
            raise ConfigError(
                f"the override {override!r} goes into {section!r}, which is not a section"
            )
        place = inner
    place[last] = value


def _beside(loaded: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Files that a config names are looked for from where the user stands, then beside the config,
    and named absolutely: a run goes on from anywhere.
    """

    def found(name: str) -> str:
        return next(
            (str(place.resolve()) for place in (Path(name), folder / name) if place.exists()), name
        )

    def code(text: Any) -> Any:
        where, colon, attribute = text.rpartition(":") if isinstance(text, str) else ("", "", "")
        return f"{found(where)}:{attribute}" if colon and where.endswith(".py") else text

    result = {
        key: code(value) if key in ("space", *_PLUG_INS) else value for key, value in loaded.items()
    }
    for section in _PLUG_INS:
        inner = result.get(section)
        if isinstance(inner, dict):
            result[section] = {
                key: code(value) if key in ("name", "over") else value
                for key, value in inner.items()
            }
            over = inner.get("over") if section == "strategy" else None
            if isinstance(over, dict):
                result[section]["over"] = {**over, "name": code(over.get("name"))}
            # A task may have its other samples elsewhere; a table's `test` is a column.
            files = ("path", "test", "validation") if section == "task" else ("path",)
            result[section].update(
                {key: found(inner[key]) for key in files if isinstance(inner.get(key), str)}
            )
    return result


_PLUG_INS = ("task", "evaluator", "strategy", "predictor")
_LISTS = {
    "objectives": "[{name: score}, {name: parameters, goal: minimise}]",
    "constraints": '["parameters <= 1e6"]',
}
_NOT_A_SECTION = ("model_type", "model_attributes_type", "dataclass_type")


def _sentence(item: Mapping[str, Any], where: str, model: type[BaseModel]) -> str:
    location = [
        str(part)
        for part in item["loc"]
        if not (part in ("train", "table") and item["loc"][0] == "evaluator")
    ]
    path = ".".join(location)
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys(model, item["loc"])
        near = difflib.get_close_matches(location[-1], known, 1)
        return f"{where}: unknown key {path!r}; " + (
            f"did you mean {near[0]!r}?" if near else f"the keys here are: {', '.join(known)}"
        )
    if item["type"] == "missing":
        return f"{where}: the key {path!r} is missing"
    if item["type"] == "value_error":
        return f"{where}: {path}: {item['ctx']['error']}"
    message = item["msg"][0].lower() + item["msg"][1:]
    if location[0] in _LISTS and item["type"] in ("tuple_type", "too_short", *_NOT_A_SECTION):
        message = f"should be a list, such as {_LISTS[location[0]]}"
    elif item["type"] in _NOT_A_SECTION:
        message = (
            "should be a name, or a section with `name` and settings"
            if path in (*_PLUG_INS, "executor")
            else "should be keys and values"
        )
    elif item["type"] == "union_tag_invalid":
        message = f"should be one of {item['ctx']['expected_tags']}"
    return f"{where}: {path}: {message}; got {json.dumps(item['input'], default=str)[:80]}"


def _keys(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "finalists": FinalistsSection,
        "executor": ExecutorSection,
        "stop": StopSection,
    }
    if len(location) > 1 and location[0] == "training":
        return [field.name for field in dataclasses.fields(Recipe)]
    settings = {"latency": LatencySettings, "transfer": TransferSettings}
    if len(location) > 3 and location[:2] == ("evaluator", "train") and location[2] in settings:
        return [field.name for field in dataclasses.fields(settings[location[2]])]
    if len(location) > 1 and location[0] == "evaluator":
        return list((TableSection if location[1] == "table" else TrainSection).model_fields)
    return list(
        (
            sections[location[0]] if len(location) > 1 and location[0] in sections else model
        ).model_fields
    )
