"""How the torch functions and modules that a user calls become operations of the vocabulary.

The functions of this file take a `record` (what adds a node to the graph, see `Record`) and the call's own arguments.
"""

from __future__ import annotations

import inspect
import math
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import nn
from torch.overrides import get_testing_overrides, resolve_name

from spaces import shape_rules
from spaces.generic import constructor_defaults, overridable
from spaces.ops import OPS, REQUIRED, Op
from spaces.shape_rules import BATCH
from spaces.traced_value import NO_NUMBER, BatchSize, DataType, Traced, Untraceable


class Record(Protocol):
    """Adds a node: `record(op, attributes, inputs)` gives its value. Attributes equal to their defaults are left out."""

    def __call__(self, op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...]) -> Traced: ...


Handler = Callable[..., Any]

VIEWS = frozenset(
    {"identity", "flatten", "unflatten", "reshape", "expand", "permute", "transpose", "squeeze", "unsqueeze", "chunk", "split", "getitem"}
)
_SIZES = frozenset({"kernel_size", "stride", "padding", "dilation", "output_padding", "output_size", "size", "scale_factor"})


def json_value(value: Any) -> Any:
    """The value as a node's attribute.

    Raises:
        Untraceable: it is not a JSON value.
    """
    if isinstance(value, tuple | list):
        return tuple(map(json_value, value))
    if isinstance(value, BatchSize):
        return "batch"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise Untraceable(f"the argument {value!r} has no place in a graph, which holds numbers, texts and tuples of them")


def _short(name: str, value: Any) -> Any:
    """(3, 3) as 3, which is how one writes it by hand."""
    if name in _SIZES:
        value = json_value(value)
        if isinstance(value, tuple) and value and value[0] is not None and all(item == value[0] for item in value):
            value = value[0]
        return int(value) if isinstance(value, float) and value.is_integer() else value
    return json_value(value)


# --- Modules ----------------------------------------------------------------------------------------------------------------------


def module_node(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """The operation and the attributes of a torch.nn module.

    Raises:
        Untraceable: the vocabulary has no such operation.
    """
    op = _ops_by_class().get(type(module))
    if op is None:
        return _unlisted_module(module)
    _check_module(module)
    attributes = {name: _read(module, name, default) for name, default in op.defaults.items() if name != "bias"}
    if "bias" in op.defaults:
        attributes["bias"] = _has_bias(module)
    if attributes.get("groups", 1) != 1 and attributes["groups"] == module.in_channels:
        attributes["groups"] = "in_channels"
    if op.name == "layer_norm" and len(attributes["normalized_shape"]) == 1:
        attributes["normalized_shape"] = None
    return op.name, attributes


@lru_cache(maxsize=1)
def _ops_by_class() -> dict[type, Op]:
    return {getattr(nn, op.torch_class): op for op in OPS.values() if op.torch_class is not None}


def _read(module: nn.Module, name: str, default: Any) -> Any:
    value = getattr(module, name, default)
    if value is REQUIRED:
        raise Untraceable(f"nn.{type(module).__name__} does not keep its argument {name!r}, so it cannot be rebuilt")
    if (value is None or isinstance(value, torch.Tensor)) and isinstance(default, bool):
        return value is not None
    return _short(name, value)


def _has_bias(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return module.in_proj_bias is not None
    return module.bias is not None or not getattr(module, "elementwise_affine", True)


def _check_module(module: nn.Module) -> None:
    if isinstance(module, nn.MultiheadAttention):
        if not module.batch_first:
            raise Untraceable("nn.MultiheadAttention must be made with batch_first=True, since the batch is the first dimension here")
        if not module._qkv_same_embed_dim or module.bias_k is not None or module.add_zero_attn:
            raise Untraceable("nn.MultiheadAttention with kdim, vdim, add_bias_kv or add_zero_attn has no place in the vocabulary")
    if getattr(module, "return_indices", False):
        raise Untraceable(f"nn.{type(module).__name__} with return_indices=True gives two values; only one can be traced")
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        raise Untraceable("nn.Embedding with max_norm has no place in the vocabulary")


def _unlisted_module(module: nn.Module) -> tuple[str, dict[str, Any]]:
    name = type(module).__name__
    if getattr(nn, name, None) is not type(module):
        raise Untraceable(
            f"{type(module).__module__}.{name} has no place in the vocabulary: remove parametrizations, or write its forward in a module of yours"
        )
    attributes = {argument: _read(module, argument, default) for argument, default in constructor_defaults(type(module)).items()}
    return f"nn.{name}", attributes


def attention_inputs(query: Any, key: Any, value: Any, *others: Any, **options: Any) -> tuple[Any, ...]:
    """The one or three tensors that `nn.MultiheadAttention` is called with.

    Raises:
        Untraceable: there is a mask.
    """
    names = ("key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
    given = {**dict(zip(names, others, strict=False)), **options}
    if any(given.get(name) is not None and given[name] is not False for name in ("key_padding_mask", "attn_mask", "is_causal")):
        raise Untraceable("nn.MultiheadAttention is traced without masks: use F.scaled_dot_product_attention with is_causal=True or a mask")
    return (query,) if query is key and key is value else (query, key, value)


def check_made_for(module: Any, shape: shape_rules.Shape) -> None:
    """What is inferred from the shape must be what the module was made for.

    Raises:
        Untraceable: the module was made for another number of channels or features.
    """
    for name, place in _MADE_FOR:
        wanted = getattr(module, name, None)
        if wanted is not None and len(shape) > place and shape[place] != wanted:
            raise Untraceable(f"{module} was made for {name}={wanted} and gets a tensor of the shape {shape_rules.shown(shape)}")


_MADE_FOR = (("in_channels", 1), ("num_features", 1), ("num_channels", 1), ("in_features", -1), ("embed_dim", -1))


def encoder_layer(layer: nn.TransformerEncoderLayer, x: Any) -> Any:
    """The layer's equation, by its members: x + Attention(Norm(x)), then x + MLP(Norm(x)), or with the norms behind the sums."""

    def attend(value: Any) -> Any:
        return layer.dropout1(layer.self_attn(value, value, value, need_weights=False)[0])

    def transform(value: Any) -> Any:
        return layer.dropout2(layer.linear2(layer.dropout(layer.activation(layer.linear1(value)))))

    if layer.norm_first:
        x = x + attend(layer.norm1(x))
        return x + transform(layer.norm2(x))
    x = layer.norm1(x + attend(x))
    return layer.norm2(x + transform(x))


def encoder(module: nn.TransformerEncoder, x: Any) -> Any:
    """All layers, then the norm if there is one."""
    for layer in module.layers:
        x = layer(x)
    return x if module.norm is None else module.norm(x)


COMPOSITES: Mapping[type, Callable[[Any, Any], Any]] = {nn.TransformerEncoderLayer: encoder_layer, nn.TransformerEncoder: encoder}


# --- Functions --------------------------------------------------------------------------------------------------------------------


def function_name(function: Callable[..., Any]) -> tuple[str, bool]:
    """The plain name of a torch function, and whether it works in place: `Tensor.relu_` is ("relu", True), `Tensor.__iadd__` ("add", True)."""
    name = getattr(function, "__name__", "")
    if name.startswith("__") and name.endswith("__"):
        bare = name[2:-2]
        return (bare[1:], True) if bare in ("iadd", "isub", "imul", "itruediv") else (bare, False)
    return (name[:-1], True) if name.endswith("_") else (name, False)


def bound(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments behind the tensor by name. What torch also takes but changes no value (`inplace`, `training`, None, False) is left out."""
    result = dict(zip(names, args, strict=False))
    extra = [*(value for value in args[len(names) :] if value not in (None, False, True))]
    for name, value in kwargs.items():
        if name in names:
            result[name] = value
        elif name not in ("inplace", "training", "train", "_stacklevel") and value is not None and value is not False:
            extra.append(f"{name}={value!r}")
    if extra:
        raise Untraceable(f"the argument {extra[0]} has no place in the vocabulary")
    return result


def _plain(op_name: str) -> Handler:
    """For functions of one tensor whose further arguments are the operation's attributes, in order."""
    names = tuple(OPS[op_name].defaults)

    def handle(record: Record, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        x = kwargs.pop("input") if x is None else x
        attributes = {name: _short(name, value) for name, value in bound(names, args, kwargs).items()}
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
                return record("rsub_scalar" if op_name == "sub" else "rdiv_scalar", {"value": json_value(y)}, (x,))
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
    if not isinstance(x, Traced) or isinstance(exponent, Traced | torch.Tensor):
        raise Untraceable("only a number can be the exponent")
    return record("pow_scalar", {"value": json_value(exponent)}, (x,))


def _maximum(op_name: str, reduced: str) -> Handler:
    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Traced | torch.Tensor):
            return record(op_name, {}, (x, args[0]))
        return _Extreme(_reduced(reduced)(record, x, *args, **kwargs), None)

    return handle


_Extreme = namedtuple("_Extreme", ["values", "indices"])


def _reduced(op_name: str) -> Handler:
    def handle(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = bound(("dim", "keepdim"), args, {("dim" if name == "axis" else name): value for name, value in kwargs.items()})
        if arguments.get("dim") is None:
            raise Untraceable(f"x.{op_name}() without dim mixes the samples of the batch: name the dimensions")
        dim = json_value(arguments["dim"])
        arguments["dim"] = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
        return record(op_name, arguments, (x,))

    return handle


def _reshape(record: Record, x: Any, *shape: Any, **kwargs: Any) -> Any:
    wanted = json_value(kwargs.get("shape", shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape))
    whole = shape_rules.reshaping({"shape": wanted}, (x.whole_shape,))
    if len(whole) == 2 and whole[0] == BATCH == x.whole_shape[0]:
        return record("flatten", {}, (x,))
    return record("reshape", {"shape": tuple("batch" if size == BATCH else size for size in whole)}, (x,))


def _expand(record: Record, x: Any, *shape: Any, **kwargs: Any) -> Any:
    wanted = kwargs.get("size", shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape)
    return record("expand", {"shape": json_value(wanted)}, (x,))


def _repeat(record: Record, x: Any, *sizes: Any) -> Any:
    sizes = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    if any(isinstance(size, BatchSize) for size in sizes):
        return record("expand", {"shape": tuple("batch" if isinstance(size, BatchSize) else -1 if size == 1 else size for size in sizes)}, (x,))
    return fallback(record, torch.Tensor.repeat, (x, *sizes), {})


def _permute(record: Record, x: Any, *dims: Any, **kwargs: Any) -> Any:
    return record("permute", {"dims": json_value(kwargs.get("dims", dims[0] if len(dims) == 1 else dims))}, (x,))


def _squeeze(record: Record, x: Any, dim: Any = None) -> Any:
    ones = tuple(place for place, size in enumerate(x.whole_shape) if size == 1)
    return record("squeeze", {"dim": json_value(ones if dim is None else dim)}, (x,))


def _flatten(record: Record, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    end = end_dim if end_dim != len(x.whole_shape) - 1 else -1
    return record("flatten", {"start_dim": start_dim, "end_dim": end}, (x,))


def _pieces(op_name: str, amount: str) -> Handler:
    def handle(record: Record, x: Any, pieces: Any = None, dim: int = 0, **kwargs: Any) -> Any:
        attributes = {amount: json_value(next(iter(kwargs.values())) if pieces is None else pieces), "dim": dim}
        size = x.whole_shape[shape_rules.dimension(dim, x.whole_shape)]
        count = len(shape_rules.piece_sizes(attributes, size))
        return tuple(record(op_name, {**attributes, "index": index}, (x,)) for index in range(count))

    return handle


def _unbind(record: Record, x: Any, dim: int = 0) -> Any:
    place = shape_rules.dimension(dim, x.whole_shape)
    return tuple(_select(record, x, place, index) for index in range(x.whole_shape[place]))


def _select(record: Record, x: Any, dim: int, index: int) -> Any:
    place = shape_rules.dimension(dim, x.whole_shape)
    return record("getitem", {"index": ((None, None, None),) * place + (index,)}, (x,))


def _getitem(record: Record, x: Any, index: Any) -> Any:
    def one(item: Any) -> Any:
        if isinstance(item, slice):
            return (json_value(item.start), json_value(item.stop), json_value(item.step))
        if item is Ellipsis:
            return "..."
        if item is None or (isinstance(item, int) and not isinstance(item, bool)):
            return item
        raise Untraceable(f"a tensor can be indexed by whole numbers, slices, None and ... only, got {type(item).__name__}")

    return record("getitem", {"index": tuple(map(one, index if isinstance(index, tuple) else (index,)))}, (x,))


def _joined(op_name: str) -> Handler:
    def handle(record: Record, tensors: Any = None, dim: int = 0, **kwargs: Any) -> Any:
        return record(op_name, {"dim": kwargs.get("axis", dim)}, tuple(kwargs["tensors"] if tensors is None else tensors))

    return handle


def _attention(record: Record, query: Any, key: Any, value: Any, attn_mask: Any = None, *args: Any, **kwargs: Any) -> Any:
    attributes = bound(("dropout_p", "is_causal", "scale"), args, kwargs)
    return record("scaled_dot_product_attention", attributes, (query, key, value) if attn_mask is None else (query, key, value, attn_mask))


def _to(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
    if any(isinstance(value, torch.dtype | str) for value in (*args, *kwargs.values())):
        raise Untraceable("a change of the data type or device has no place in a graph; x.to(y.dtype) and x.to(y) are fine")
    return x


def _same(record: Record, x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


def _gelu(record: Record, x: Any, approximate: str = "none") -> Any:
    return record("gelu", {"approximate": approximate}, (x,))


_ADD, _SUB, _MUL, _DIV = (
    _sum_like(name, scalar) for name, scalar in [("add", "add_scalar"), ("sub", "add_scalar"), ("mul", "mul_scalar"), ("div", "div_scalar")]
)


def _matmul(record: Record, x: Any, y: Any = None, **kwargs: Any) -> Any:
    return record("matmul", {}, (x, next(iter(kwargs.values())) if y is None else y))


_ALIKE = (
    *("relu", "sigmoid", "tanh", "relu6", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "hardswish", "hardsigmoid", "hardtanh", "softplus"),
    *("softsign", "tanhshrink", "logsigmoid", "softmax", "log_softmax", "glu", "exp", "log", "sqrt", "rsqrt", "abs", "neg", "square", "sin", "cos"),
    *("erf", "reciprocal", "log1p", "expm1", "interpolate", "pixel_shuffle", "pad", "unflatten", "transpose", "unsqueeze"),
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
    *(f"{kind}{n}d" for kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool") for n in (1, 2, 3)),
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
    **dict.fromkeys(("view_as", "reshape_as"), lambda record, x, other: _reshape(record, x, other.shape)),
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
        record, x, (*(slice(None),) * shape_rules.dimension(dim, x.whole_shape), slice(start, start + length))
    ),
    "getitem": _getitem,
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined("cat")),
    "stack": _joined("stack"),
    "scaled_dot_product_attention": _attention,
    "to": _to,
    **dict.fromkeys(("contiguous", "type_as"), _same),
    "clone": lambda record, x, **options: x.copy(),
}


def fallback(record: Record, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Any other function that torch lets one override, as the operation "function:torch.f".

    Raises:
        Untraceable: it is not such a function, or an argument is neither a tensor nor a JSON value.
    """
    path = _public_path(function)
    if any(isinstance(value, Traced | torch.Tensor) for value in kwargs.values()):
        given = inspect.signature(get_testing_overrides()[function]).bind(*args, **kwargs)
        args, kwargs = given.args, given.kwargs
    attributes: dict[str, Any] = {f"arg{place}": _argument(value) for place, value in enumerate(args) if not isinstance(value, Traced | torch.Tensor)}
    attributes |= {name: _argument(value) for name, value in kwargs.items() if value is not None}
    return record(f"function:{path}", attributes, tuple(value for value in args if isinstance(value, Traced | torch.Tensor)))


def _argument(value: Any) -> Any:
    if isinstance(value, BatchSize):
        raise Untraceable(NO_NUMBER)
    if isinstance(value, DataType):
        raise Untraceable("x.dtype can be handed to x.to(...) only")
    return json_value(value)


def _public_path(function: Callable[..., Any]) -> str:
    path = resolve_name(function) or ""
    name, in_place = function_name(function)
    name = {"and": "bitwise_and", "or": "bitwise_or", "invert": "bitwise_not"}.get(name, name)
    for candidate in (f"torch.{name}", f"torch.nn.functional.{name}", path.removesuffix("_") if in_place else path):
        if candidate in overridable():
            return candidate
    raise Untraceable(f"the function {path or getattr(function, '__name__', repr(function))} has no place in the vocabulary")
