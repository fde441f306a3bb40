"""Shapes as text: in JSON, as a run, a trained predictor or a file of scores keeps them of the data that its networks were for; and in options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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


def shapes_of_options(own: Shapes, input_shape: str | None, classes: int | None, vocabulary: int | None) -> Shapes:
    """A space's own shapes, but for what the options `--input`, `--classes` and `--vocabulary` of a command say.

    Raises:
        ValueError: the input's shape is not whole numbers with commas; or there are tokens, and how many stand in a row is not said.
    """
    try:
        taken = own.input if input_shape is None else tuple(int(part) for part in input_shape.split(","))
    except ValueError as error:
        raise ValueError(f"a shape is whole numbers with commas, such as 3,32,32; got {input_shape!r}") from error
    if vocabulary is not None and own.vocabulary is None and input_shape is None:
        raise ValueError(
            f"--vocabulary says that the inputs are tokens, and the space's own input is of the shape {', '.join(map(str, own.input))}: "
            "say how many tokens stand in a row too, such as --input 40"
        )
    told = replace(own, input=taken, output=own.output if classes is None else (classes,))
    return told if vocabulary is None else replace(told, vocabulary=vocabulary)
