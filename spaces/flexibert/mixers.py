"""What the heads of one operation make of a layer's input: (B, T, H) to (B, T, N E). See `encoder`
for the letters.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from spaces.graph import GraphBuilder, node

# Tokens farther apart than this are as far apart as this: each distance has a vector (Shaw et al.,
# NAACL 2018), and long texts would need many.
FARTHEST = 64
# What softmax makes 0 of; infinity would make a text of padding alone not a number.
HIDDEN_SCORE = -10_000.0


@dataclass(frozen=True)
class Parts:
    """A graph being built whose nodes may be labelled with their place in the network."""

    builder: GraphBuilder = field(default_factory=GraphBuilder)

    def node(
        self, op: str, *inputs: int, ordered: bool = False, label: str = "", **attributes: Any
    ) -> int:
        """An operation on earlier values."""
        return self.builder.add(
            replace(node(op, **attributes), label=label), *inputs, ordered=ordered
        )


@dataclass(frozen=True)
class Heads:
    """The heads of one operation in a layer.

    Attributes:
        count: N.
        size: E.
        offset: how many columns of the layer other operations have before these.
        label: of their part of the network.
    """

    count: int
    size: int
    offset: int
    label: str

    @property
    def width(self) -> int:
        """N E."""
        return self.count * self.size


def self_attention(
    parts: Parts, heads: Heads, value: int, is_hidden: int, *, length: int, weighted: bool
) -> int:
    """softmax((Q Kᵀ + Q Dᵀ) / √E) V, D being a vector for each distance; `weighted`: Q W Kᵀ, W (E,
    E) being one matrix for all these heads.
    """
    query = _queries(parts, heads, value)
    key = _split(
        parts,
        heads,
        parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.key"),
    )
    asked = query
    if weighted:
        matrix = parts.node(
            "parameter",
            shape=(heads.size, heads.size),
            fill=("uniform", -0.1, 0.1),
            label=f"{heads.label}.between",
        )
        asked = parts.node("matmul", query, matrix, ordered=True)
    content = parts.node(
        "matmul", asked, parts.node("transpose", key, dim0=2, dim1=3), ordered=True
    )
    scores = parts.node("add", content, _distances(parts, heads, query, length))
    return _attended(parts, heads, value, scores, is_hidden)


def linear_transform(
    parts: Parts, heads: Heads, value: int, is_hidden: int, *, length: int, width: int, cosine: bool
) -> int:
    """softmax(Q Dᵀ / √E) V, plus a transform of the layer's input along tokens and width: the real
    part of Fourier's (FNet), or the cosine transform.

    Both are orthonormal, so that what is added up is of one size. Heads that share the layer with
    others take their own columns of the transform.
    """
    scores = _distances(parts, heads, _queries(parts, heads, value), length)
    attended = _attended(parts, heads, value, scores, is_hidden)
    if cosine:
        along_tokens, along_width = (
            parts.node(
                "buffer",
                shape=(size, size),
                fill=("cosine",),
                share=f"cosine {size}",
                label=f"cosine_{size}",
            )
            for size in (length, width)
        )
        transformed = parts.node(
            "matmul",
            parts.node("matmul", along_tokens, value, ordered=True),
            _turned(parts, along_width),
            ordered=True,
        )
    else:
        transformed = parts.node("fourier_transform2d", value, norm="ortho")
    if heads.width != width:
        own = (heads.offset, heads.offset + heads.width, None)
        transformed = parts.node("getitem", transformed, index=("...", own))
    return parts.node("add", attended, transformed)


def span_convolution(parts: Parts, heads: Heads, value: int, *, kernel_size: int) -> int:
    """ConvBERT's span-based dynamic convolution (Jiang et al., NeurIPS 2020): the values, each
    head's weighted over the places around a token.

    The weights are softmax(A (Q · S)), S being the keys of the span, a separable convolution of the
    input, and A a projection to one number for each head and place.
    """
    query = parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.query")
    span = parts.node("transpose", value, dim0=1, dim1=2)
    span = parts.node(
        "conv1d",
        span,
        out_channels="in_channels",
        kernel_size=kernel_size,
        padding=kernel_size // 2,
        groups="in_channels",
        bias=False,
        label=f"{heads.label}.span",
    )
    span = parts.node(
        "conv1d", span, out_channels=heads.width, kernel_size=1, label=f"{heads.label}.key"
    )
    asked = parts.node("mul", query, parts.node("transpose", span, dim0=1, dim1=2))
    weights = parts.node(
        "linear", asked, out_features=heads.count * kernel_size, label=f"{heads.label}.weights"
    )
    weights = parts.node(
        "softmax",
        parts.node("unflatten", weights, dim=2, unflattened_size=(heads.count, kernel_size)),
        dim=-1,
    )
    values = parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.value")
    values = parts.node("pad", values, pad=(0, 0, kernel_size // 2, kernel_size // 2))
    values = parts.node("unflatten", values, dim=2, unflattened_size=(heads.count, heads.size))
    return parts.node(
        "flatten", parts.node("dynamic_convolution", values, weights, ordered=True), start_dim=2
    )


def _queries(parts: Parts, heads: Heads, value: int) -> int:
    """Q / √E, (B, N, T, E)."""
    query = parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.query")
    return parts.node("mul_scalar", _split(parts, heads, query), value=heads.size**-0.5)


def _split(parts: Parts, heads: Heads, value: int) -> int:
    """(B, T, N E) to (B, N, T, E)."""
    return parts.node(
        "transpose",
        parts.node("unflatten", value, dim=2, unflattened_size=(heads.count, heads.size)),
        dim0=1,
        dim1=2,
    )


def _turned(parts: Parts, matrix: int) -> int:
    return parts.node("transpose", matrix, dim0=0, dim1=1)


def _distances(parts: Parts, heads: Heads, query: int, length: int) -> int:
    """For each query and token the product of the query and the vector of their distance: (B, N, T,
    T).
    """
    farthest = max(1, min(FARTHEST, length - 1))
    numbers = parts.node(
        "buffer",
        shape=(length, length),
        fill=("distance", farthest),
        dtype="int64",
        share="distances",
        label="distances",
    )
    vectors = parts.node(
        "embedding",
        numbers,
        num_embeddings=2 * farthest + 1,
        embedding_dim=heads.size,
        label=f"{heads.label}.distances",
    )
    return parts.node("einsum", query, vectors, equation="bnqe,qke->bnqk", ordered=True)


def _attended(parts: Parts, heads: Heads, value: int, scores: int, is_hidden: int) -> int:
    """The values, weighted by the scores' softmax over tokens that are no padding: (B, T, N E)."""
    values = _split(
        parts,
        heads,
        parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.value"),
    )
    weights = parts.node(
        "softmax",
        parts.node("masked_fill", scores, is_hidden, ordered=True, value=HIDDEN_SCORE),
        dim=-1,
    )
    mixed = parts.node("matmul", weights, values, ordered=True)
    return parts.node("flatten", parts.node("transpose", mixed, dim0=1, dim1=2), start_dim=2)
