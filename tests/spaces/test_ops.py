"""The inferred shapes and costs of every operation are those of the module that is built."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spaces import GraphBuilder
from spaces.build import build
from spaces.ops import OPS, Costs, costs, infer_shapes
from spaces.ops.operation import REQUIRED
from tests.spaces.operation_graphs import IMAGE, SEQUENCE, SIGNAL, VECTOR, VOLUME, network

# (operation, attributes, shape of the input or shapes of several)
SINGLE = [
    ("conv1d", {"out_channels": 4, "kernel_size": 3, "dilation": 2}, SIGNAL),
    (
        "conv2d",
        {"out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1, "groups": 4},
        IMAGE,
    ),
    (
        "conv2d",
        {
            "out_channels": 8,
            "kernel_size": (3, 1),
            "padding": (1, 0),
            "groups": "in_channels",
            "bias": False,
        },
        IMAGE,
    ),
    (
        "conv2d",
        {
            "out_channels": "in_channels",
            "kernel_size": 5,
            "padding": "same",
            "padding_mode": "reflect",
        },
        IMAGE,
    ),
    ("conv3d", {"out_channels": 4, "kernel_size": 2, "stride": 2}, VOLUME),
    ("conv_transpose1d", {"out_channels": 4, "kernel_size": 3, "stride": 2}, SIGNAL),
    (
        "conv_transpose2d",
        {
            "out_channels": 4,
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            "output_padding": 1,
            "groups": 2,
        },
        IMAGE,
    ),
    ("conv_transpose3d", {"out_channels": 2, "kernel_size": 2}, VOLUME),
    ("batch_norm1d", {}, VECTOR),
    ("batch_norm1d", {"affine": False}, SIGNAL),
    ("batch_norm2d", {"eps": 1e-3, "momentum": 0.01}, IMAGE),
    ("batch_norm3d", {}, VOLUME),
    ("instance_norm1d", {}, SIGNAL),
    ("instance_norm2d", {"affine": True}, IMAGE),
    ("group_norm", {"num_groups": 2}, IMAGE),
    ("layer_norm", {}, SEQUENCE),
    ("layer_norm", {"normalized_shape": (6, 6), "bias": False}, IMAGE),
    ("linear", {"out_features": 3}, VECTOR),
    ("linear", {"out_features": 3, "bias": False}, SEQUENCE),
    ("multihead_attention", {"num_heads": 2}, SEQUENCE),
    ("gru", {"hidden_size": 5}, SEQUENCE),
    ("gru", {"hidden_size": 3, "bidirectional": True}, SEQUENCE),
    ("prelu", {"num_parameters": 8}, IMAGE),
    ("max_pool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, IMAGE),
    ("max_pool1d", {"kernel_size": 2}, SIGNAL),
    ("max_pool3d", {"kernel_size": 2}, VOLUME),
    (
        "avg_pool2d",
        {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
        IMAGE,
    ),
    ("avg_pool1d", {"kernel_size": 3}, SIGNAL),
    ("avg_pool3d", {"kernel_size": 3}, VOLUME),
    *(
        (f"adaptive_{kind}_pool{n}d", {"output_size": 2}, shape)
        for kind in ("avg", "max")
        for n, shape in ((1, SIGNAL), (2, IMAGE), (3, VOLUME))
    ),
    ("adaptive_avg_pool2d", {"output_size": (None, 3)}, IMAGE),
    ("interpolate", {"scale_factor": 1.5}, IMAGE),
    ("interpolate", {"size": 9, "mode": "bilinear", "align_corners": True}, IMAGE),
    ("pixel_shuffle", {"upscale_factor": 2}, IMAGE),
    ("pad", {"pad": (1, 2, 0, -1), "mode": "constant", "value": 1.0}, IMAGE),
    ("zero_pad2d", {"padding": (1, 0, 2, 0)}, IMAGE),
    ("identity", {}, IMAGE),
    ("zero", {}, IMAGE),
    ("flatten", {}, IMAGE),
    ("flatten", {"start_dim": 2}, IMAGE),
    ("flatten", {"start_dim": 1, "end_dim": 2}, IMAGE),
    ("unflatten", {"dim": 1, "unflattened_size": (2, -1)}, IMAGE),
    ("reshape", {"shape": ("batch", 2, -1, 6)}, IMAGE),
    ("expand", {"shape": ("batch", 5, -1, -1)}, (1, 6, 6)),
    ("permute", {"dims": (0, 3, 1, -2)}, IMAGE),
    ("transpose", {"dim0": 1, "dim1": -1}, IMAGE),
    ("squeeze", {"dim": 1}, (1, 6, 6)),
    ("squeeze", {"dim": (1, 3)}, (1, 6, 1)),
    ("unsqueeze", {"dim": -1}, IMAGE),
    *((name, {"dim": (2, 3)}, IMAGE) for name in ("mean", "sum", "amax", "amin")),
    ("mean", {"dim": -1, "keepdim": True}, IMAGE),
    ("chunk", {"chunks": 3, "dim": 1, "index": 2}, IMAGE),
    ("split", {"split_size": (3, 5), "dim": 1, "index": 1}, IMAGE),
    ("getitem", {"index": ((None, None, None), 0, "...", (1, None, 2))}, IMAGE),
    ("getitem", {"index": ("...", None, -1)}, IMAGE),
    *((name, {"dim": 1}, IMAGE) for name in ("softmax", "log_softmax", "glu")),
    *(
        (name, {"value": 2.5}, IMAGE)
        for name in (
            *("add_scalar", "mul_scalar", "div_scalar"),
            *("rsub_scalar", "rdiv_scalar", "pow_scalar"),
        )
    ),
    ("add_scalar", {"value": -1}, IMAGE),
    *((name, {}, IMAGE) for name in ("dropout", "dropout2d", "alpha_dropout")),
    ("dropout1d", {"p": 0.1}, SIGNAL),
    ("dropout3d", {}, VOLUME),
    *(
        (name, {}, IMAGE)
        for name in (
            *("relu", "sigmoid", "tanh", "relu6", "elu", "celu", "selu", "silu", "mish"),
            *("hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink", "logsigmoid"),
            *("exp", "log", "sqrt", "rsqrt", "abs", "neg", "square"),
            *("sin", "cos", "erf", "reciprocal", "log1p", "expm1"),
        )
    ),
    ("leaky_relu", {"negative_slope": 0.3}, IMAGE),
    ("gelu", {"approximate": "tanh"}, IMAGE),
    ("hardtanh", {"min_val": 0.0}, IMAGE),
    ("nn.Hardshrink", {"lambd": 0.2}, IMAGE),
    ("nn.ReflectionPad2d", {"padding": 2}, IMAGE),
    ("nn.LocalResponseNorm", {"size": 2}, IMAGE),
    ("nn.Bilinear", {"in1_features": 8, "in2_features": 8, "out_features": 3}, (VECTOR, VECTOR)),
    ("function:torch.roll", {"arg1": 1, "arg2": 2}, IMAGE),
    ("function:torch.clamp", {"min": 0.0, "max": "inf"}, IMAGE),
    ("function:torch.where", {"arg2": 0.5}, (IMAGE, IMAGE)),
    *((name, {}, (IMAGE, IMAGE)) for name in ("add", "mul", "sub", "div", "maximum", "minimum")),
    ("add", {}, (IMAGE, IMAGE, (1, 6, 6))),
    ("mul", {}, (IMAGE, (8, 1, 1))),
    ("cat", {}, (IMAGE, (4, 6, 6))),
    ("stack", {"dim": 2}, (IMAGE, IMAGE)),
    ("matmul", {}, (SEQUENCE, (8, 5))),
    ("matmul", {}, ((3, 6, 8), (3, 8, 5))),
    ("einsum", {"equation": "bnte,bnse->bnst"}, ((2, 6, 8), (2, 5, 8))),
    ("einsum", {"equation": "bte,bse->bst"}, (SEQUENCE, (5, 8))),
    ("eq_scalar", {"value": 0}, IMAGE),
    ("masked_fill", {"value": -1.5}, (IMAGE, (1, 1, 6))),
    ("masked_fill", {"value": "-inf"}, (IMAGE, IMAGE)),
    ("dynamic_convolution", {}, ((8, 2, 5), (6, 2, 3))),
    ("fourier_transform2d", {"norm": "ortho"}, SEQUENCE),
    ("fourier_transform2d", {}, IMAGE),
    ("multihead_attention", {"num_heads": 4, "bias": False}, (SEQUENCE, (5, 8), (5, 8))),
    ("scaled_dot_product_attention", {}, ((2, 6, 8), (2, 5, 8), (2, 5, 8))),
    (
        "scaled_dot_product_attention",
        {"is_causal": True, "scale": 0.5, "dropout_p": 0.1},
        ((2, 6, 8), (2, 6, 8), (2, 6, 8)),
    ),
]
# Torch does not count fused attention on the CPU, and transforms and sums of products nowhere.
NOT_COUNTED_BY_TORCH = {
    "scaled_dot_product_attention",
    "multihead_attention",
    "fourier_transform2d",
    "dynamic_convolution",
}
TAKE_NO_VALUES = {"parameter", "buffer"}
TESTED_WITH_TRACES = {"embedding"}


@pytest.mark.parametrize(
    ("op", "attributes", "shapes"),
    SINGLE,
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_shape_and_counts_are_torch_s(op, attributes, shapes):
    graph = network(op, attributes, shapes)
    module = build(graph).train()
    inputs = torch.rand(2, *infer_shapes(graph)[0])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert module(inputs).shape[1:] == infer_shapes(graph)[-1]
        flops = counter.get_total_flops()
    counted = costs(graph)
    assert counted.parameters == sum(parameter.numel() for parameter in module.parameters())
    if op not in NOT_COUNTED_BY_TORCH:
        assert 2 * 2 * counted.multiply_adds == flops


def test_every_operation_is_tested():
    assert set(OPS) - {op for op, _, _ in SINGLE} == TAKE_NO_VALUES | TESTED_WITH_TRACES


def test_attributes_are_torch_s_own_arguments():
    import inspect

    for op in OPS.values():
        if op.torch_class is not None and op.name != "embedding":
            known = inspect.signature(getattr(torch.nn, op.torch_class).__init__).parameters
            for name, default in op.defaults.items():
                assert name in known, f"{op.name}: {name}"
                is_inferred = (op.name, name) == ("layer_norm", "normalized_shape")
                if default is not REQUIRED and not is_inferred:
                    assert known[name].default == default, f"{op.name}: {name}"


def test_a_parameter_may_be_a_single_number():
    builder = GraphBuilder()
    value = builder.node("mul", builder.input((4,)), builder.node("parameter", shape=(), fill=0.5))
    graph = builder.output(builder.node("mul", value, builder.node("buffer", shape=())))
    module = build(graph)
    assert [tuple(parameter.shape) for parameter in module.parameters()] == [()]
    assert torch.equal(module(torch.ones(2, 4)), torch.zeros(2, 4))
    assert costs(graph).parameters == 1


def test_parameters_and_buffers_start_as_their_pattern_says():
    builder = GraphBuilder()
    x = builder.input((5,))
    drawn = builder.node("parameter", shape=(40, 5), fill=("uniform", -0.1, 0.3))
    cosine, distance = (
        builder.node("buffer", shape=(5, 5), fill=fill) for fill in (("cosine",), ("distance", 2))
    )
    value = builder.node("matmul", x, builder.node("add", cosine, distance), ordered=True)
    transposed = builder.node("transpose", drawn, dim0=0, dim1=1)
    value = builder.node("matmul", value, transposed, ordered=True)
    state = build(builder.output(value)).state_dict()
    assert -0.1 <= state["parameter_1"].min() < -0.05 < 0.25 < state["parameter_1"].max() <= 0.3
    cosine_55, distance_55 = (value for name, value in state.items() if name.startswith("buffer"))
    assert torch.allclose(cosine_55 @ cosine_55.T, torch.eye(5), atol=1e-6)
    expected = torch.tensor(
        [[math.cos(math.pi / 5 * (place + 0.5) * row) for place in range(5)] for row in range(5)]
    )
    assert torch.allclose(cosine_55, expected / expected.norm(dim=1, keepdim=True), atol=1e-6)
    assert distance_55.tolist() == [
        [max(-2, min(2, column - row)) + 2 for column in range(5)] for row in range(5)
    ]


def test_equal_names_of_shares_are_one_share():
    builder = GraphBuilder()
    value = builder.node("linear", builder.input((4,)), out_features=4, share=1)
    graph = builder.output(builder.node("linear", value, out_features=4, share=True))
    assert costs(graph).parameters == 20
    assert sum(parameter.numel() for parameter in build(graph).parameters()) == 20


def test_shared_nodes_count_once_and_disconnected_ones_not_at_all():
    builder = GraphBuilder()
    x = builder.input((4,))
    one = builder.node("linear", x, out_features=4, share=0)
    builder.node("linear", one, out_features=100)
    graph = builder.output(builder.node("linear", one, out_features=4, share=0))
    expected = Costs(parameters=20, multiply_adds=32, largest_activation=4, activations=8)
    assert costs(graph) == expected
    assert sum(parameter.numel() for parameter in build(graph).parameters()) == 20


def test_the_vocabulary_needs_no_torch():
    code = "import sys, spaces.ops, spaces.build; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
