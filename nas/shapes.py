"""Shapes as JSON: what a run, a trained predictor or a file of scores keeps of the data that its networks were for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces import Shapes


def shapes_to_json(shapes: Shapes) -> dict[str, Any]:
    """`{"input": [...], "output": [...]}`, and `vocabulary` where the inputs are tokens."""
    told = {"input": list(shapes.input), "output": list(shapes.output)}
    return told if shapes.vocabulary is None else {**told, "vocabulary": shapes.vocabulary}


def shapes_from_json(told: Any, where: str) -> Shapes:
    """The shapes that were kept so.

    Raises:
        ValueError: they are not shapes; `where` says in the message whose.
    """
    try:
        vocabulary = told.get("vocabulary") if isinstance(told, Mapping) else None
        return Shapes(tuple(map(int, told["input"])), tuple(map(int, told["output"])), None if vocabulary is None else int(vocabulary))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{where} should give shapes as {{"input": [...], "output": [...]}}; got {told!r}') from error
