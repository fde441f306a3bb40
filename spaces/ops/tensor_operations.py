"""The operations that rearrange one tensor or combine several, and the free tensors."""

from __future__ import annotations

from typing import Any

from spaces.ops import constant_rules as constants
from spaces.ops import count_rules as counts
from spaces.ops import elementwise_rules as elementwise
from spaces.ops import matrix_rules as matrices
from spaces.ops import rearranging_rules as rearranging
from spaces.ops import sequence_rules as sequences
from spaces.ops import text_rules as text
from spaces.ops.operation import REQUIRED, Op

_TWO: dict[str, Any] = {"fewest": 2, "most": 2, "ordered": True}
_VALUE = {"value": REQUIRED}
_TENSOR = {"shape": REQUIRED, "fill": 0.0}


def rearrangements() -> list[Op]:
    """Operations that rearrange, cut or reduce the dimensions of one tensor."""
    two_dims = {"dim0": REQUIRED, "dim1": REQUIRED}
    reduced = {"dim": REQUIRED, "keepdim": False}
    unflattened = {"dim": REQUIRED, "unflattened_size": REQUIRED}
    return [
        Op("identity", elementwise.same, torch_class="Identity", call=text.itself),
        Op("zero", elementwise.same, call=text.function("", "torch.zeros_like", {})),
        Op(
            "flatten",
            rearranging.flattening,
            {"start_dim": 1, "end_dim": -1},
            torch_class="Flatten",
            call=text.flatten,
        ),
        Op(
            "unflatten",
            rearranging.unflattening,
            unflattened,
            torch_class="Unflatten",
            call=text.method("unflatten", "dim", "unflattened_size"),
        ),
        Op("reshape", rearranging.reshaping, {"shape": REQUIRED}, call=text.sizes("reshape")),
        Op("expand", rearranging.expansion, {"shape": REQUIRED}, call=text.sizes("expand")),
        Op("permute", rearranging.permutation, {"dims": REQUIRED}, call=text.permute),
        Op(
            "transpose",
            rearranging.transposition,
            two_dims,
            call=text.method("transpose", "dim0", "dim1"),
        ),
        Op("squeeze", rearranging.squeezing, {"dim": REQUIRED}, call=text.method("squeeze", "dim")),
        Op(
            "unsqueeze",
            rearranging.unsqueezing,
            {"dim": REQUIRED},
            call=text.method("unsqueeze", "dim"),
        ),
        *(
            Op(name, rearranging.reduction, reduced, call=text.reduce(name))
            for name in ("mean", "sum", "amax", "amin")
        ),
        Op(
            "chunk",
            rearranging.part,
            {"chunks": REQUIRED, "dim": 0, "index": REQUIRED},
            call=text.piece("chunk", "chunks"),
        ),
        Op(
            "split",
            rearranging.part,
            {"split_size": REQUIRED, "dim": 0, "index": REQUIRED},
            call=text.piece("split", "split_size"),
        ),
        Op("getitem", rearranging.indexing, {"index": REQUIRED}, call=text.index),
    ]


def combinations() -> list[Op]:
    """Operations on several tensors, on a tensor and a number, and the free tensors."""
    return [*_arithmetic(), *_joins(), *_products(), *_with_numbers(), *_free_tensors()]


def _arithmetic() -> list[Op]:
    either: dict[str, Any] = {"fewest": 2, "most": 2}
    return [
        Op("add", elementwise.broadcast, most=None, call=text.joined("+")),
        Op("mul", elementwise.broadcast, most=None, call=text.joined("*")),
        Op("sub", elementwise.broadcast, call=text.joined("-"), **_TWO),
        Op("div", elementwise.broadcast, call=text.joined("/"), **_TWO),
        *(
            Op(name, elementwise.broadcast, call=text.function("", f"torch.{name}", {}), **either)
            for name in ("maximum", "minimum")
        ),
    ]


def _joins() -> list[Op]:
    several: dict[str, Any] = {"most": None, "ordered": True}
    dim = {"dim": 1}
    return [
        Op("cat", rearranging.concatenation, dim, call=text.in_list("torch.cat"), **several),
        Op("stack", rearranging.stacking, dim, call=text.in_list("torch.stack"), **several),
    ]


def _products() -> list[Op]:
    return [
        Op(
            "matmul",
            matrices.matrix_product,
            call=text.joined("@"),
            multiply_adds=counts.matrix_multiply_adds,
            **_TWO,
        ),
        Op(
            "einsum",
            matrices.einstein_sum,
            {"equation": REQUIRED},
            call=text.einsum,
            multiply_adds=counts.einsum_multiply_adds,
            **_TWO,
        ),
        Op(
            "dynamic_convolution",
            sequences.dynamic_convolution,
            call=text.dynamic_convolution,
            multiply_adds=counts.dynamic_convolution_multiply_adds,
            **_TWO,
        ),
        Op(
            "fourier_transform2d",
            sequences.fourier_transform2d,
            {"norm": None},
            call=text.fourier_transform2d,
            multiply_adds=counts.fourier_multiply_adds,
        ),
        Op(
            "scaled_dot_product_attention",
            sequences.attention,
            {"dropout_p": 0.0, "is_causal": False, "scale": None},
            fewest=3,
            most=4,
            ordered=True,
            call=text.attention,
            multiply_adds=counts.attention_multiply_adds,
        ),
    ]


def _with_numbers() -> list[Op]:
    patterns = {
        "mul_scalar": "{} * {}",
        "div_scalar": "{} / {}",
        "pow_scalar": "{} ** {}",
        "rsub_scalar": "{1} - {0}",
        "rdiv_scalar": "{1} / {0}",
    }
    return [
        Op("add_scalar", elementwise.with_number, _VALUE, call=text.add_scalar),
        Op("eq_scalar", elementwise.with_number, _VALUE, call=text.with_scalar("{} == {}")),
        Op("masked_fill", elementwise.masked_filling, _VALUE, call=text.masked_fill, **_TWO),
        *(
            Op(name, elementwise.with_number, _VALUE, call=text.with_scalar(pattern))
            for name, pattern in patterns.items()
        ),
    ]


def _free_tensors() -> list[Op]:
    held: dict[str, Any] = {
        "fewest": 0,
        "most": 0,
        "constructed": True,
        "call": text.itself,
        "constructor": text.tensor,
    }
    return [
        Op("parameter", constants.constant, _TENSOR, parameters=counts.tensor_parameters, **held),
        Op("buffer", constants.constant, {**_TENSOR, "dtype": "float32"}, **held),
    ]
