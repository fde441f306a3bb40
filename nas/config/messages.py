"""What is wrong with a key or value of a configuration, as a sentence for the user."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from nas.config.sections import (
    PLUG_INS,
    ExecutorSection,
    FinalistsSection,
    StopSection,
    TableSection,
    TrainSection,
)
from nas.latency.settings import LatencySettings
from nas.training.recipe import Recipe
from nas.transfer.settings import TransferSettings

_LISTS = {
    "objectives": "[{name: score}, {name: parameters, goal: minimise}]",
    "constraints": '["parameters <= 1e6"]',
}
_NOT_A_SECTION = ("model_type", "model_attributes_type", "dataclass_type")


def message_of(item: Mapping[str, Any], where: str, model: type[BaseModel]) -> str:
    """The sentence for one error of pydantic.

    Args:
        item: the error, as `ValidationError.errors` gives it.
        where: what is wrong, such as the name of the file.
        model: the whole configuration's class, whose keys are suggested.
    """
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
        message = "should be keys and values"
        if path in (*PLUG_INS, "executor"):
            message = "should be a name, or a section with `name` and settings"
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
    if len(location) > 1 and location[0] in sections:
        return list(sections[location[0]].model_fields)
    return list(model.model_fields)
