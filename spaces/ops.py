"""The vocabulary: the primitive operations that a graph's nodes name, with their attributes, shapes, costs and PyTorch text.

Attributes are torch's own constructor or function arguments with torch's defaults. What the input's shape tells (`in_channels`,
`num_features`, ...) is never an attribute. Where a number of channels or groups is wanted, "in_channels" stands for as many as come in, so a
depthwise convolution is `conv2d(groups="in_channels", ...)`. `dim` counts the batch, as in torch; in `shape` the word "batch" stands for the
batch size. Every operation that makes a module takes the attribute `share`: nodes of one operation and one `share` share their weights.

    OPS["conv2d"]                        an operation
    find("nn.Hardshrink")                any other torch.nn module, or "function:torch.roll", any function that torch lets one override
    infer_shapes(graph), costs(graph)    what can be told of a network without building it
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from spaces import shape_rules as rules
from spaces.graph import Graph, Node, Value
from spaces.shape_rules import BATCH, Attributes, Shape, each, elements


class _Required:
    """Stands for the default of an attribute that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

Call = Callable[[Attributes, tuple[str, ...], str], str]
Shapes = tuple[Shape, ...]


def _nothing(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    return ()


def _free(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    return 0


def _no_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return 0


def _module_call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    return f"{owner}({', '.join(values)})"


@dataclass(frozen=True)
class Op:
    """One operation. Shapes are whole ones (see `shape_rules`).

    Attributes:
        infer: the output's shape; raises ValueError where the inputs do not fit.
        defaults: every attribute and its default, or REQUIRED, in the order of torch's arguments.
        fewest, most: how many inputs it takes; `most` None: any number.
        ordered: whether the inputs' order matters, so that edges carry slots.
        torch_class: the torch.nn class whose instances this operation stands for.
        constructed: whether the network holds a module (or tensor) for it; otherwise it is an expression in `forward`.
        inferred: the constructor's leading arguments, which the shape tells.
        call: the expression in `forward`, given the inputs' expressions and the module's ("self.conv1").
        parameters, multiply_adds: counts for one sample. Biases, norms and activations count no multiply-adds.
    """

    name: str
    infer: rules.Rule
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fewest: int = 1
    most: int | None = 1
    ordered: bool = False
    torch_class: str | None = None
    constructed: bool = False
    inferred: Callable[[Attributes, Shapes], tuple[Value, ...]] = _nothing
    call: Call = _module_call
    parameters: Callable[[Attributes, Shapes], int] = _no_parameters
    multiply_adds: Callable[[Attributes, Shapes, Shape], int] = _free
    constructor: Callable[[Op, Attributes, Shapes], str] | None = None

    def module(self, attributes: Attributes, inputs: Shapes) -> str | None:
        """The constructor's text, such as "nn.Conv2d(3, 16, 3, padding=1)"; None for functions."""
        if not self.constructed:
            return None
        if self.constructor is not None:
            return self.constructor(self, attributes, inputs)
        shown = {name: rules.channels(value, inputs[0][1]) if value == "in_channels" else value for name, value in attributes.items()}
        return f"nn.{self.torch_class}({', '.join((*map(literal, self.inferred(attributes, inputs)), *arguments(self, shown)))})"


def arguments(op: Op, attributes: Attributes) -> tuple[str, ...]:
    """The attributes as the arguments of a call: required ones by place, others by name where they differ from the default."""
    required = tuple(literal(attributes[name]) for name, default in op.defaults.items() if default is REQUIRED)
    optional = (name for name, default in op.defaults.items() if default is not REQUIRED and attributes[name] != default)
    return (*required, *(f"{name}={literal(attributes[name])}" for name in optional))


def literal(value: Value) -> str:
    """A JSON value as Python text: this is the only way from an attribute into source. "inf", "-inf" and "nan" are the floats of that name."""
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if value in ("inf", "-inf", "nan"):
        return f'float("{value}")'
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError(f"an attribute must be a JSON value, got {value!r}")
    return '"' + repr(value)[1:-1] + '"' if isinstance(value, str) and '"' not in value and "'" not in value else repr(value)


# --- Texts ------------------------------------------------------------------------------------------------------------------------


def _function(op_name: str, function: str, defaults: Mapping[str, Any]) -> Call:
    described = Op(op_name, rules.same, defaults)

    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        return f"{function}({', '.join((*values, *arguments(described, attributes)))})"

    return call


def _joined(sign: str) -> Call:
    return lambda attributes, values, owner: f" {sign} ".join(values)


def _in_list(function: str) -> Call:
    return lambda attributes, values, owner: f"{function}([{', '.join(values)}], dim={attributes['dim']})"


def _with_scalar(pattern: str) -> Call:
    return lambda attributes, values, owner: pattern.format(values[0], literal(attributes["value"]))


def _add_scalar(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    added = literal(attributes["value"])
    return f"{values[0]} - {added[1:]}" if added.startswith("-") else f"{values[0]} + {added}"


def _method(name: str, *attribute_names: str) -> Call:
    return lambda attributes, values, owner: f"{values[0]}.{name}({', '.join(literal(attributes[item]) for item in attribute_names)})"


def _sizes(name: str) -> Call:
    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        return f"{values[0]}.{name}({', '.join('batch' if size == 'batch' else literal(size) for size in attributes['shape'])})"

    return call


def _flatten(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    end = "" if attributes["end_dim"] == -1 else f", {literal(attributes['end_dim'])}"
    return f"{values[0]}.flatten({literal(attributes['start_dim'])}{end})"


def _reduce(name: str) -> Call:
    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        return f"{values[0]}.{name}({literal(attributes['dim'])}{', keepdim=True' if attributes['keepdim'] else ''})"

    return call


def _piece(name: str, amount: str) -> Call:
    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        return f"{values[0]}.{name}({literal(attributes[amount])}, dim={literal(attributes['dim'])})[{literal(attributes['index'])}]"

    return call


def _index(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    def one(item: Any) -> str:
        if isinstance(item, tuple):
            start, stop, step = ("" if place is None else literal(place) for place in item)
            return f"{start}:{stop}" + (f":{step}" if step else "")
        return "..." if item == "..." else literal(item)

    return f"{values[0]}[{', '.join(map(one, attributes['index']))}]"


def _zero_pad2d(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    return f"nn.functional.pad({values[0]}, {literal(each(attributes['padding'], 4))})"


def _attention(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    shown = list(values)
    if attributes["dropout_p"]:
        shown.append(f"dropout_p={literal(attributes['dropout_p'])} if self.training else 0.0")
    shown += [f"{name}={literal(attributes[name])}" for name in ("is_causal", "scale") if attributes[name]]
    return f"nn.functional.scaled_dot_product_attention({', '.join(shown)})"


def _attention_module(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    query, key, value = values * 3 if len(values) == 1 else values
    return f"{owner}({query}, {key}, {value}, need_weights=False)[0]"


def _attention_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    return f"nn.MultiheadAttention({', '.join((literal(inputs[0][2]), *arguments(op, attributes), 'batch_first=True'))})"


def _tensor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    shape, fill = attributes["shape"], attributes["fill"]
    dtype = "" if attributes.get("dtype", "float32") == "float32" else f", dtype=torch.{_DTYPES[attributes['dtype']]}"
    text = f"torch.zeros({literal(shape)}{dtype})" if fill == 0 else f"torch.full({literal(shape)}, {literal(fill)}{dtype})"
    return f"nn.Parameter({text})" if op.name == "parameter" else text


def _itself(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    return owner or values[0]


_DTYPES = {name: name for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")}


# --- Counts -----------------------------------------------------------------------------------------------------------------------


def _in_channels(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    return (inputs[0][1],)


def _in_features(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    return (inputs[0][-1],)


def _window(attributes: Attributes, inputs: Shapes) -> int:
    return math.prod(each(attributes["kernel_size"], len(inputs[0]) - 2))


def _convolution_parameters(attributes: Attributes, inputs: Shapes) -> int:
    in_channels = inputs[0][1]
    out_channels, groups = (rules.channels(attributes[name], in_channels) for name in ("out_channels", "groups"))
    return in_channels * out_channels // groups * _window(attributes, inputs) + (out_channels if attributes["bias"] else 0)


def _convolution_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    return elements(output) * inputs[0][1] // rules.channels(attributes["groups"], inputs[0][1]) * _window(attributes, inputs)


def _transposed_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    return elements(inputs[0]) * output[1] // rules.channels(attributes["groups"], inputs[0][1]) * _window(attributes, inputs)


def _linear_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return attributes["out_features"] * (inputs[0][-1] + (1 if attributes["bias"] else 0))


def _linear_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    return elements(output) * inputs[0][-1]


def _norm_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return 2 * inputs[0][1] if attributes["affine"] else 0


def _layer_norm_parameters(attributes: Attributes, inputs: Shapes) -> int:
    count = math.prod(rules.normalized_shape(attributes, inputs[0]))
    return count * (1 + bool(attributes["bias"])) if attributes["elementwise_affine"] else 0


def _normalized_shape(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    shape = rules.normalized_shape(attributes, inputs[0])
    return (shape[0] if len(shape) == 1 else shape,)


def _layer_norm_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    others = arguments(op, {**attributes, "normalized_shape": None})
    return f"nn.LayerNorm({', '.join((*map(literal, _normalized_shape(attributes, inputs)), *others))})"


def _group_norm_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    groups, *others = arguments(op, attributes)
    return f"nn.GroupNorm({', '.join((groups, literal(inputs[0][1]), *others))})"


def _embedding_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return attributes["num_embeddings"] * attributes["embedding_dim"]


def _attention_module_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return 4 * inputs[0][2] * (inputs[0][2] + (1 if attributes["bias"] else 0))


def _attention_module_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    (queries, width), keys = inputs[0][1:], inputs[-1][1]
    return 2 * (queries + keys) * width * width + 2 * queries * keys * width


def _matrix_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    return elements(output) * inputs[0][-1]


def _attention_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    query, key, value = inputs[:3]
    return elements(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _tensor_parameters(attributes: Attributes, inputs: Shapes) -> int:
    return math.prod(attributes["shape"])


# --- The table --------------------------------------------------------------------------------------------------------------------

_WINDOW = {"out_channels": REQUIRED, "kernel_size": REQUIRED, "stride": 1, "padding": 0}
_CONVOLUTION = {**_WINDOW, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"}
_TRANSPOSED = {**_WINDOW, "output_padding": 0, "groups": 1, "bias": True, "dilation": 1}
_BATCH_NORM = {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
_MAX_POOL = {"kernel_size": REQUIRED, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
_AVG_POOL = {"kernel_size": REQUIRED, "stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True}


def _convolutions() -> list[Op]:
    counts: dict[str, Any] = {"constructed": True, "inferred": _in_channels, "parameters": _convolution_parameters}
    plain: dict[str, Any] = {**counts, "multiply_adds": _convolution_multiply_adds}
    transposed: dict[str, Any] = {**counts, "multiply_adds": _transposed_multiply_adds}
    return [
        *(Op(f"conv{n}d", rules.convolution(n), _CONVOLUTION, torch_class=f"Conv{n}d", **plain) for n in (1, 2, 3)),
        *(Op(f"conv_transpose{n}d", rules.transposed_convolution(n), _TRANSPOSED, torch_class=f"ConvTranspose{n}d", **transposed) for n in (1, 2, 3)),
    ]


def _norms() -> list[Op]:
    held: dict[str, Any] = {"constructed": True, "inferred": _in_channels, "parameters": _norm_parameters}
    batch = [
        Op(f"batch_norm{n}d", rules.normalization((0, 1) if n == 1 else (n,)), _BATCH_NORM, torch_class=f"BatchNorm{n}d", **held) for n in (1, 2, 3)
    ]
    instance_defaults = {**_BATCH_NORM, "affine": False, "track_running_stats": False}
    instance = [Op(f"instance_norm{n}d", rules.normalization((n,)), instance_defaults, torch_class=f"InstanceNorm{n}d", **held) for n in (1, 2)]
    group_defaults = {"num_groups": REQUIRED, "eps": 1e-5, "affine": True}
    held["constructor"] = _group_norm_constructor
    group = Op("group_norm", rules.normalization((2, 0, 1, 3)), group_defaults, torch_class="GroupNorm", **held)
    layer_defaults = {"normalized_shape": None, "eps": 1e-5, "elementwise_affine": True, "bias": True}
    held |= {"constructor": _layer_norm_constructor, "parameters": _layer_norm_parameters}
    return [*batch, *instance, group, Op("layer_norm", rules.layer_norm, layer_defaults, torch_class="LayerNorm", **held)]


def _layers() -> list[Op]:
    linear = Op(
        "linear",
        rules.linear,
        {"out_features": REQUIRED, "bias": True},
        torch_class="Linear",
        constructed=True,
        inferred=_in_features,
        parameters=_linear_parameters,
        multiply_adds=_linear_multiply_adds,
    )
    embedding_defaults = {"num_embeddings": REQUIRED, "embedding_dim": REQUIRED, "padding_idx": None}
    embedding = Op("embedding", rules.embedding, embedding_defaults, torch_class="Embedding", constructed=True, parameters=_embedding_parameters)
    attention = Op(
        "multihead_attention",
        rules.attention_module,
        {"num_heads": REQUIRED, "dropout": 0.0, "bias": True},
        most=3,
        ordered=True,
        torch_class="MultiheadAttention",
        constructed=True,
        call=_attention_module,
        constructor=_attention_constructor,
        parameters=_attention_module_parameters,
        multiply_adds=_attention_module_multiply_adds,
    )
    prelu_defaults = {"num_parameters": 1, "init": 0.25}
    prelu = Op(
        "prelu", rules.same, prelu_defaults, torch_class="PReLU", constructed=True, parameters=lambda attributes, inputs: attributes["num_parameters"]
    )
    dropouts = [
        Op(name, rules.same, {"p": 0.5}, torch_class=torch_class, constructed=True)
        for name, torch_class in [
            ("dropout", "Dropout"),
            ("dropout1d", "Dropout1d"),
            ("dropout2d", "Dropout2d"),
            ("dropout3d", "Dropout3d"),
            ("alpha_dropout", "AlphaDropout"),
        ]
    ]
    return [linear, embedding, attention, prelu, *dropouts]


def _activations() -> list[Op]:
    """Functions of one tensor that keep its shape: (name, torch.nn class, defaults)."""
    table: list[tuple[str, str, dict[str, Any]]] = [
        ("relu", "ReLU", {}),
        ("sigmoid", "Sigmoid", {}),
        ("tanh", "Tanh", {}),
        ("relu6", "ReLU6", {}),
        ("leaky_relu", "LeakyReLU", {"negative_slope": 0.01}),
        ("elu", "ELU", {"alpha": 1.0}),
        ("celu", "CELU", {"alpha": 1.0}),
        ("selu", "SELU", {}),
        ("gelu", "GELU", {"approximate": "none"}),
        ("silu", "SiLU", {}),
        ("mish", "Mish", {}),
        ("hardswish", "Hardswish", {}),
        ("hardsigmoid", "Hardsigmoid", {}),
        ("hardtanh", "Hardtanh", {"min_val": -1.0, "max_val": 1.0}),
        ("softplus", "Softplus", {"beta": 1.0, "threshold": 20.0}),
        ("softsign", "Softsign", {}),
        ("tanhshrink", "Tanhshrink", {}),
        ("logsigmoid", "LogSigmoid", {}),
    ]
    prefix = {"relu": "torch.", "sigmoid": "torch.", "tanh": "torch."}
    plain = [
        Op(name, rules.same, defaults, torch_class=torch_class, call=_function(name, prefix.get(name, "nn.functional.") + name, defaults))
        for name, torch_class, defaults in table
    ]
    along = [
        Op(
            name,
            rules.halving if name == "glu" else rules.along_dim,
            {"dim": -1} if name == "glu" else {"dim": REQUIRED},
            torch_class=torch_class,
            call=_function(name, f"nn.functional.{name}", {"dim": None}),
        )
        for name, torch_class in [("softmax", "Softmax"), ("log_softmax", "LogSoftmax"), ("glu", "GLU")]
    ]
    names = ("exp", "log", "sqrt", "rsqrt", "abs", "neg", "square", "sin", "cos", "erf", "reciprocal", "log1p", "expm1")
    return [*plain, *along, *(Op(name, rules.same, call=_function(name, f"torch.{name}", {})) for name in names)]


def _pools() -> list[Op]:
    result = []
    for n in (1, 2, 3):
        average = _AVG_POOL if n == 1 else {**_AVG_POOL, "divisor_override": None}
        for name, torch_class, infer, defaults in [
            (f"max_pool{n}d", f"MaxPool{n}d", rules.pooling(n), _MAX_POOL),
            (f"avg_pool{n}d", f"AvgPool{n}d", rules.pooling(n), average),
            (f"adaptive_avg_pool{n}d", f"AdaptiveAvgPool{n}d", rules.adaptive_pooling(n), {"output_size": REQUIRED}),
            (f"adaptive_max_pool{n}d", f"AdaptiveMaxPool{n}d", rules.adaptive_pooling(n), {"output_size": REQUIRED}),
        ]:
            result.append(Op(name, infer, defaults, torch_class=torch_class, call=_function(name, f"nn.functional.{name}", defaults)))
    interpolate = {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": None}
    pad = {"pad": REQUIRED, "mode": "constant", "value": None}
    shuffle = {"upscale_factor": REQUIRED}
    return [
        *result,
        Op("interpolate", rules.interpolation, interpolate, torch_class="Upsample", call=_function("", "nn.functional.interpolate", interpolate)),
        Op("pixel_shuffle", rules.pixel_shuffling, shuffle, torch_class="PixelShuffle", call=_function("", "nn.functional.pixel_shuffle", shuffle)),
        Op("pad", rules.padding, pad, call=_function("", "nn.functional.pad", pad)),
        Op("zero_pad2d", rules.zero_padding2d, {"padding": REQUIRED}, torch_class="ZeroPad2d", call=_zero_pad2d),
    ]


def _rearrangements() -> list[Op]:
    two_dims = {"dim0": REQUIRED, "dim1": REQUIRED}
    reduced = {"dim": REQUIRED, "keepdim": False}
    unflattened = {"dim": REQUIRED, "unflattened_size": REQUIRED}
    return [
        Op("identity", rules.same, torch_class="Identity", call=_itself),
        Op("zero", rules.same, call=_function("", "torch.zeros_like", {})),
        Op("flatten", rules.flattening, {"start_dim": 1, "end_dim": -1}, torch_class="Flatten", call=_flatten),
        Op("unflatten", rules.unflattening, unflattened, torch_class="Unflatten", call=_method("unflatten", "dim", "unflattened_size")),
        Op("reshape", rules.reshaping, {"shape": REQUIRED}, call=_sizes("reshape")),
        Op("expand", rules.expansion, {"shape": REQUIRED}, call=_sizes("expand")),
        Op("permute", rules.permutation, {"dims": REQUIRED}, call=_method("permute", "dims")),
        Op("transpose", rules.transposition, two_dims, call=_method("transpose", "dim0", "dim1")),
        Op("squeeze", rules.squeezing, {"dim": REQUIRED}, call=_method("squeeze", "dim")),
        Op("unsqueeze", rules.unsqueezing, {"dim": REQUIRED}, call=_method("unsqueeze", "dim")),
        *(Op(name, rules.reduction, reduced, call=_reduce(name)) for name in ("mean", "sum", "amax", "amin")),
        Op("chunk", rules.part, {"chunks": REQUIRED, "dim": 0, "index": REQUIRED}, call=_piece("chunk", "chunks")),
        Op("split", rules.part, {"split_size": REQUIRED, "dim": 0, "index": REQUIRED}, call=_piece("split", "split_size")),
        Op("getitem", rules.indexing, {"index": REQUIRED}, call=_index),
    ]


def _combinations() -> list[Op]:
    two: dict[str, Any] = {"fewest": 2, "most": 2, "ordered": True}
    attention = {"dropout_p": 0.0, "is_causal": False, "scale": None}
    value = {"value": REQUIRED}
    tensor = {"shape": REQUIRED, "fill": 0.0}
    held: dict[str, Any] = {"fewest": 0, "most": 0, "constructed": True, "call": _itself, "constructor": _tensor}
    scalars = [("mul_scalar", "{} * {}"), ("div_scalar", "{} / {}"), ("pow_scalar", "{} ** {}")]
    scalars += [("rsub_scalar", "{1} - {0}"), ("rdiv_scalar", "{1} / {0}")]
    return [
        Op("add", rules.broadcast, most=None, call=_joined("+")),
        Op("mul", rules.broadcast, most=None, call=_joined("*")),
        Op("sub", rules.broadcast, call=_joined("-"), **two),
        Op("div", rules.broadcast, call=_joined("/"), **two),
        Op("maximum", rules.broadcast, fewest=2, most=2, call=_function("", "torch.maximum", {})),
        Op("minimum", rules.broadcast, fewest=2, most=2, call=_function("", "torch.minimum", {})),
        Op("cat", rules.concatenation, {"dim": 1}, most=None, ordered=True, call=_in_list("torch.cat")),
        Op("stack", rules.stacking, {"dim": 1}, most=None, ordered=True, call=_in_list("torch.stack")),
        Op("matmul", rules.matrix_product, call=_joined("@"), multiply_adds=_matrix_multiply_adds, **two),
        Op(
            "scaled_dot_product_attention",
            rules.attention,
            attention,
            fewest=3,
            most=4,
            ordered=True,
            call=_attention,
            multiply_adds=_attention_multiply_adds,
        ),
        Op("add_scalar", rules.same, value, call=_add_scalar),
        *(Op(name, rules.same, value, call=_with_scalar(pattern)) for name, pattern in scalars),
        Op("parameter", rules.constant, tensor, parameters=_tensor_parameters, **held),
        Op("buffer", rules.constant, {**tensor, "dtype": "float32"}, **held),
    ]


OPS: Mapping[str, Op] = {
    op.name: op for op in (*_convolutions(), *_norms(), *_layers(), *_activations(), *_pools(), *_rearrangements(), *_combinations())
}

_OUTPUT = Op("output", rules.broadcast, most=None, call=_joined("+"))


def find(name: str) -> Op:
    """The operation of that name: of the table, "nn.X" for another torch.nn module, or "function:torch.f" for another torch function.

    Raises:
        ValueError: there is none; the message names the nearest ones.
    """
    if name in OPS:
        return OPS[name]
    if name == "output":
        return _OUTPUT
    if name.startswith(("nn.", "function:")):
        from spaces.generic import generic

        return generic(name)
    near = difflib.get_close_matches(name, OPS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(OPS)}"
    raise ValueError(f"there is no operation {name!r}; {hint}")


@lru_cache(maxsize=65536)
def settings(node: Node) -> Mapping[str, Any]:
    """All attributes of a node, defaults included.

    Raises:
        ValueError: the operation or an attribute is unknown, or a required one is missing.
    """
    op = find(node.op)
    given = dict(node.attributes)
    share = given.pop("share", None)
    if share is not None and not op.constructed:
        raise ValueError(f"{node.op!r} has no weights, so it takes no attribute 'share'")
    unknown = [name for name in given if name not in op.defaults]
    missing = [name for name, default in op.defaults.items() if default is REQUIRED and name not in given]
    if unknown or missing:
        takes = ", ".join(op.defaults) or "none"
        wrong = f"has no attribute {unknown[0]!r}" if unknown else f"needs the attribute {missing[0]!r}"
        raise ValueError(f"{node.op!r} {wrong}; its attributes: {takes}")
    return {**op.defaults, **given}


@lru_cache(maxsize=65536)
def infer(node: Node, inputs: Shapes) -> Shape:
    """The whole shape (see `shape_rules`) of what a node gives for inputs of these whole shapes.

    Raises:
        ValueError: the node is not of the vocabulary, or cannot take these inputs.
    """
    op, attributes = find(node.op), settings(node)
    if len(inputs) < op.fewest or (op.most is not None and len(inputs) > op.most):
        wanted = str(op.fewest) if op.fewest == op.most else f"{op.fewest} or more" if op.most is None else f"{op.fewest} to {op.most}"
        raise ValueError(f"{node.op!r} takes {wanted} inputs, got {len(inputs)}")
    try:
        shape = op.infer(attributes, inputs)
    except (TypeError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"its attributes are not of the expected kinds ({error})") from error
    if any(not isinstance(size, int) or (size < 1 and size != BATCH) for size in shape):
        raise ValueError(f"the result would have the shape {rules.shown(shape)}")
    return shape


def whole_shapes(graph: Graph, input_shape: Shape | None = None) -> Shapes:
    """The shape of every node's value with the batch written -1; see `infer_shapes`."""
    given = input_shape if input_shape is not None else graph.nodes[0].get("shape")
    if not isinstance(given, tuple | list) or not given:
        raise ValueError("the shape of the graph's input is needed: pass input_shape, or give it to GraphBuilder.input(shape)")
    shapes: list[Shape] = [(BATCH, *given)]
    for number, (node, sources) in enumerate(zip(graph.nodes[1:], graph.incoming[1:], strict=True), start=1):
        inputs = tuple([shapes[source] for source in sources])
        try:
            shapes.append(infer(node, inputs))
        except ValueError as error:
            received = ", ".join(map(rules.shown, inputs)) or "nothing"
            place = f", {node.label!r}" if node.label else ""
            raise ValueError(f"node {number}, {node}{place}, cannot take {received}: {error}") from error
    return tuple(shapes)


def infer_shapes(graph: Graph, input_shape: Shape | None = None) -> Shapes:
    """The shape of every node's value, without the batch dimension; of a parameter, its own.

    Args:
        graph: of operations of this vocabulary.
        input_shape: (C, H, W), (F,), (T, D), ...; by default the attribute `shape` of the graph's input.

    Raises:
        ValueError: an operation is unknown or cannot take its inputs; names the node, its operation and the shapes.
    """
    return tuple(tuple(size for size in shape if size != BATCH) for shape in whole_shapes(graph, input_shape))


@dataclass(frozen=True)
class Costs:
    """What a network costs for one sample.

    Attributes:
        parameters: trained numbers; weights used twice count once.
        multiply_adds: of convolutions and matrix products; FLOPs are twice this.
        largest_activation: elements of the largest value, the input included.
        activations: elements of all values that operations give.
    """

    parameters: int
    multiply_adds: int
    largest_activation: int
    activations: int


def costs(graph: Graph, input_shape: Shape | None = None) -> Costs:
    """The counts of the network that `build` makes; nodes that the output does not need count nothing.

    Raises:
        ValueError: as `infer_shapes`.
    """
    shapes = whole_shapes(graph, input_shape)
    parameters = multiply_adds = activations = 0
    largest = elements(shapes[0])
    shared: set[tuple[str, Value]] = set()
    for number in needed(graph)[:-1]:
        node = graph.nodes[number]
        if node.op == "input":
            continue
        op, attributes, inputs = find(node.op), settings(node), tuple(shapes[source] for source in graph.incoming[number])
        multiply_adds += op.multiply_adds(attributes, inputs, shapes[number])
        identity = (node.op, node.get("share"))
        if identity[1] is None or identity not in shared:
            parameters += op.parameters(attributes, inputs)
            shared.add(identity)
        if node.op not in ("parameter", "buffer", "identity"):
            activations += elements(shapes[number])
            largest = max(largest, elements(shapes[number]))
    return Costs(parameters, multiply_adds, largest, activations)


def needed(graph: Graph) -> tuple[int, ...]:
    """The nodes that the output depends on, itself last."""
    live = {len(graph.nodes) - 1}
    for number in range(len(graph.nodes) - 1, -1, -1):
        if number in live:
            live.update(graph.incoming[number])
    return tuple(sorted(live))
