"""Shapes as JSON: the shapes of its data as a run, a predictor or a file of scores keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces import SearchSpace, Shapes
from spaces.structure import mapped


def shapes_to_json(shapes: Shapes) -> dict[str, Any]:
    """`{"input": [...], "output": [...]}`, and `vocabulary` if inputs are tokens.

    Several inputs or outputs are a list of shapes, or a mapping of them by name.
    """
    return {name: value for name, value in shapes.to_json().items() if value is not None}


def shapes_from_json(told: Any, where: str) -> Shapes:
    """The shapes in the JSON of `shapes_to_json`.

    Raises:
        ValueError: they are not shapes; the message names their place, `where`.
    """
    try:
        vocabulary = told.get("vocabulary") if isinstance(told, Mapping) else None
        return Shapes(
            _shape(told["input"]),
            _shape(told["output"]),
            mapped(_tokens, tuple(vocabulary) if isinstance(vocabulary, list) else vocabulary),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{where} should give shapes as {{"input": [...], "output": [...]}}; got {told!r}'
        ) from error


def _shape(told: Any) -> Any:
    """One shape, or several in a list or mapping."""
    if isinstance(told, Mapping):
        return {str(name): tuple(map(int, shape)) for name, shape in told.items()}
    if told and all(isinstance(part, list) for part in told):
        return tuple(tuple(map(int, shape)) for shape in told)
    return tuple(map(int, told))


def _tokens(count: Any) -> int | None:
    return None if count is None else int(count)


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
