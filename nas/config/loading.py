"""From a YAML file to a checked configuration: overrides, the files that it names, every check."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nas.config.contradictions import contradiction_in
from nas.config.messages import message_of
from nas.config.plug_ins import check_finite
from nas.config.sections import NAMED_PRIORS, PLUG_INS, ConfigError, RunConfig


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The checked configuration in a YAML file.

    Args:
        path: the file.
        overrides: `key=value` each; the value is YAML, and a key of a section has dots.

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
        apply_override(loaded, override)
    return parse_config(found_beside(loaded, Path(path).parent), str(path))


def parse_config(loaded: Mapping[str, Any], where: str) -> RunConfig:
    """The checked configuration in a dictionary.

    Args:
        loaded: its keys and values.
        where: the name of the file or run, for errors.

    Raises:
        ConfigError: a key or value is wrong.
    """
    check_finite(loaded, where)
    try:
        config = RunConfig.model_validate(loaded)
    except ValidationError as error:
        items = error.errors(include_url=False)
        # For a list whose items are wrong, pydantic also reports that the list is too short.
        within = {item["loc"][0] for item in items if len(item["loc"]) > 1}
        items = [
            item for item in items if not (item["type"] == "too_short" and item["loc"][0] in within)
        ]
        raise ConfigError(
            "\n".join(message_of(item, where, RunConfig) for item in items)
        ) from error
    try:
        json.dumps(config.model_dump(mode="json"), allow_nan=False)
    except ValueError as error:
        raise ConfigError(
            f"{where}: numbers have to be finite, for the run keeps them as JSON; found .inf or "
            ".nan among the values"
        ) from error
    contradiction = contradiction_in(config)
    if contradiction is not None:
        raise ConfigError(f"{where}: {contradiction}")
    return config


def apply_override(loaded: dict[str, Any], override: str) -> None:
    """Puts the value of `key=value` into the configuration, which is changed in place."""
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


def found_beside(loaded: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The configuration with absolute paths for the files that it names.

    A file is looked for in the working directory, then beside the configuration's own file. With
    absolute paths a run can be resumed from any directory.
    """

    def found(name: str) -> str:
        return next(
            (str(place.resolve()) for place in (Path(name), folder / name) if place.exists()), name
        )

    def code(text: Any) -> Any:
        where, colon, attribute = text.rpartition(":") if isinstance(text, str) else ("", "", "")
        return f"{found(where)}:{attribute}" if colon and where.endswith(".py") else text

    result = {
        key: code(value) if key in ("space", *PLUG_INS) else value for key, value in loaded.items()
    }
    if isinstance(loaded.get("warm_start"), str):
        result["warm_start"] = found(loaded["warm_start"])
    for section in PLUG_INS:
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
            prior = inner.get("prior") if section == "predictor" else None
            if isinstance(prior, str) and prior not in ("", *NAMED_PRIORS):
                result[section]["prior"] = found(prior)
    return result
