"""The shapes that a command's options `--input`, `--output` and `--vocabulary` give."""

from __future__ import annotations

from dataclasses import replace

from spaces import Shapes


def shapes_of_options(
    own: Shapes, input_shape: str | None, output_shape: str | None, vocabulary: int | None
) -> Shapes:
    """A space's own shapes, with those replaced that the command's options give.

    Raises:
        ValueError: a shape is not whole numbers with commas; or there is a vocabulary without the
            number of tokens in a row.
    """
    shapes = own
    if input_shape is not None:
        shapes = replace(shapes, input=_shape("--input", input_shape, "3,32,32"))
    if output_shape is not None:
        example = "10, or 32,500 for 500 scores of each of 32 tokens"
        shapes = replace(shapes, output=_shape("--output", output_shape, example))
    if vocabulary is not None and own.vocabulary is None and input_shape is None:
        raise ValueError(
            "--vocabulary says that the inputs are tokens, but the space's own input has the shape "
            f"{', '.join(map(str, own.input))}: give the number of tokens in a row too, such as "
            "--input 40"
        )
    return shapes if vocabulary is None else replace(shapes, vocabulary=vocabulary)


def _shape(option: str, text: str, example: str) -> tuple[int, ...]:
    sizes = [part.strip() for part in text.split(",")]
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise ValueError(
            f"{option} is a shape, whole numbers above 0 with commas, such as {example}; got "
            f"{text!r}"
        )
    return tuple(map(int, sizes))
