"""The operations that apply one function to every element, or along one dimension."""

from __future__ import annotations

from typing import Any

from spaces.ops import elementwise_rules as elementwise
from spaces.ops import text_rules as text
from spaces.ops.operation import REQUIRED, Op
from spaces.ops.shapes import Rule

# (name, torch.nn class, defaults)
_ACTIVATIONS: list[tuple[str, str, dict[str, Any]]] = [
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
# All others are functions of nn.functional.
_FUNCTIONS_OF_TORCH = ("relu", "sigmoid", "tanh")
_MATHEMATICAL = (
    *("exp", "log", "sqrt", "rsqrt", "abs", "neg", "square"),
    *("sin", "cos", "erf", "reciprocal", "log1p", "expm1"),
)


def activations() -> list[Op]:
    """Functions of one tensor, most of which keep its shape."""
    plain = []
    for name, torch_class, defaults in _ACTIVATIONS:
        module = "torch" if name in _FUNCTIONS_OF_TORCH else "nn.functional"
        call = text.function(name, f"{module}.{name}", defaults)
        plain.append(Op(name, elementwise.same, defaults, torch_class=torch_class, call=call))
    along = [
        _along("softmax", "Softmax", elementwise.along_dim, dim=REQUIRED),
        _along("log_softmax", "LogSoftmax", elementwise.along_dim, dim=REQUIRED),
        _along("glu", "GLU", elementwise.halving, dim=-1),
    ]
    mathematical = [
        Op(name, elementwise.same, call=text.function(name, f"torch.{name}", {}))
        for name in _MATHEMATICAL
    ]
    return [*plain, *along, *mathematical]


def _along(name: str, torch_class: str, infer: Rule, *, dim: Any) -> Op:
    """A function along the dimension `dim`, whose default is given."""
    call = text.function(name, f"nn.functional.{name}", {"dim": None})
    return Op(name, infer, {"dim": dim}, torch_class=torch_class, call=call)
