"""What shape the operations give that transformers need beside the plain ones. See `shape_rules`
for how shapes are written.
"""

from __future__ import annotations

from spaces.ops.shape_rules import BATCH, Attributes, Shape, is_number, shown


def einstein_sum(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The sizes of the equation's letters behind the arrow, as torch.einsum; the batch is not
    summed over.
    """
    sizes = letter_sizes(attributes["equation"], inputs)
    result = attributes["equation"].partition("->")[2].strip()
    if len(set(result)) != len(result) or not set(result) <= sizes.keys():
        raise ValueError(
            f"equation={attributes['equation']!r}: each letter behind the arrow stands once "
            "before it too"
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
    """The size that each letter of an equation such as "bti,tij->btj" stands for."""
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


def masked_filling(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The first input's own shape, to which the second, which says where `value` is put, is
    broadcast.
    """
    value, mask = inputs
    if not is_number(attributes["value"]):
        raise ValueError(f"value must be a number, got {attributes['value']!r}")
    if len(mask) > len(value) or any(
        size not in (1, wanted) for size, wanted in zip(mask[::-1], value[::-1], strict=False)
    ):
        raise ValueError(f"the mask {shown(mask)} cannot be broadcast to {shown(value)}")
    return value


def dynamic_convolution(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Values (T + taps - 1, N, E) and for each of T places and N heads the weights of its taps (T,
    N, taps), to (T, N, E).
    """
    value, weights = inputs
    if len(value) != 4 or len(weights) != 4 or value[0] != BATCH or weights[0] != BATCH:
        raise ValueError(
            "expected values (T + taps - 1, N, E) and weights (T, N, taps) behind the batch"
        )
    length, heads, taps = weights[1:]
    if value[1] != length + taps - 1 or value[2] != heads:
        raise ValueError(
            f"{length} places with {taps} taps and {heads} heads need values "
            f"({length + taps - 1}, {heads}, E), got {shown(value)}"
        )
    return (BATCH, length, heads, value[3])


def fourier_transform2d(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape, transformed along its last two dimensions."""
    if len(inputs[0]) < 2 or BATCH in inputs[0][-2:]:
        raise ValueError("expected two dimensions to transform, behind the batch")
    if attributes["norm"] not in (None, "ortho", "forward", "backward"):
        raise ValueError(
            f"norm must be ortho, forward, backward or None, got {attributes['norm']!r}"
        )
    return inputs[0]
