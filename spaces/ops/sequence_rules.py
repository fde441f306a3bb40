"""What shape the operations on sequences give: attention, recurrence, convolution, transform."""

from __future__ import annotations

from spaces.ops.shapes import BATCH, Attributes, Shape, shown


def attention_module(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The query's shape; the inputs are query, key and value (T, D), or one input for all."""
    for shape in inputs:
        if len(shape) != 3 or shape[0] != BATCH or shape[2] != inputs[0][2]:
            raise ValueError("expected sequences (T, D) behind the batch, all of one width D")
    if inputs[0][2] % attributes["num_heads"]:
        raise ValueError(
            f"num_heads={attributes['num_heads']} must divide the width {inputs[0][2]}"
        )
    if inputs[-1] != inputs[len(inputs) // 2]:
        raise ValueError("the keys and values must have one length")
    return inputs[0]


def attention(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Query (..., L, E), key (..., S, E) and value (..., S, V) to (..., L, V)."""
    query, key, value = inputs[:3]
    if len(query) < 3 or key[:-1] != value[:-1] or query[-1] != key[-1] or query[:-2] != key[:-2]:
        raise ValueError("expected query (..., L, E), key (..., S, E) and value (..., S, V)")
    if BATCH in (*query[-2:], *key[-2:], value[-1]):
        raise ValueError(
            "samples would attend to each other: the batch must come before the last two dimensions"
        )
    return (*query[:-1], value[-1])


def recurrent(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """(T, D) to (T, hidden_size), or (T, 2 hidden_size) if it goes in both directions."""
    shape, size = inputs[0], attributes["hidden_size"]
    if len(shape) != 3 or shape[0] != BATCH:
        raise ValueError("expected a sequence (T, D) behind the batch")
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"hidden_size={size!r} must be a whole number, 1 or more")
    return (*shape[:2], size * (2 if attributes["bidirectional"] else 1))


def dynamic_convolution(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Values (T + taps - 1, N, E) and weights (T, N, taps) to (T, N, E).

    The weights are those of the taps, for each of T places and N heads.
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
    """The input's own shape; the transform is along its last two dimensions."""
    if len(inputs[0]) < 2 or BATCH in inputs[0][-2:]:
        raise ValueError("expected two dimensions to transform, behind the batch")
    if attributes["norm"] not in (None, "ortho", "forward", "backward"):
        raise ValueError(
            f"norm must be ortho, forward, backward or None, got {attributes['norm']!r}"
        )
    return inputs[0]
