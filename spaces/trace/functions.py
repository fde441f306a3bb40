"""The handler of each torch function by its plain name: one for `torch.add`, `x.add` and `x + y`.

A function that is not in the table goes to `other_functions.fallback`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from spaces.ops.vocabulary import OPS
from spaces.trace import arithmetic, rearranging
from spaces.trace.attributes import short
from spaces.trace.handlers import Handler, Record, bound
from spaces.trace.untraceable import Untraceable
from spaces.trace.value import Traced


def _plain(op_name: str) -> Handler:
    """The handler of a function whose arguments are a tensor and the attributes, in order."""
    names = tuple(OPS[op_name].defaults)

    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        given = bound(names, args, kwargs)
        attributes = {name: short(name, value) for name, value in given.items()}
        if op_name == "pad" and attributes.get("value") == 0:
            del attributes["value"]
        return record(op_name, attributes, (x,))

    return handle


def _attention(
    record: Record,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    attributes = bound(("dropout_p", "is_causal", "scale"), args, kwargs)
    inputs = (query, key, value) if attn_mask is None else (query, key, value, attn_mask)
    return record("scaled_dot_product_attention", attributes, inputs)


def _to(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
    for value in (*args, *kwargs.values()):
        wanted = value.dtype if isinstance(value, Traced | torch.Tensor) else value
        changes = isinstance(wanted, torch.dtype) and wanted != x.dtype
        if changes or isinstance(wanted, str):
            raise Untraceable(
                "a change of the data type or device has no place in a graph; x.to(y.dtype) and "
                "x.to(y) are fine where both are of one type"
            )
    return x


def _same(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


def _gelu(record: Record, x: Any, approximate: str = "none") -> Any:
    return record("gelu", {"approximate": approximate}, (x,))


# Functions that have the name, and the arguments in the order, of an operation of the table.
_ALIKE = (
    *("relu", "sigmoid", "tanh", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "mish"),
    *("hardswish", "hardsigmoid", "hardtanh", "softplus", "softsign", "tanhshrink", "logsigmoid"),
    *("softmax", "log_softmax", "glu"),
    *("exp", "log", "sqrt", "rsqrt", "abs", "neg", "square", "sin", "cos"),
    *("erf", "reciprocal", "log1p", "expm1"),
    *("interpolate", "pixel_shuffle", "pad", "unflatten", "transpose", "unsqueeze"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
    *(
        f"{kind}{n}d"
        for kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
        for n in (1, 2, 3)
    ),
)
_ADD = arithmetic.operator("add", "add_scalar")
_SUB = arithmetic.operator("sub", "add_scalar")
_MUL = arithmetic.operator("mul", "mul_scalar")
_DIV = arithmetic.operator("div", "div_scalar")

FUNCTIONS: Mapping[str, Handler] = {
    **{name: _plain(name) for name in _ALIKE},
    **{name: arithmetic.reduction(name) for name in ("mean", "sum", "amax", "amin")},
    **dict.fromkeys(("add", "radd"), _ADD),
    **dict.fromkeys(("mul", "rmul", "multiply"), _MUL),
    **dict.fromkeys(("sub", "subtract"), _SUB),
    **dict.fromkeys(("div", "truediv", "true_divide", "divide"), _DIV),
    "rsub": arithmetic.swapped(_SUB),
    "rtruediv": arithmetic.swapped(_DIV),
    "rmatmul": arithmetic.swapped(arithmetic.matmul),
    "rpow": arithmetic.swapped(arithmetic.power),
    **dict.fromkeys(("matmul", "bmm", "mm"), arithmetic.matmul),
    "pow": arithmetic.power,
    "gelu": _gelu,
    "max": arithmetic.extreme("maximum", "amax"),
    "min": arithmetic.extreme("minimum", "amin"),
    "maximum": arithmetic.extreme("maximum", "amax"),
    "minimum": arithmetic.extreme("minimum", "amin"),
    **dict.fromkeys(("reshape", "view"), rearranging.reshape),
    "expand": rearranging.expand,
    "expand_as": lambda record, x, other: rearranging.expand(record, x, other.shape),
    **dict.fromkeys(
        ("view_as", "reshape_as"),
        lambda record, x, other: rearranging.reshape(record, x, other.shape),
    ),
    "repeat": rearranging.repeat,
    "permute": rearranging.permute,
    **dict.fromkeys(("swapaxes", "swapdims"), _plain("transpose")),
    "t": lambda record, x: record("transpose", {"dim0": 0, "dim1": 1}, (x,)),
    "squeeze": rearranging.squeeze,
    "flatten": rearranging.flatten,
    "chunk": rearranging.pieces("chunk", "chunks"),
    "split": rearranging.pieces("split", "split_size"),
    "unbind": rearranging.unbind,
    "select": rearranging.select,
    "narrow": rearranging.narrow,
    "getitem": rearranging.getitem,
    **dict.fromkeys(("cat", "concat", "concatenate"), rearranging.joined("cat")),
    "stack": rearranging.joined("stack"),
    "scaled_dot_product_attention": _attention,
    "to": _to,
    "contiguous": _same,
    "type_as": _to,
    "is_floating_point": lambda record, x: x.is_floating_point(),
    "is_complex": lambda record, x: x.is_complex(),
    "clone": lambda record, x, **options: x.copy(),
}
