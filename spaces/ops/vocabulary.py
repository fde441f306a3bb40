"""The vocabulary's table: the operations that a graph's nodes name, with torch's own arguments and
defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spaces.ops import constant_rules as constants
from spaces.ops import count_rules as counts
from spaces.ops import rearranging_rules as rearranging
from spaces.ops import sequence_rules as sequences
from spaces.ops import shape_rules as rules
from spaces.ops import text_rules as text
from spaces.ops.operation import REQUIRED, Op

_WINDOW = {"out_channels": REQUIRED, "kernel_size": REQUIRED, "stride": 1, "padding": 0}
_CONVOLUTION = {**_WINDOW, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros"}
_TRANSPOSED = {**_WINDOW, "output_padding": 0, "groups": 1, "bias": True, "dilation": 1}
_BATCH_NORM = {"eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
_MAX_POOL = {
    "kernel_size": REQUIRED,
    "stride": None,
    "padding": 0,
    "dilation": 1,
    "ceil_mode": False,
}
_AVG_POOL = {
    "kernel_size": REQUIRED,
    "stride": None,
    "padding": 0,
    "ceil_mode": False,
    "count_include_pad": True,
}


def _convolutions() -> list[Op]:
    held: dict[str, Any] = {
        "constructed": True,
        "inferred": text.in_channels,
        "parameters": counts.convolution_parameters,
    }
    plain: dict[str, Any] = {**held, "multiply_adds": counts.convolution_multiply_adds}
    transposed: dict[str, Any] = {**held, "multiply_adds": counts.transposed_multiply_adds}
    return [
        *(
            Op(f"conv{n}d", rules.convolution(n), _CONVOLUTION, torch_class=f"Conv{n}d", **plain)
            for n in (1, 2, 3)
        ),
        *(
            Op(
                f"conv_transpose{n}d",
                rules.transposed_convolution(n),
                _TRANSPOSED,
                torch_class=f"ConvTranspose{n}d",
                **transposed,
            )
            for n in (1, 2, 3)
        ),
    ]


def _norms() -> list[Op]:
    held: dict[str, Any] = {
        "constructed": True,
        "inferred": text.in_channels,
        "parameters": counts.norm_parameters,
    }
    batch = [
        Op(
            f"batch_norm{n}d",
            rules.normalization((0, 1) if n == 1 else (n,)),
            _BATCH_NORM,
            torch_class=f"BatchNorm{n}d",
            **held,
        )
        for n in (1, 2, 3)
    ]
    instance_defaults = {**_BATCH_NORM, "affine": False, "track_running_stats": False}
    instance = [
        Op(
            f"instance_norm{n}d",
            rules.normalization((n,)),
            instance_defaults,
            torch_class=f"InstanceNorm{n}d",
            **held,
        )
        for n in (1, 2)
    ]
    group_defaults = {"num_groups": REQUIRED, "eps": 1e-5, "affine": True}
    held["constructor"] = text.group_norm_constructor
    group = Op(
        "group_norm",
        rules.normalization((2, 0, 1, 3)),
        group_defaults,
        torch_class="GroupNorm",
        **held,
    )
    layer_defaults = {
        "normalized_shape": None,
        "eps": 1e-5,
        "elementwise_affine": True,
        "bias": True,
    }
    held |= {"constructor": text.layer_norm_constructor, "parameters": counts.layer_norm_parameters}
    return [
        *batch,
        *instance,
        group,
        Op("layer_norm", rules.layer_norm, layer_defaults, torch_class="LayerNorm", **held),
    ]


def _layers() -> list[Op]:
    linear = Op(
        "linear",
        rules.linear,
        {"out_features": REQUIRED, "bias": True},
        torch_class="Linear",
        constructed=True,
        inferred=text.in_features,
        parameters=counts.linear_parameters,
        multiply_adds=counts.linear_multiply_adds,
    )
    embedding_defaults = {
        "num_embeddings": REQUIRED,
        "embedding_dim": REQUIRED,
        "padding_idx": None,
    }
    embedding = Op(
        "embedding",
        rules.embedding,
        embedding_defaults,
        torch_class="Embedding",
        constructed=True,
        parameters=counts.embedding_parameters,
    )
    attention = Op(
        "multihead_attention",
        rules.attention_module,
        {"num_heads": REQUIRED, "dropout": 0.0, "bias": True},
        most=3,
        ordered=True,
        torch_class="MultiheadAttention",
        constructed=True,
        call=text.attention_module,
        constructor=text.attention_constructor,
        parameters=counts.attention_module_parameters,
        multiply_adds=counts.attention_module_multiply_adds,
    )
    prelu_defaults = {"num_parameters": 1, "init": 0.25}
    prelu = Op(
        "prelu",
        rules.same,
        prelu_defaults,
        torch_class="PReLU",
        constructed=True,
        parameters=lambda attributes, inputs: attributes["num_parameters"],
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
        Op(
            name,
            rules.same,
            defaults,
            torch_class=torch_class,
            call=text.function(name, prefix.get(name, "nn.functional.") + name, defaults),
        )
        for name, torch_class, defaults in table
    ]
    along = [
        Op(
            name,
            rules.halving if name == "glu" else rules.along_dim,
            {"dim": -1} if name == "glu" else {"dim": REQUIRED},
            torch_class=torch_class,
            call=text.function(name, f"nn.functional.{name}", {"dim": None}),
        )
        for name, torch_class in [
            ("softmax", "Softmax"),
            ("log_softmax", "LogSoftmax"),
            ("glu", "GLU"),
        ]
    ]
    names = (
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "abs",
        "neg",
        "square",
        "sin",
        "cos",
        "erf",
        "reciprocal",
        "log1p",
        "expm1",
    )
    return [
        *plain,
        *along,
        *(Op(name, rules.same, call=text.function(name, f"torch.{name}", {})) for name in names),
    ]


def _pools() -> list[Op]:
    result = []
    for n in (1, 2, 3):
        average = _AVG_POOL if n == 1 else {**_AVG_POOL, "divisor_override": None}
        for name, torch_class, infer, defaults in [
            (f"max_pool{n}d", f"MaxPool{n}d", rules.pooling(n), _MAX_POOL),
            (f"avg_pool{n}d", f"AvgPool{n}d", rules.pooling(n), average),
            (
                f"adaptive_avg_pool{n}d",
                f"AdaptiveAvgPool{n}d",
                rules.adaptive_pooling(n),
                {"output_size": REQUIRED},
            ),
            (
                f"adaptive_max_pool{n}d",
                f"AdaptiveMaxPool{n}d",
                rules.adaptive_pooling(n),
                {"output_size": REQUIRED},
            ),
        ]:
            result.append(
                Op(
                    name,
                    infer,
                    defaults,
                    torch_class=torch_class,
                    call=text.function(name, f"nn.functional.{name}", defaults),
                )
            )
    interpolate = {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": None}
    pad = {"pad": REQUIRED, "mode": "constant", "value": None}
    shuffle = {"upscale_factor": REQUIRED}
    return [
        *result,
        Op(
            "interpolate",
            rules.interpolation,
            interpolate,
            torch_class="Upsample",
            call=text.function("", "nn.functional.interpolate", interpolate),
        ),
        Op(
            "pixel_shuffle",
            rules.pixel_shuffling,
            shuffle,
            torch_class="PixelShuffle",
            call=text.function("", "nn.functional.pixel_shuffle", shuffle),
        ),
        Op("pad", rules.padding, pad, call=text.function("", "nn.functional.pad", pad)),
        Op(
            "zero_pad2d",
            rules.zero_padding2d,
            {"padding": REQUIRED},
            torch_class="ZeroPad2d",
            call=text.zero_pad2d,
        ),
    ]


def _rearrangements() -> list[Op]:
    two_dims = {"dim0": REQUIRED, "dim1": REQUIRED}
    reduced = {"dim": REQUIRED, "keepdim": False}
    unflattened = {"dim": REQUIRED, "unflattened_size": REQUIRED}
    return [
        Op("identity", rules.same, torch_class="Identity", call=text.itself),
        Op("zero", rules.same, call=text.function("", "torch.zeros_like", {})),
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


def _combinations() -> list[Op]:
    two: dict[str, Any] = {"fewest": 2, "most": 2, "ordered": True}
    attention = {"dropout_p": 0.0, "is_causal": False, "scale": None}
    value = {"value": REQUIRED}
    tensor = {"shape": REQUIRED, "fill": 0.0}
    held: dict[str, Any] = {
        "fewest": 0,
        "most": 0,
        "constructed": True,
        "call": text.itself,
        "constructor": text.tensor,
    }
    scalars = [("mul_scalar", "{} * {}"), ("div_scalar", "{} / {}"), ("pow_scalar", "{} ** {}")]
    scalars += [("rsub_scalar", "{1} - {0}"), ("rdiv_scalar", "{1} / {0}")]
    return [
        Op("add", rules.broadcast, most=None, call=text.joined("+")),
        Op("mul", rules.broadcast, most=None, call=text.joined("*")),
        Op("sub", rules.broadcast, call=text.joined("-"), **two),
        Op("div", rules.broadcast, call=text.joined("/"), **two),
        Op(
            "maximum",
            rules.broadcast,
            fewest=2,
            most=2,
            call=text.function("", "torch.maximum", {}),
        ),
        Op(
            "minimum",
            rules.broadcast,
            fewest=2,
            most=2,
            call=text.function("", "torch.minimum", {}),
        ),
        Op(
            "cat",
            rearranging.concatenation,
            {"dim": 1},
            most=None,
            ordered=True,
            call=text.in_list("torch.cat"),
        ),
        Op(
            "stack",
            rearranging.stacking,
            {"dim": 1},
            most=None,
            ordered=True,
            call=text.in_list("torch.stack"),
        ),
        Op(
            "matmul",
            rules.matrix_product,
            call=text.joined("@"),
            multiply_adds=counts.matrix_multiply_adds,
            **two,
        ),
        Op(
            "einsum",
            sequences.einstein_sum,
            {"equation": REQUIRED},
            call=text.einsum,
            multiply_adds=counts.einsum_multiply_adds,
            **two,
        ),
        Op(
            "dynamic_convolution",
            sequences.dynamic_convolution,
            call=text.dynamic_convolution,
            multiply_adds=counts.dynamic_convolution_multiply_adds,
            **two,
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
            rules.attention,
            attention,
            fewest=3,
            most=4,
            ordered=True,
            call=text.attention,
            multiply_adds=counts.attention_multiply_adds,
        ),
        Op("add_scalar", rules.with_number, value, call=text.add_scalar),
        Op("eq_scalar", rules.with_number, value, call=text.with_scalar("{} == {}")),
        Op("masked_fill", sequences.masked_filling, value, call=text.masked_fill, **two),
        *(
            Op(name, rules.with_number, value, call=text.with_scalar(pattern))
            for name, pattern in scalars
        ),
        Op("parameter", constants.constant, tensor, parameters=counts.tensor_parameters, **held),
        Op("buffer", constants.constant, {**tensor, "dtype": "float32"}, **held),
    ]


OPS: Mapping[str, Op] = {
    op.name: op
    for op in (
        *_convolutions(),
        *_norms(),
        *_layers(),
        *_activations(),
        *_pools(),
        *_rearrangements(),
        *_combinations(),
    )
}
