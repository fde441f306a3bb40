"""The few kinds of operation that the coarse graph of a network tells apart.

The vocabulary of graphs has a hundred operations, and a watched module brings any operation of
torch. Knowledge that is to hold in a space that was never seen needs a language of a few words.
"""

from __future__ import annotations

from functools import lru_cache

from spaces.ops.observed import PREFIX

KINDS = (
    "input",
    "output",
    "convolution",
    "linear",
    "attention",
    "recurrent",
    "embedding",
    "normalisation",
    "rectifier",
    "smooth_activation",
    "gate",
    "softmax",
    "max_pool",
    "average_pool",
    "global_pool",
    "sum",
    "product",
    "concatenation",
    "resampling",
    "transform",
    "other",
)
PLACE = {kind: place for place, kind in enumerate(KINDS)}
# An operation is of the first kind that has a part of its name. The order matters: "relu" contains
# "elu", and "scaled_dot_product_attention" contains "product".
_PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("attention", ("attention", "matmul", "bmm", "einsum", "aten.mm")),
    ("convolution", ("conv",)),
    ("recurrent", ("lstm", "gru", "rnn")),
    ("embedding", ("embedding",)),
    ("normalisation", ("norm",)),
    ("softmax", ("softmax",)),
    ("global_pool", ("adaptive", "mean", "amax", "amin")),
    ("max_pool", ("max_pool", "maxpool", "max_unpool")),
    ("average_pool", ("avg_pool", "avgpool", "lp_pool", "lppool")),
    ("linear", ("linear", "addmm")),
    ("rectifier", ("relu", "threshold")),
    ("smooth_activation", ("gelu", "silu", "swish", "mish", "elu", "softplus", "softsign")),
    ("gate", ("sigmoid", "tanh", "glu")),
    ("concatenation", ("cat", "stack")),
    ("resampling", ("upsample", "interpolate", "pixel_shuffle", "pixelshuffle")),
    ("transform", ("fourier", "fft", "cosine_transform")),
)
_EXACT = {
    "input": "input",
    "output": "output",
    "add": "sum",
    "sub": "sum",
    "sum": "sum",
    "mul": "product",
    "div": "product",
    "elu": "smooth_activation",
    "celu": "smooth_activation",
    "selu": "smooth_activation",
    "prelu": "rectifier",
    "linalg_vector_norm": "other",
    "logsigmoid": "smooth_activation",
    "leaky_relu": "rectifier",
    "maximum": "other",
    "minimum": "other",
}
# Operations that only move values, or scale them by a constant: they leave no trace of their own.
_MOVES = frozenset(
    (
        *("identity", "flatten", "unflatten", "transpose", "permute", "reshape", "view", "squeeze"),
        *("unsqueeze", "contiguous", "chunk", "split", "index", "getitem", "expand", "moved", "t"),
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "pad", "zero_pad2d"),
        *("constant_pad_nd", "add_scalar", "mul_scalar", "div_scalar", "rsub_scalar", "eq_scalar"),
        *("rdiv_scalar", "pow_scalar", "masked_fill", "clone", "slice", "select", "roll"),
        *("parameter", "buffer", "neg", "skip_connect", "drop_path", "zero", "zeros", "outputs"),
    )
)


@lru_cache(maxsize=65536)
def kinds_of(op: str) -> frozenset[str]:
    """The kinds of an operation; several for a watched chain, none for one that only moves values.

    >>> sorted(kinds_of("observed:nn.Conv2d+nn.BatchNorm2d+aten.add"))
    ['convolution', 'normalisation', 'sum']
    >>> kinds_of("flatten")
    frozenset()
    """
    names = op.removeprefix(PREFIX).split("+") if op.startswith(PREFIX) else [op]
    found = {_kind_of(name) for name in names}
    return frozenset(kind for kind in found if kind)


def _kind_of(name: str) -> str:
    """The kind of one operation's name, empty for a move."""
    bare = name.removeprefix("nn.").removeprefix("function:torch.").lower()
    short = bare.removeprefix("aten.").removeprefix("nn.functional.").strip("_")
    if short in _MOVES:
        return ""
    if short in _EXACT:
        return _EXACT[short]
    for kind, parts in _PARTS:
        if any(part in bare for part in parts):
            return kind
    return "other"
