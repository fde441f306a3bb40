"""How operations are written in PyTorch: expressions in `forward`, and special constructors.

An expression rule takes a node's attributes, the expressions of its inputs, and the expression of
the module that it uses ("self.conv1", "" if it uses none). Each docstring shows an example of the
text. Constructors are here if they are not simply the class and its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces.graph import Value
from spaces.ops.constant_rules import DTYPES
from spaces.ops.elementwise_rules import normalized_shape, same
from spaces.ops.operation import Call, Op, Shapes, arguments, literal
from spaces.ops.shapes import Attributes, each


def function(op_name: str, function: str, defaults: Mapping[str, Any]) -> Call:
    """`function(x, ...)`, where `...` are the attributes that `defaults` names."""
    described = Op(op_name, same, defaults)

    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        return f"{function}({', '.join((*values, *arguments(described, attributes)))})"

    return call


def joined(sign: str) -> Call:
    """`x + x1 + x2`"""
    return lambda attributes, values, owner: f" {sign} ".join(values)


def in_list(function: str) -> Call:
    """`torch.cat([x, x1], dim=1)`"""
    return lambda attributes, values, owner: (
        f"{function}([{', '.join(values)}], dim={literal(attributes['dim'])})"
    )


def with_scalar(pattern: str) -> Call:
    """`x * 0.5`"""
    return lambda attributes, values, owner: pattern.format(values[0], literal(attributes["value"]))


def add_scalar(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`x + 1` or `x - 1`"""
    added = literal(attributes["value"])
    return f"{values[0]} - {added[1:]}" if added.startswith("-") else f"{values[0]} + {added}"


def method(name: str, *attribute_names: str) -> Call:
    """`x.transpose(1, 2)`"""
    return lambda attributes, values, owner: (
        f"{values[0]}.{name}({', '.join(literal(attributes[item]) for item in attribute_names)})"
    )


def permute(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`x.permute(0, 2, 1)`"""
    return f"{values[0]}.permute({', '.join(map(literal, attributes['dims']))})"


def sizes(name: str) -> Call:
    """`x.reshape(batch, 4, -1)`"""

    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        shown = ("batch" if size == "batch" else literal(size) for size in attributes["shape"])
        return f"{values[0]}.{name}({', '.join(shown)})"

    return call


def flatten(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`x.flatten(1)`"""
    end = "" if attributes["end_dim"] == -1 else f", {literal(attributes['end_dim'])}"
    return f"{values[0]}.flatten({literal(attributes['start_dim'])}{end})"


def reduce(name: str) -> Call:
    """`x.mean((2, 3), keepdim=True)`"""

    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        keepdim = ", keepdim=True" if attributes["keepdim"] else ""
        return f"{values[0]}.{name}({literal(attributes['dim'])}{keepdim})"

    return call


def piece(name: str, amount: str) -> Call:
    """`x.chunk(3, dim=-1)[0]`"""

    def call(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
        return (
            f"{values[0]}.{name}({literal(attributes[amount])}, "
            f"dim={literal(attributes['dim'])})[{literal(attributes['index'])}]"
        )

    return call


def index(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`x[:, 0]`"""

    def one(item: Any) -> str:
        if isinstance(item, tuple):
            start, stop, step = ("" if place is None else literal(place) for place in item)
            return f"{start}:{stop}" + (f":{step}" if step else "")
        return "..." if item == "..." else literal(item)

    return f"{values[0]}[{', '.join(map(one, attributes['index']))}]"


def zero_pad2d(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`nn.functional.pad(x, (1, 1, 1, 1))`"""
    return f"nn.functional.pad({values[0]}, {literal(each(attributes['padding'], 4))})"


def attention(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`nn.functional.scaled_dot_product_attention(q, k, v)`; it drops weights in training only."""
    shown = list(values)
    if attributes["dropout_p"]:
        shown.append(f"dropout_p={literal(attributes['dropout_p'])} if self.training else 0.0")
    shown += [
        f"{name}={literal(attributes[name])}" for name in ("is_causal", "scale") if attributes[name]
    ]
    return f"nn.functional.scaled_dot_product_attention({', '.join(shown)})"


def einsum(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`torch.einsum("bti,tij->btj", x, x1)`"""
    return f"torch.einsum({literal(attributes['equation'])}, {', '.join(values)})"


def masked_fill(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`x.masked_fill(x1, -10000.0)`"""
    return f"{values[0]}.masked_fill({values[1]}, {literal(attributes['value'])})"


def fourier_transform2d(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`torch.real(torch.fft.fft2(x.float(), norm="ortho"))`

    The input is cast to 32 bits because CUDA has no such transform in half precision.
    """
    norm = "" if attributes["norm"] is None else f", norm={literal(attributes['norm'])}"
    return f"torch.real(torch.fft.fft2({values[0]}.float(){norm}))"


def dynamic_convolution(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`sum(x[:, tap : tap + x1.shape[1]] * weight[..., None] for tap, weight in ...)`

    The last `...` is `enumerate(x1.unbind(-1))`.
    """
    value, weights = values
    return (
        f"sum({value}[:, tap : tap + {weights}.shape[1]] * weight[..., None] for tap, weight in "
        f"enumerate({weights}.unbind(-1)))"
    )


def attention_module(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`self.attention(x, x, x, need_weights=False)[0]`"""
    query, key, value = values * 3 if len(values) == 1 else values
    return f"{owner}({query}, {key}, {value}, need_weights=False)[0]"


def attention_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    """`nn.MultiheadAttention(64, 4, batch_first=True)`"""
    given = (literal(inputs[0][2]), *arguments(op, attributes), "batch_first=True")
    return f"nn.MultiheadAttention({', '.join(given)})"


def recurrent_module(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """`self.gru(x)[0]`: the states after all steps."""
    return f"{owner}({values[0]})[0]"


def gru_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    """`nn.GRU(64, 32, batch_first=True)`"""
    given = (literal(inputs[0][2]), *arguments(op, attributes), "batch_first=True")
    return f"nn.GRU({', '.join(given)})"


def tensor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    """`nn.Parameter(torch.zeros(1, 64))`, or `torch.zeros(1, 64)` for a buffer."""
    shape, fill = attributes["shape"], attributes["fill"]
    name = attributes.get("dtype", "float32")
    dtype = "" if name == "float32" else f", dtype=torch.{DTYPES[name]}"
    sizes = literal(shape)[1:-1].rstrip(",") or "()"
    if isinstance(fill, tuple):
        text = _PATTERNS[fill[0]].format(
            *map(literal, fill[1:]),
            sizes=sizes,
            size=literal(shape[-1]) if shape else "",
            dtype=f"torch.{DTYPES[name]}",
        )
    elif fill == 0:
        text = f"torch.zeros({sizes}{dtype})"
    else:
        text = f"torch.full({literal(shape)}, {literal(fill)}{dtype})"
    return f"nn.Parameter({text})" if op.name == "parameter" else text


# The text of each pattern of `constant_rules.PATTERNS`. The cosine matrix is computed in 64 bits,
# since 32 bits are too coarse for its largest angles; then its rows are scaled to length 1.
_PATTERNS = {
    "uniform": "torch.empty({sizes}, dtype={dtype}).uniform_({0}, {1})",
    "cosine": (
        "nn.functional.normalize(torch.outer(torch.arange({size}), torch.arange({size}) + "
        "0.5).double().mul(torch.pi / {size}).cos()).to({dtype})"
    ),
    "distance": (
        "(torch.arange({size}) - torch.arange({size}).unsqueeze(1)).clamp(-{0}, "
        "{0}).add({0}).to({dtype})"
    ),
}


def itself(attributes: Attributes, values: tuple[str, ...], owner: str) -> str:
    """The expression of the module if the node uses one, or else of the input."""
    return owner or values[0]


def in_channels(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    """The number of input channels, the constructor's first argument."""
    return (inputs[0][1],)


def in_features(attributes: Attributes, inputs: Shapes) -> tuple[Value, ...]:
    """The size of the input's last dimension, the constructor's first argument."""
    return (inputs[0][-1],)


def layer_norm_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    """`nn.LayerNorm(64)`"""
    shape = normalized_shape(attributes, inputs[0])
    size = literal(shape[0] if len(shape) == 1 else shape)
    others = arguments(op, {**attributes, "normalized_shape": None})
    return f"nn.LayerNorm({', '.join((size, *others))})"


def group_norm_constructor(op: Op, attributes: Attributes, inputs: Shapes) -> str:
    """`nn.GroupNorm(8, 64)`"""
    groups, *others = arguments(op, attributes)
    return f"nn.GroupNorm({', '.join((groups, literal(inputs[0][1]), *others))})"
