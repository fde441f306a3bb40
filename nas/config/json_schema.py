"""The JSON schema of a configuration file, for editors and for the documentation."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from nas.config.sections import RunConfig


def schema() -> dict[str, Any]:
    """The schema, with the settings of every built-in strategy and predictor."""
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
    # A bare name stands for the section of that name with its defaults.
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
            continue  # The engine fills it in, not a configuration.
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
        # References are resolved from the root of the whole schema.
        definitions.update(properties[field.name].pop("$defs", {}))
        if field.default is not dataclasses.MISSING:
            properties[field.name]["default"] = adapter.dump_python(field.default, mode="json")
    return {
        "type": "object",
        "properties": properties,
        "required": ["name"] if required else [],
        "additionalProperties": False,
    }
