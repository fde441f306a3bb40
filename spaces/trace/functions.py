"""How the torch functions that a user calls become operations of the vocabulary.

A handler takes `record` (what adds a node to the graph, see `Record`) and the call's own arguments.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch.overrides import get_testing_overrides, resolve_name

from spaces.ops import rearranging_rules
from spaces.ops.generic import overridable
from spaces.ops.shape_rules import BATCH, dimension
from spaces.ops.vocabulary import OPS
from spaces.trace.value import (
    NO_NUMBER,
    BatchSize,
    DataType,
    Traced,
    Untraceable,
    json_value,
    short,
)


class Record(Protocol):
    """Adds a node: `record(op, attributes, inputs)` gives its value. Attributes equal to their
    defaults are left out.
    """

    def __call__(
        self, op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...]
    ) -> Traced: ...


Handler = Callable[..., Any]

VIEWS = frozenset(
    {
        "identity",
        "flatten",
        "unflatten",
        "reshape",
        "expand",
        "permute",
        "transpose",
        "squeeze",
        "unsqueeze",
        "chunk",
        "split",
        "getitem",
    }
)


def function_name(function: Callable[..., Any]) -> tuple[str, bool]:
    """The plain name of a torch function, and whether it works in place: `Tensor.relu_` is ("relu",
    True), `Tensor.__iadd__` ("add", True).
    """
    name = getattr(function, "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        bare = name[2:-2]
        return (bare[1:], True) if bare in ("iadd", "isub", "imul", "itruediv") else (bare, False)
    return (name[:-1], True) if name.endswith("_") else (name, False)


def bound(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments behind the tensor by name. What torch also takes but changes no value
    (`inplace`, `training`, None, False) is left out.
    """
    result = dict(zip(names, args, strict=False))
    extra = [*(value for value in args[len(names) :] if value not in (None, False, True))]
    for name, value in kwargs.items():
        if name in names:
            result[name] = value
        elif (
            name not in ("inplace", "training", "train", "_stacklevel")
            and value is not None
            and value is not False
        ):
            extra.append(f"{name}={value!r}")
    if extra:
        raise Untraceable(f"the argument {extra[0]} has no place in the vocabulary")
    return result


def _plain(op_name: str) -> Handler:
    """For functions of one tensor whose further arguments are the operation's attributes, in order."""
    names = tuple(OPS[op_name].defaults)

    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        attributes = {
            name: short(name, value) for name, value in bound(names, args, kwargs).items()
        }
        if op_name == "pad" and attributes.get("value") == 0:
            del attributes["value"]
        return record(op_name, attributes, (x,))

    return handle


def _sum_like(op_name: str, scalar_name: str) -> Handler:
    def handle(record: Record, x: Any, y: Any = None, alpha: Any = 1, **kwargs: Any) -> Any:
        y = kwargs.pop("other") if y is None else y
        bound((), (), kwargs)
        if alpha != 1:
            y = y * alpha
        if not isinstance(x, Traced | torch.Tensor):
            x, y = y, x
            if op_name in ("sub", "div"):
                return record(
                    "rsub_scalar" if op_name == "sub" else "rdiv_scalar",
                    {"value": json_value(y)},
                    (x,),
                )
        if isinstance(y, Traced | torch.Tensor):
            return record(op_name, {}, (x, y))
        if isinstance(y, BatchSize):
            raise Untraceable(NO_NUMBER)
        if op_name == "mul" and y == 0:
            return record("zero", {}, (x,))
        return record(scalar_name, {"value": json_value(-y if op_name == "sub" else y)}, (x,))

    return handle


def _swapped(handle: Handler) -> Handler:
    return lambda record, x, y: handle(record, y, x)


def _pow(record: Record, x: Any, exponent: Any) -> Any:
    if isinstance(x, Traced | torch.Tensor) and not isinstance(
        exponent, Traced | torch.Tensor | BatchSize
    ):
        return record("pow_scalar", {"value": json_value(exponent)}, (x,))
    return fallback(record, torch.pow, (x, exponent), {})


def _maximum(op_name: str, reduced: str) -> Handler:
    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Traced | torch.Tensor):
            return record(op_name, {}, (x, args[0]))
        return _Extreme(_reduced(reduced)(record, x, *args, **kwargs), None)

    return handle


_Extreme = namedtuple("_Extreme", ["values", "indices"])


def _reduced(op_name: str) -> Handler:
    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = bound(
            ("dim", "keepdim"),
            args,
            {("dim" if name == "axis" else name): value for name, value in kwargs.items()},
        )
        if arguments.get("dim") is None:
            raise Untraceable(
                f"x.{op_name}() without dim mixes the samples of the batch: name the dimensions"
            )
        dim = json_value(arguments["dim"])
        arguments["dim"] = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
        return record(op_name, arguments, (x,))

    return handle


def _reshape(record: Record, x: Any, *shape: Any, **kwargs: Any) -> Any:
    wanted = json_value(
        kwargs.get(
            "shape", shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        )
    )
    whole = rearranging_rules.reshaping({"shape": wanted}, (x.whole_shape,))
    if len(whole) == 2 and whole[0] == BATCH == x.whole_shape[0]:
        return record("flatten", {}, (x,))
    return record(
        "reshape", {"shape": tuple("batch" if size == BATCH else size for size in whole)}, (x,)
    )


def _expand(record: Record, x: Any, *shape: Any, **kwargs: Any) -> Any:
    wanted = kwargs.get(
        "size", shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    )
    return record("expand", {"shape": json_value(wanted)}, (x,))


def _repeat(record: Record, x: Any, *sizes: Any) -> Any:
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    if any(isinstance(size, BatchSize) for size in sizes):
        return record(
            "expand",
            {
                "shape": tuple(
                    "batch" if isinstance(size, BatchSize) else -1 if size == 1 else size
                    for size in sizes
                )
            },
            (x,),
        )
    return fallback(record, torch.Tensor.repeat, (x, *sizes), {})


def _permute(record: Record, x: Any, *dims: Any, **kwargs: Any) -> Any:
    return record(
        "permute",
        {"dims": json_value(kwargs.get("dims", dims[0] if len(dims) == 1 else dims))},
        (x,),
    )


def _squeeze(record: Record, x: Any, dim: Any = None) -> Any:
    ones = tuple(place for place, size in enumerate(x.whole_shape) if size == 1)
    return record("squeeze", {"dim": json_value(ones if dim is None else dim)}, (x,))


def _flatten(record: Record, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    end = end_dim if end_dim != len(x.whole_shape) - 1 else -1
    return record("flatten", {"start_dim": start_dim, "end_dim": end}, (x,))


def _pieces(op_name: str, amount: str) -> Handler:
    def handle(record: Record, x: Any, pieces: Any = None, dim: int = 0, **kwargs: Any) -> Any:
        attributes = {
            amount: json_value(next(iter(kwargs.values())) if pieces is None else pieces),
            "dim": dim,
        }
        size = x.whole_shape[dimension(dim, x.whole_shape)]
        count = len(rearranging_rules.piece_sizes(attributes, size))
        return tuple(
            record(op_name, {**attributes, "index": index}, (x,)) for index in range(count)
        )

    return handle


def _unbind(record: Record, x: Any, dim: int = 0) -> Any:
    place = dimension(dim, x.whole_shape)
    return tuple(_select(record, x, place, index) for index in range(x.whole_shape[place]))


def _select(record: Record, x: Any, dim: int, index: int) -> Any:
    place = dimension(dim, x.whole_shape)
    return record("getitem", {"index": ((None, None, None),) * place + (index,)}, (x,))


def _getitem(record: Record, x: Any, index: Any) -> Any:
    def one(item: Any) -> Any:
        if isinstance(item, slice):
            return (json_value(item.start), json_value(item.stop), json_value(item.step))
        if item is Ellipsis:
            return "..."
        if item is None or (isinstance(item, int) and not isinstance(item, bool)):
            return item
        raise Untraceable(
            "a tensor can be indexed by whole numbers, slices, None and ... only, got "
            f"{type(item).__name__}"
        )

    return record(
        "getitem", {"index": tuple(map(one, index if isinstance(index, tuple) else (index,)))}, (x,)
    )


def _joined(op_name: str) -> Handler:
    def handle(record: Record, tensors: Any = None, dim: int = 0, **kwargs: Any) -> Any:
        return record(
            op_name,
            {"dim": kwargs.get("axis", dim)},
            tuple(kwargs["tensors"] if tensors is None else tensors),
        )

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
    return record(
        "scaled_dot_product_attention",
        attributes,
        (query, key, value) if attn_mask is None else (query, key, value, attn_mask),
    )


def _to(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
    if any(isinstance(value, torch.dtype | str) for value in (*args, *kwargs.values())):
        raise Untraceable(
            "a change of the data type or device has no place in a graph; x.to(y.dtype) and "
            "x.to(y) are fine"
        )
    return x


def _same(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


def _gelu(record: Record, x: Any, approximate: str = "none") -> Any:
    return record("gelu", {"approximate": approximate}, (x,))


_ADD, _SUB, _MUL, _DIV = (
    _sum_like(name, scalar)
    for name, scalar in [
        ("add", "add_scalar"),
        ("sub", "add_scalar"),
        ("mul", "mul_scalar"),
        ("div", "div_scalar"),
    ]
)


def _matmul(record: Record, x: Any, y: Any = None, **kwargs: Any) -> Any:
    return record("matmul", {}, (x, next(iter(kwargs.values())) if y is None else y))


_ALIKE = (
    *(
        "relu",
        "sigmoid",
        "tanh",
        "relu6",
        "leaky_relu",
        "elu",
        "celu",
        "selu",
        "silu",
        "mish",
        "hardswish",
        "hardsigmoid",
        "hardtanh",
        "softplus",
    ),
    *(
        "softsign",
        "tanhshrink",
        "logsigmoid",
        "softmax",
        "log_softmax",
        "glu",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "abs",
        "neg",
        "square",
        "sin",
        "cos",
    ),
    *(
        "erf",
        "reciprocal",
        "log1p",
        "expm1",
        "interpolate",
        "pixel_shuffle",
        "pad",
        "unflatten",
        "transpose",
        "unsqueeze",
    ),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
    *(
        f"{kind}{n}d"
        for kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
        for n in (1, 2, 3)
    ),
)

FUNCTIONS: Mapping[str, Handler] = {
    **{name: _plain(name) for name in _ALIKE},
    **{name: _reduced(name) for name in ("mean", "sum", "amax", "amin")},
    **dict.fromkeys(("add", "radd"), _ADD),
    **dict.fromkeys(("mul", "rmul", "multiply"), _MUL),
    **dict.fromkeys(("sub", "subtract"), _SUB),
    **dict.fromkeys(("div", "truediv", "true_divide", "divide"), _DIV),
    "rsub": _swapped(_SUB),
    "rtruediv": _swapped(_DIV),
    "rmatmul": _swapped(_matmul),
    "rpow": _swapped(_pow),
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "pow": _pow,
    "gelu": _gelu,
    "max": _maximum("maximum", "amax"),
    "min": _maximum("minimum", "amin"),
    "maximum": _maximum("maximum", "amax"),
    "minimum": _maximum("minimum", "amin"),
    **dict.fromkeys(("reshape", "view"), _reshape),
    "expand": _expand,
    "expand_as": lambda record, x, other: _expand(record, x, other.shape),
    **dict.fromkeys(
        ("view_as", "reshape_as"), lambda record, x, other: _reshape(record, x, other.shape)
    ),
    "repeat": _repeat,
    "permute": _permute,
    **dict.fromkeys(("swapaxes", "swapdims"), _plain("transpose")),
    "t": lambda record, x: record("transpose", {"dim0": 0, "dim1": 1}, (x,)),
    "squeeze": _squeeze,
    "flatten": _flatten,
    "chunk": _pieces("chunk", "chunks"),
    "split": _pieces("split", "split_size"),
    "unbind": _unbind,
    "select": _select,
    "narrow": lambda record, x, dim, start, length: _getitem(
        record, x, (*(slice(None),) * dimension(dim, x.whole_shape), slice(start, start + length))
    ),
    "getitem": _getitem,
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined("cat")),
    "stack": _joined("stack"),
    "scaled_dot_product_attention": _attention,
    "to": _to,
    **dict.fromkeys(("contiguous", "type_as"), _same),
    "clone": lambda record, x, **options: x.copy(),
}


def fallback(
    record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Any other function that torch lets one override, as the operation "function:torch.f".

    Raises:
        Untraceable: it is not such a function, or an argument is neither a tensor nor a JSON value.
    """
    path = _public_path(function)
    if any(isinstance(value, Traced | torch.Tensor) for value in kwargs.values()):
        given = inspect.signature(get_testing_overrides()[function]).bind(*args, **kwargs)
        args, kwargs = given.args, given.kwargs
    attributes: dict[str, Any] = {
        f"arg{place}": _argument(value)
        for place, value in enumerate(args)
        if not isinstance(value, Traced | torch.Tensor)
    }
    attributes |= {name: _argument(value) for name, value in kwargs.items() if value is not None}
    return record(
        f"function:{path}",
        attributes,
        tuple(value for value in args if isinstance(value, Traced | torch.Tensor)),
    )


def _argument(value: Any) -> Any:
    if isinstance(value, BatchSize):
        raise Untraceable(NO_NUMBER)
    if isinstance(value, DataType):
        raise Untraceable("x.dtype can be handed to x.to(...) only")
    return json_value(value)


def _public_path(function: Callable[..., Any]) -> str:
    path = resolve_name(function) or ""
    name, in_place = function_name(function)
    name = {"and": "logical_and", "or": "logical_or", "invert": "logical_not"}.get(name, name)
    for candidate in (
        f"torch.{name}",
        f"torch.nn.functional.{name}",
        path.removesuffix("_") if in_place else path,
    ):
        if candidate in overridable():
            return candidate
    raise Untraceable(
        f"the function {path or getattr(function, '__name__', repr(function))} has no place in "
        "the vocabulary: compute it by other functions of torch "
        "(new tensors are made in __init__ and kept by self.register_buffer, random numbers are "
        "left to nn.Dropout)"
    )
