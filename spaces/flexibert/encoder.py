"""The bidirectional encoder that a description stands for, in primitive operations.

Its input is tokens, of which 0 is padding. Shapes: B texts in a batch, T tokens, H the width of a
layer, N heads of an operation, E the width of a head.
"""

from __future__ import annotations

from itertools import groupby

from spaces.flexibert.description import Layer, layers_of
from spaces.flexibert.mixers import Heads, Parts, linear_transform, self_attention, span_convolution
from spaces.graph import Graph
from spaces.space import Shapes

PADDING = 0
# Behind every projection that is added to a residual, as in BERT.
DROPOUT = 0.1


def network(cell: Graph, shapes: Shapes) -> Graph:
    """The whole network: embedded tokens with a layer norm, the layers, and a head.

    A layer adds the projected output of its heads to its input and normalises the sum. Then it adds
    the output of its feed-forward layers and normalises again. If a layer has another width than
    the one before, a projection joins them. As in the authors' code, attention ignores padding, but
    transforms and convolutions do not. Heads are grouped by operation and sorted by its name, so
    descriptions with one canonical key give one network.

    If `shapes.output` is (classes,), the mean of the tokens without padding is projected. Unlike a
    special first token, the mean gives every token a share in the gradient from the first step. If
    it is (length, vocabulary), every token's vector is projected.

    Args:
        cell: a graph of `describe`.
        shapes: of a task on tokens, with the size of the vocabulary.

    Raises:
        ValueError: the data are not tokens, the size of the vocabulary is missing, or the output
            has neither form.
    """
    length, vocabulary = _checked(shapes)
    layers, parts = layers_of(cell), Parts()
    tokens = parts.builder.input(shapes.input)
    is_padding = parts.node("eq_scalar", tokens, value=PADDING)
    value = parts.node(
        "embedding",
        tokens,
        num_embeddings=vocabulary,
        embedding_dim=layers[0].hidden,
        padding_idx=PADDING,
        label="embedding.tokens",
    )
    value = _dropped(parts, parts.node("layer_norm", value, label="embedding.norm"))
    # (B, 1, 1, T), broadcast to the scores of all heads and queries.
    is_hidden = parts.node("reshape", is_padding, shape=("batch", 1, 1, length))
    width = layers[0].hidden
    for number, layer in enumerate(layers):
        if layer.hidden != width:
            width = layer.hidden
            value = parts.node(
                "linear", value, out_features=width, label=f"layers.{number}.projection"
            )
        value = _layer(parts, layer, value, is_hidden, length=length, label=f"layers.{number}")
    if len(shapes.output) == 1:
        value = _mean(parts, value, is_padding, length)
    value = parts.node("linear", value, out_features=shapes.output[-1], label="head")
    return parts.builder.output(value)


def _checked(shapes: Shapes) -> tuple[int, int]:
    if len(shapes.input) != 1:
        raise ValueError(
            f"FlexiBERT's networks take tokens (length,), got the shape {shapes.input}"
        )
    if shapes.vocabulary is None:
        raise ValueError(
            "FlexiBERT's networks take tokens, but the size of the vocabulary is missing: give "
            "Shapes(..., vocabulary=...)"
        )
    (length,) = shapes.input
    if len(shapes.output) != 1 and (len(shapes.output) != 2 or shapes.output[0] != length):
        raise ValueError(
            f"FlexiBERT's networks give scores (classes,), or for every token ({length}, "
            f"vocabulary); got the shape {shapes.output}"
        )
    return length, shapes.vocabulary


def _layer(
    parts: Parts, layer: Layer, value: int, is_hidden: int, *, length: int, label: str
) -> int:
    size = layer.hidden // len(layer.operations)
    mixed, taken = [], 0
    for operation, same in groupby(layer.operations):
        heads = Heads(len(list(same)), size, taken, label=f"{label}.{operation}")
        word, parameter = operation.split("_")
        if word == "sa":
            weighted = parameter == "wma"
            result = self_attention(
                parts, heads, value, is_hidden, length=length, weighted=weighted
            )
        elif word == "l":
            sizes = {"length": length, "width": layer.hidden}
            cosine = parameter == "dct"
            result = linear_transform(parts, heads, value, is_hidden, cosine=cosine, **sizes)
        else:
            result = span_convolution(parts, heads, value, kernel_size=int(parameter))
        mixed.append(result)
        taken += heads.width
    joined = mixed[0] if len(mixed) == 1 else parts.node("cat", *mixed, ordered=True, dim=2)
    joined = parts.node("linear", joined, out_features=layer.hidden, label=f"{label}.heads")
    value = _add_norm(parts, value, joined, f"{label}.heads_norm")
    label = f"{label}.feed_forward"
    inner = value
    for place, features in enumerate(layer.feed_forward):
        inner = parts.node("linear", inner, out_features=features, label=f"{label}.{place}")
        inner = parts.node("gelu", inner)
    inner = parts.node("linear", inner, out_features=layer.hidden, label=f"{label}.last")
    return _add_norm(parts, value, inner, f"{label}_norm")


def _add_norm(parts: Parts, value: int, change: int, label: str) -> int:
    """Layer norm of the sum of `value` and `change`, the latter with dropout."""
    total = parts.node("add", value, _dropped(parts, change))
    return parts.node("layer_norm", total, label=label)


def _dropped(parts: Parts, value: int) -> int:
    return parts.node("dropout", value, p=DROPOUT)


def _mean(parts: Parts, value: int, is_padding: int, length: int) -> int:
    """The mean of the vectors (B, T, H) of tokens that are not padding; 0 for padding alone."""
    is_padding = parts.node("unsqueeze", is_padding, dim=-1)
    masked = parts.node("masked_fill", value, is_padding, ordered=True, value=0.0)
    total = parts.node("sum", masked, dim=1)
    count = parts.node("rsub_scalar", parts.node("sum", is_padding, dim=1), value=length)
    # The small number avoids 0 / 0 for a text of padding alone.
    count = parts.node("add_scalar", count, value=1e-6)
    return parts.node("div", total, count, ordered=True)
