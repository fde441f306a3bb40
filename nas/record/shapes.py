"""Shapes as JSON: the shapes of its data as a run, a predictor or a file of scores keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces import SearchSpace, Shapes


def shapes_to_json(shapes: Shapes) -> dict[str, Any]:
    """`{"input": [...], "output": [...]}`, and `vocabulary` if the inputs are tokens."""
    told = {"input": list(shapes.input), "output": list(shapes.output)}
    return told if shapes.vocabulary is None else {**told, "vocabulary": shapes.vocabulary}


def shapes_from_json(told: Any, where: str) -> Shapes:
    """The shapes in the JSON of `shapes_to_json`.

    Raises:
        ValueError: they are not shapes; the message names their place, `where`.
    """
    try:
        vocabulary = told.get("vocabulary") if isinstance(told, Mapping) else None
        return Shapes(
            tuple(map(int, told["input"])),
            tuple(map(int, told["output"])),
            None if vocabulary is None else int(vocabulary),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{where} should give shapes as {{"input": [...], "output": [...]}}; got {told!r}'
        ) from error


def with_shapes(space: SearchSpace, shapes: Any, where: str) -> SearchSpace:
    """The space for shapes that were kept as JSON; unchanged if `shapes` is None.

    Args:
        space: for shapes of its own.
        shapes: as `shapes_to_json` gives them.
        where: what kept them, for errors.

    Raises:
        ValueError: they are not shapes.
    """
    if shapes is None:
        return space
    return space.for_shapes(shapes_from_json(shapes, where))
