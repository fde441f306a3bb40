"""Shapes as text: in JSON, as a run, a trained predictor or a file of scores keeps them of the data
that its networks were for; and in options.
"""

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
        return Shapes(
            tuple(map(int, told["input"])),
            tuple(map(int, told["output"])),
            None if vocabulary is None else int(vocabulary),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{where} should give shapes as {{"input": [...], "output": [...]}}; got {told!r}'
        ) from error


def shapes_of_options(
    own: Shapes, input_shape: str | None, output_shape: str | None, vocabulary: int | None
) -> Shapes:
    """A space's own shapes, but for what the options `--input`, `--output` and `--vocabulary` of a
    command say.

    Raises:
        ValueError: a shape is not whole numbers with commas; or there are tokens, and how many
            stand in a row is not said.
    """
    taken = own.input if input_shape is None else _shape("--input", input_shape, "3,32,32")
    given = (
        own.output
        if output_shape is None
        else _shape(
            "--output", output_shape, "10, or 32,500 where each of 32 places has 500 scores"
        )
    )
    if vocabulary is not None and own.vocabulary is None and input_shape is None:
        raise ValueError(
            "--vocabulary says that the inputs are tokens, and the space's own input is of the "
            f"shape {', '.join(map(str, own.input))}: "
            "say how many tokens stand in a row too, such as --input 40"
        )
    told = replace(own, input=taken, output=given)
    return told if vocabulary is None else replace(told, vocabulary=vocabulary)


def _shape(option: str, text: str, example: str) -> tuple[int, ...]:
    sizes = [part.strip() for part in text.split(",")]
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise ValueError(
            f"{option} is a shape, whole numbers above 0 with commas, such as {example}; got "
            f"{text!r}"
        )
    return tuple(map(int, sizes))
