"""The operations of heads on a layer's input: attention, linear transforms, dynamic convolution.

The heads of one operation map (B, T, H) to (B, T, N E); see `encoder` for the letters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spaces.graph import GraphBuilder, Node, node

# Distances between tokens are clipped to this number. Each distance has a vector (Shaw et al.,
# NAACL 2018), and long texts would need many.
FARTHEST = 64
# The score of padding, which softmax turns into 0. With minus infinity, a text of padding alone
# would give not-a-number.
HIDDEN_SCORE = -10_000.0


@dataclass(frozen=True)
class Parts:
    """A graph being built, whose nodes can have labels."""

    builder: GraphBuilder = field(default_factory=GraphBuilder)

    def node(
        self, op: str, *inputs: int, ordered: bool = False, label: str = "", **attributes: Any
    ) -> int:
        """Adds an operation on earlier values and returns its number."""
        item = node(op, **attributes)
        if label:
            item = Node(op, item.attributes, label)
        return self.builder.add(item, *inputs, ordered=ordered)


@dataclass(frozen=True)
class Heads:
    """The heads of one operation in a layer.

    Attributes:
        count: N, the number of heads.
        size: E, the width of a head.
        offset: the first of these heads' columns in the layer.
        label: of their part of the network.
    """

    count: int
    size: int
    offset: int
    label: str

    @property
    def width(self) -> int:
        """N E, the width of all heads together."""
        return self.count * self.size


def self_attention(
    parts: Parts, heads: Heads, value: int, is_hidden: int, *, length: int, weighted: bool
) -> int:
    """softmax((Q Kᵀ + Q Dᵀ) / √E) V, where D has a vector for each distance.

    If `weighted`, Q Kᵀ becomes Q W Kᵀ, where W (E, E) is one matrix for all these heads.
    """
    query = _queries(parts, heads, value)
    key = _projected(parts, heads, value, "key")
    weighted_query = query
    if weighted:
        matrix = parts.node(
            "parameter",
            shape=(heads.size, heads.size),
            fill=("uniform", -0.1, 0.1),
            label=f"{heads.label}.between",
        )
        weighted_query = parts.node("matmul", query, matrix, ordered=True)
    key = parts.node("transpose", key, dim0=2, dim1=3)
    content = parts.node("matmul", weighted_query, key, ordered=True)
    scores = parts.node("add", content, _distances(parts, heads, query, length))
    return _attended(parts, heads, value, scores, is_hidden)


def linear_transform(
    parts: Parts, heads: Heads, value: int, is_hidden: int, *, length: int, width: int, cosine: bool
) -> int:
    """softmax(Q Dᵀ / √E) V, plus a transform of the layer's input along tokens and width.

    The transform is the real part of the Fourier transform (FNet) or, if `cosine`, the cosine
    transform. Both are orthonormal, so that both summands have the same scale. If the layer has
    other operations too, these heads take their own columns of the transform.
    """
    scores = _distances(parts, heads, _queries(parts, heads, value), length)
    attended = _attended(parts, heads, value, scores, is_hidden)
    if cosine:
        along_tokens, along_width = _cosine(parts, length), _cosine(parts, width)
        transformed = parts.node("matmul", along_tokens, value, ordered=True)
        along_width = parts.node("transpose", along_width, dim0=0, dim1=1)
        transformed = parts.node("matmul", transformed, along_width, ordered=True)
    else:
        transformed = parts.node("fourier_transform2d", value, norm="ortho")
    if heads.width != width:
        own = (heads.offset, heads.offset + heads.width, None)
        transformed = parts.node("getitem", transformed, index=("...", own))
    return parts.node("add", attended, transformed)


def span_convolution(parts: Parts, heads: Heads, value: int, *, kernel_size: int) -> int:
    """The span-based dynamic convolution of ConvBERT (Jiang et al., NeurIPS 2020).

    It gives for each head the weighted sum of the values at the places around a token. The weights
    are softmax(A (Q · S)). S holds the keys of the span, a separable convolution of the input. A is
    a projection to one number for each head and place.
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
    product = parts.node("mul", query, parts.node("transpose", span, dim0=1, dim1=2))
    weights = parts.node(
        "linear", product, out_features=heads.count * kernel_size, label=f"{heads.label}.weights"
    )
    sizes = (heads.count, kernel_size)
    weights = parts.node("unflatten", weights, dim=2, unflattened_size=sizes)
    weights = parts.node("softmax", weights, dim=-1)
    values = parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.value")
    values = parts.node("pad", values, pad=(0, 0, kernel_size // 2, kernel_size // 2))
    values = parts.node("unflatten", values, dim=2, unflattened_size=(heads.count, heads.size))
    mixed = parts.node("dynamic_convolution", values, weights, ordered=True)
    return parts.node("flatten", mixed, start_dim=2)


def _queries(parts: Parts, heads: Heads, value: int) -> int:
    """Q / √E, (B, N, T, E)."""
    query = _projected(parts, heads, value, "query")
    return parts.node("mul_scalar", query, value=heads.size**-0.5)


def _projected(parts: Parts, heads: Heads, value: int, name: str) -> int:
    """A projection of (B, T, H) to (B, N, T, E)."""
    value = parts.node("linear", value, out_features=heads.width, label=f"{heads.label}.{name}")
    value = parts.node("unflatten", value, dim=2, unflattened_size=(heads.count, heads.size))
    return parts.node("transpose", value, dim0=1, dim1=2)


def _cosine(parts: Parts, size: int) -> int:
    """The matrix of the cosine transform, which all layers share."""
    return parts.node(
        "buffer",
        shape=(size, size),
        fill=("cosine",),
        share=f"cosine {size}",
        label=f"cosine_{size}",
    )


def _distances(parts: Parts, heads: Heads, query: int, length: int) -> int:
    """The product of each query and the vector of its distance to each token: (B, N, T, T)."""
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
    """The values, weighted by the softmax of the scores of unpadded tokens: (B, T, N E)."""
    values = _projected(parts, heads, value, "value")
    scores = parts.node("masked_fill", scores, is_hidden, ordered=True, value=HIDDEN_SCORE)
    weights = parts.node("softmax", scores, dim=-1)
    mixed = parts.node("matmul", weights, values, ordered=True)
    mixed = parts.node("transpose", mixed, dim0=1, dim1=2)
    return parts.node("flatten", mixed, start_dim=2)
