"""What shape matrix products give: linear layers, embeddings, `matmul` and `einsum`."""

from __future__ import annotations

from spaces.ops.elementwise_rules import broadcast_shapes
from spaces.ops.shapes import BATCH, Attributes, Shape, shown


def linear(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """(..., F) to (..., out_features)."""
    if len(inputs[0]) < 2 or inputs[0][-1] == BATCH:
        raise ValueError("expected features in the last dimension, behind the batch")
    return (*inputs[0][:-1], attributes["out_features"])


def embedding(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Whole numbers (...) to their vectors (..., embedding_dim)."""
    return (*inputs[0], attributes["embedding_dim"])


def matrix_product(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """(..., n, k) and (..., k, m) to (..., n, m)."""
    left, right = inputs
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2] or left[-1] == BATCH:
        raise ValueError("expected matrices (..., n, k) and (..., k, m)")
    return (*broadcast_shapes((left[:-2], right[:-2])), left[-2], right[-1])


def einstein_sum(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The sizes of the letters behind the arrow of `equation`, as in torch.einsum.

    Raises:
        ValueError: the equation does not fit the inputs, or sums over the batch.
    """
    sizes = letter_sizes(attributes["equation"], inputs)
    result = attributes["equation"].partition("->")[2].strip()
    if len(set(result)) != len(result) or not set(result) <= sizes.keys():
        raise ValueError(
            f"equation={attributes['equation']!r}: each letter behind the arrow must stand there "
            "once, and before the arrow too"
        )
    if any(size == BATCH and letter not in result for letter, size in sizes.items()):
        raise ValueError(
            f"equation={attributes['equation']!r} sums over the batch, and samples may not be mixed"
        )
    shape = tuple(sizes[letter] for letter in result)
    if shape.count(BATCH) > 1:
        raise ValueError("the batch would appear in two dimensions")
    return shape


def letter_sizes(equation: str, inputs: tuple[Shape, ...]) -> dict[str, int]:
    """The size of the dimension that each letter of an equation such as "bti,tij->btj" names."""
    terms = [term.strip() for term in equation.partition("->")[0].split(",")]
    if (
        "->" not in equation
        or len(terms) != len(inputs)
        or not all(term.isascii() and term.isalpha() for term in terms)
    ):
        raise ValueError(
            f"an equation is letters for each of {len(inputs)} inputs and for the result, as in "
            f'"bti,tij->btj"; got {equation!r}'
        )
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=True):
        if len(term) != len(shape) or len(set(term)) != len(term):
            raise ValueError(
                f"equation={equation!r}: {term!r} should name each dimension of {shown(shape)} "
                "by a letter of its own"
            )
        for letter, size in zip(term, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(
                    f"equation={equation!r}: {letter!r} stands for two sizes, "
                    f"{shown((sizes[letter],))} and {shown((size,))}"
                )
    return sizes
