"""The plug-ins that a configuration names, made with their settings after a check of each."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from nas.config.sections import ConfigError, Named
from spaces.load import find_named


def check_finite(value: Any, where: str, path: str = "") -> None:
    """Refuses NaN and infinity anywhere in a value: the journal could not keep them.

    Raises:
        ConfigError: there is one; the message names its key.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {path} must be a finite number; got {value}")
    inside = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, inner in inside:
        check_finite(inner, where, f"{path}.{key}" if path else str(key))


def make_plug_in(
    kind: str,
    registry: Mapping[str, Any],
    named: Named,
    within: Mapping[Any, Callable[[Any], Any]] | None = None,
    **offered: Callable[[], Any],
) -> Any:
    """The plug-in `named`, made with its settings.

    A plug-in is a frozen dataclass, of the registry or the user's own (`my_file.py:Name`). Its
    fields are its settings.

    Args:
        kind: what it is, for errors: `strategy`, `predictor`, ...
        registry: the known classes by name.
        named: the name and the settings.
        within: for a plug-in that contains another one: by the type of a field, the function that
            makes the field's value from its setting.
        offered: by the name of a field, the function that makes its value. It is used if the
            plug-in declares that field with `repr=False`; such a field is no setting.

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
            hint = f"its settings are: {', '.join(fields)}" if fields else "it has no settings"
            if near:
                hint = f"did you mean {near[0]!r}?"
            raise ConfigError(f"{kind} {named.name!r} has no setting {key!r}; {hint}")
        if within and types[key] in within:
            checked[key] = within[types[key]](value)
            continue
        try:
            checked[key] = TypeAdapter(types[key]).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].lower()
            if first["type"] == "tuple_type":
                message = "should be a list, in brackets"
            path = ".".join(map(str, (kind, key, *first["loc"])))
            raise ConfigError(f"{path}: {message}; got {first['input']!r}") from error
        check_finite(checked[key], "the configuration", f"{kind}.{key}")
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


def named_code(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The files and modules of the user's that a configuration names for import."""
    names = [
        config.get("space"),
        *((config.get(section) or {}).get("name") for section in ("task", "strategy", "predictor")),
    ]
    over = (config.get("strategy") or {}).get("over")
    names.append(over.get("name") if isinstance(over, Mapping) else over)
    return tuple(name for name in names if isinstance(name, str) and ":" in name)
