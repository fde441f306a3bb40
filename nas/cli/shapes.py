"""The shapes that a command's options `--input`, `--output` and `--vocabulary` give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spaces import Shapes


def shapes_of_options(
    own: Shapes, input_shape: str | None, output_shape: str | None, vocabulary: int | None
) -> Shapes:
    """A space's own shapes, with those replaced that the command's options give.

    Several inputs or outputs stand with semicolons between, with names or without: `3,32,32;16` or
    `image=3,32,32;table=16`.

    Raises:
        ValueError: a shape is not whole numbers with commas; or there is a vocabulary for several
            inputs, or without the number of tokens in a row.
    """
    shapes = own
    if input_shape is not None:
        example = "3,32,32, or image=3,32,32;table=16 for several inputs"
        shapes = Shapes(_shapes("--input", input_shape, example), own.output)
        if not own.several and not shapes.several:
            shapes = replace(shapes, vocabulary=own.vocabulary)
    if output_shape is not None:
        example = "10, or 32,500 for 500 scores of each of 32 tokens"
        shapes = replace(shapes, output=_shapes("--output", output_shape, example))
    if vocabulary is not None and shapes.several:
        raise ValueError(
            f"--vocabulary says that the input is tokens, but there are the inputs {shapes.input}: "
            "give the vocabulary of each in the space's own shapes, "
            "SearchSpace(..., shapes=Shapes(..., vocabulary=...)), and leave the option out"
        )
    if vocabulary is not None and own.vocabulary is None and input_shape is None:
        raise ValueError(
            "--vocabulary says that the inputs are tokens, but the space's own input has the shape "
            f"{', '.join(map(str, own.input))}: give the number of tokens in a row too, such as "
            "--input 40"
        )
    return shapes if vocabulary is None else replace(shapes, vocabulary=vocabulary)


def _shapes(option: str, text: str, example: str) -> Any:
    """One shape, several in a tuple, or several by name."""
    parts = text.split(";")
    if len(parts) == 1 and "=" not in text:
        return _shape(option, text, example)
    split = [part.partition("=") for part in parts]
    if all(equals for _, equals, _ in split):
        named = [(name.strip(), _shape(option, shape, example)) for name, _, shape in split]
        names = [name for name, _ in named]
        if "" in names or len(set(names)) < len(names):
            raise ValueError(
                f"{option} gives each shape a name of its own, such as {example}; got {text!r}"
            )
        return dict(named)
    return tuple(_shape(option, part, example) for part in parts)


def _shape(option: str, text: str, example: str) -> tuple[int, ...]:
    sizes = [part.strip() for part in text.split(",")]
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise ValueError(
            f"{option} is a shape, whole numbers above 0 with commas, such as {example}; got "
            f"{text!r}"
        )
    return tuple(map(int, sizes))
