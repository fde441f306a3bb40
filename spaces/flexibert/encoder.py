"""The transformer that a description stands for, of primitive operations: an encoder in both
directions over tokens, of which 0 is padding.

Shapes: B texts in a batch, T tokens, H the width of a layer, N heads of an operation, E the width
of a head.
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
    """The whole network: embedded tokens with a layer norm, the layers, and a head for whole texts
    or for every token.

    A layer adds to its input what its heads make of it, projected, and normalises; then what its
    feed-forward layers make of that, and normalises again. In front of a layer of another width
    than the one before stands a projection. Attention leaves padding out; transforms and
    convolutions do not, as in the authors' code. Heads of one operation stand together, sorted by
    its name, so descriptions with one canonical key give one network.

    For `shapes.output` (classes,) the tokens' mean without padding is projected: it needs no token
    of its own in front of a text, and every token has a share in the gradient from the first step.
    For (length, vocabulary) every token's vector is projected.

    Raises:
        ValueError: the data are not tokens, how many different ones there are is not said, or the
            output is of neither form.
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
    # For the scores of all heads and queries: (B, 1, 1, T).
    is_hidden = parts.node("reshape", is_padding, shape=("batch", 1, 1, length))
    width = layers[0].hidden
    for number, layer in enumerate(layers):
        if layer.hidden != width:
            value, width = (
                parts.node(
                    "linear", value, out_features=layer.hidden, label=f"layers.{number}.projection"
                ),
                layer.hidden,
            )
        value = _layer(parts, layer, value, is_hidden, length=length, label=f"layers.{number}")
    if len(shapes.output) == 1:
        value = _mean(parts, value, is_padding, length)
    return parts.builder.output(
        parts.node("linear", value, out_features=shapes.output[-1], label="head")
    )


def _checked(shapes: Shapes) -> tuple[int, int]:
    if len(shapes.input) != 1:
        raise ValueError(
            f"FlexiBERT's networks take tokens (length,), got the shape {shapes.input}"
        )
    if shapes.vocabulary is None:
        raise ValueError(
            "FlexiBERT's networks take tokens, and how many different ones there are is not "
            "said: give Shapes(..., vocabulary=...)"
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
            mixed.append(
                self_attention(
                    parts, heads, value, is_hidden, length=length, weighted=parameter == "wma"
                )
            )
        elif word == "l":
            mixed.append(
                linear_transform(
                    parts,
                    heads,
                    value,
                    is_hidden,
                    length=length,
                    width=layer.hidden,
                    cosine=parameter == "dct",
                )
            )
        else:
            mixed.append(span_convolution(parts, heads, value, kernel_size=int(parameter)))
        taken += heads.width
    joined = mixed[0] if len(mixed) == 1 else parts.node("cat", *mixed, ordered=True, dim=2)
    joined = parts.node("linear", joined, out_features=layer.hidden, label=f"{label}.heads")
    value = parts.node(
        "layer_norm", parts.node("add", value, _dropped(parts, joined)), label=f"{label}.heads_norm"
    )
    inner = value
    for place, features in enumerate(layer.feed_forward):
        inner = parts.node(
            "gelu",
            parts.node(
                "linear", inner, out_features=features, label=f"{label}.feed_forward.{place}"
            ),
        )
    inner = parts.node(
        "linear", inner, out_features=layer.hidden, label=f"{label}.feed_forward.last"
    )
    return parts.node(
        "layer_norm",
        parts.node("add", value, _dropped(parts, inner)),
        label=f"{label}.feed_forward_norm",
    )


def _dropped(parts: Parts, value: int) -> int:
    return parts.node("dropout", value, p=DROPOUT)


def _mean(parts: Parts, value: int, is_padding: int, length: int) -> int:
    """The mean of the vectors (B, T, H) of tokens that are no padding; of a text without any,
    nearly 0 / 0, which is 0.
    """
    is_padding = parts.node("unsqueeze", is_padding, dim=-1)
    total = parts.node(
        "sum", parts.node("masked_fill", value, is_padding, ordered=True, value=0.0), dim=1
    )
    count = parts.node("rsub_scalar", parts.node("sum", is_padding, dim=1), value=length)
    return parts.node("div", total, parts.node("add_scalar", count, value=1e-6), ordered=True)
