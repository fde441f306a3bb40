"""The few kinds of operation that the coarse graph of a network tells apart.

The vocabulary of graphs has a hundred operations, and a watched module brings any operation of
torch. Knowledge that is to hold in a space that was never seen needs a language of a few words.
"""

from __future__ import annotations

import re
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
# Stands for the kind of an operation that only moves values.
MOVE = ""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+[a-z]*")
# An operation is of the first kind of which one of these is in its name: one whole word, or several
# that follow each other, written together. The order matters: a bilinear upsampling is not linear.
_WORDS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (kind, frozenset(words.split()))
    for kind, words in (
        ("attention", "attention matmul rmatmul mm bmm baddbmm addbmm einsum"),
        (MOVE, "dropout"),
        ("convolution", "conv convolution"),
        ("recurrent", "lstm gru rnn"),
        ("other", "embeddingloss vectornorm matrixnorm linalgnorm frobeniusnorm nuclearnorm"),
        ("embedding", "embedding"),
        ("normalisation", "norm normalize lrn"),
        ("softmax", "softmax softmin"),
        ("global_pool", "adaptive mean nanmean amax amin aminmax"),
        ("max_pool", "maxpool"),
        ("average_pool", "avgpool lppool"),
        # As the shipped prior learnt it. When that is trained anew, these are resampling too.
        ("linear", "upsamplebilinear upsamplelinear"),
        ("resampling", "upsample upsampling interpolate gridsample gridsampler maxunpool"),
        ("resampling", "pixelshuffle pixelunshuffle"),
        ("linear", "linear bilinear trilinear addmm"),
        ("rectifier", "relu prelu rrelu threshold"),
        ("smooth_activation", "elu celu selu gelu silu swish hardswish mish softplus softsign"),
        ("smooth_activation", "logsigmoid tanhshrink"),
        ("gate", "sigmoid hardsigmoid tanh hardtanh glu"),
        ("concatenation", "cat concat concatenate stack hstack vstack dstack"),
        ("other", "fftshift ifftshift fftfreq rfftfreq"),
        ("transform", "fourier cosinetransform fft ifft rfft irfft hfft ihfft"),
        ("transform", "fftn ifftn rfftn irfftn hfftn ihfftn"),
    )
)
_EXACT = {
    "input": "input",
    "output": "output",
    "add": "sum",
    "sub": "sum",
    "sum": "sum",
    "mul": "product",
    "div": "product",
    "norm": "other",
    "native_norm": "other",
    "norm_except_dim": "other",
}
# Operations that only move values, or scale them by a constant: they leave no trace of their own.
_MOVES = frozenset(
    (
        *("identity", "flatten", "unflatten", "transpose", "permute", "reshape", "view", "squeeze"),
        *("unsqueeze", "contiguous", "chunk", "split", "index", "getitem", "expand", "moved", "t"),
        *("pad", "zero_pad2d", "constant_pad_nd", "add_scalar", "mul_scalar", "div_scalar"),
        *("rsub_scalar", "eq_scalar", "rdiv_scalar", "pow_scalar", "masked_fill", "clone"),
        *("slice", "select", "roll"),
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
    """The kind of one operation's name, or `MOVE`."""
    short = name.rpartition(".")[2].strip("_")
    exact = short.lower()
    if exact in _MOVES:
        return MOVE
    if exact in _EXACT:
        return _EXACT[exact]
    phrases = _phrases(short)
    return next((kind for kind, words in _WORDS if not phrases.isdisjoint(words)), "other")


def _phrases(name: str) -> set[str]:
    """Each word of the name, and each run of words written together, in lower case.

    Words are parted as in `avg_pool2d` and `AvgPool2d`: avg, pool, 2d. In "PReLU" they are p, re
    and lu, which gives the run "relu".
    """
    words = [word.lower() for word in _WORD.findall(name)]
    ends = range(1, len(words) + 1)
    return {"".join(words[start:end]) for end in ends for start in range(end)}
