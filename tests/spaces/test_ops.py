"""The vocabulary against torch: inferred shapes, parameters and multiply-adds are those of the
module that is built.
"""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from spaces import GraphBuilder
from spaces.build import build
from spaces.ops import OPS, costs, find, infer_shapes
from spaces.ops.operation import REQUIRED

IMAGE, SEQUENCE, SIGNAL, VOLUME, VECTOR = (8, 6, 6), (6, 8), (8, 12), (4, 6, 6, 6), (8,)

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
            "add_scalar",
            "mul_scalar",
            "div_scalar",
            "rsub_scalar",
            "rdiv_scalar",
            "pow_scalar",
        )
    ),
    ("add_scalar", {"value": -1}, IMAGE),
    *((name, {}, IMAGE) for name in ("dropout", "dropout2d", "alpha_dropout")),
    ("dropout1d", {"p": 0.1}, SIGNAL),
    ("dropout3d", {}, VOLUME),
    *(
        (name, {}, IMAGE)
        for name in (
            "relu",
            "sigmoid",
            "tanh",
            "relu6",
            "elu",
            "celu",
            "selu",
            "silu",
            "mish",
            "hardswish",
            "hardsigmoid",
        )
    ),
    *(
        (name, {}, IMAGE)
        for name in (
            "softplus",
            "softsign",
            "tanhshrink",
            "logsigmoid",
            "exp",
            "log",
            "sqrt",
            "rsqrt",
            "abs",
            "neg",
            "square",
        )
    ),
    *((name, {}, IMAGE) for name in ("sin", "cos", "erf", "reciprocal", "log1p", "expm1")),
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
# On the CPU the fused attention is not; transforms and products that are added up are nowhere.
NOT_COUNTED_BY_TORCH = {
    "scaled_dot_product_attention",
    "multihead_attention",
    "fourier_transform2d",
    "dynamic_convolution",
}
TAKE_NO_VALUES = {"parameter", "buffer"}
TESTED_WITH_TRACES = {"embedding"}


def network(op, attributes, shapes):
    """A graph that makes the inputs of these shapes out of one vector, and hands them to the
    operation.
    """
    shapes = shapes if isinstance(shapes[0], tuple) else (shapes,)
    builder = GraphBuilder()
    sizes = [int(torch.Size(shape).numel()) for shape in shapes]
    x = builder.input((sum(sizes),))
    values = [
        builder.node("split", x, split_size=tuple(sizes), dim=1, index=place)
        for place in range(len(sizes))
    ]
    values = [
        builder.node("reshape", value, shape=("batch", *shape))
        for value, shape in zip(values, shapes, strict=True)
    ]
    for mask in {"function:torch.where": (0,), "masked_fill": (1,)}.get(op, ()):
        values[mask] = builder.node("function:torch.gt", values[mask], arg1=0.0)
    return builder.output(
        builder.node(op, *values, ordered=find(op).ordered and len(values) > 1, **attributes)
    )


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
                if default is not REQUIRED and (op.name, name) != (
                    "layer_norm",
                    "normalized_shape",
                ):
                    assert known[name].default == default, f"{op.name}: {name}"


WRONG = [
    (
        "conv2d",
        {"out_channels": 6, "kernel_size": 3, "groups": 4},
        IMAGE,
        r"node 3, conv2d\(.*\), cannot take \(8, 6, 6\): groups=4 must divide",
    ),
    (
        "conv2d",
        {"out_channels": 6, "kernel_size": 7},
        IMAGE,
        "reaches over 7 places and the padded input has 6",
    ),
    (
        "conv2d",
        {"out_channels": 6, "kernel_size": 3},
        VECTOR,
        r"cannot take \(8,\): expected images \(C, H, W\)",
    ),
    ("conv2d", {"out_channels": 6}, IMAGE, "needs the attribute 'kernel_size'"),
    ("conv2d", {"out_channels": 6, "kernel_size": "3"}, IMAGE, "a whole number or 2 of them"),
    (
        "conv2d",
        {"out_channels": 6, "kernel_size": 3, "stride": 0},
        IMAGE,
        "not of the expected kinds",
    ),
    (
        "conv2d",
        {"out_channels": 6, "kernel_size": 3, "strides": 2},
        IMAGE,
        "has no attribute 'strides'",
    ),
    (
        "conv2d",
        {"out_channels": 6, "kernel_size": 3, "stride": 2, "padding": "same"},
        IMAGE,
        "needs stride=1",
    ),
    ("avg_pool2d", {"kernel_size": 2, "padding": 2}, IMAGE, "at most half"),
    ("add", {}, (IMAGE, (4, 6, 6)), r"\(8, 6, 6\), \(4, 6, 6\): the shapes differ"),
    ("sub", {}, IMAGE, "takes 2 inputs, got 1"),
    ("cat", {"dim": 1}, (IMAGE, (8, 5, 6)), "all sizes but dim=1 must agree"),
    ("cat", {"dim": 0}, (IMAGE, IMAGE), "batch dimension"),
    ("matmul", {}, (SEQUENCE, SEQUENCE), r"expected matrices \(..., n, k\)"),
    ("flatten", {"start_dim": 0}, IMAGE, "may not merge the batch"),
    ("reshape", {"shape": (16, 18)}, IMAGE, "mixes the batch"),
    ("reshape", {"shape": ("batch", 7)}, IMAGE, "288 elements cannot take"),
    ("mean", {"dim": 0}, IMAGE, "batch dimension"),
    ("mean", {"dim": 7}, IMAGE, "not a dimension"),
    ("einsum", {"equation": "bte,bse"}, (SEQUENCE, SEQUENCE), "an equation is letters"),
    ("einsum", {"equation": "bte,bse->ts"}, (SEQUENCE, SEQUENCE), "sums over the batch"),
    ("einsum", {"equation": "bte,bes->bts"}, (SEQUENCE, (5, 8)), "'e' stands for two sizes"),
    ("einsum", {"equation": "bt,bse->bts"}, (SEQUENCE, SEQUENCE), "should name each dimension"),
    ("einsum", {"equation": "bte,bse->btz"}, (SEQUENCE, SEQUENCE), "behind the arrow"),
    ("masked_fill", {"value": 0}, (SEQUENCE, (5, 8)), r"the mask \(5, 8\) cannot be broadcast"),
    (
        "dynamic_convolution",
        {},
        ((7, 2, 5), (6, 2, 3)),
        r"need values \(8, 2, E\), got \(7, 2, 5\)",
    ),
    ("fourier_transform2d", {}, VECTOR, "two dimensions to transform"),
    ("fourier_transform2d", {"norm": "both"}, SEQUENCE, "norm must be"),
    ("multihead_attention", {"num_heads": 3}, SEQUENCE, "must divide the width 8"),
    ("group_norm", {"num_groups": 3}, IMAGE, "must divide the 8 channels"),
    ("relu", {"share": 1}, IMAGE, "takes no attribute 'share'"),
    ("nn.LSTM", {}, SEQUENCE, "does not name its constructor's arguments"),
    ("nn.Fold", {}, SEQUENCE, "needs the attribute 'output_size'"),
    ("function:torch.roll", {"shifts": 1, "dims": 0}, IMAGE, "batch dimension"),
    ("function:torch.roll", {"arg1": 1}, SEQUENCE, "without 'dims' it mixes the samples"),
    ("function:torch.fft.fftshift", {}, SEQUENCE, "without 'dim' it mixes the samples"),
    (
        "function:torch.nonexistent",
        {},
        IMAGE,
        "not among the functions that torch lets one override",
    ),
    ("function:torch.cat", {"arg9": 1}, IMAGE, "leave a gap"),
]


@pytest.mark.parametrize(
    ("op", "attributes", "shapes", "sentence"),
    WRONG,
    ids=[f"{op}-{number}" for number, (op, *_) in enumerate(WRONG)],
)
def test_wrong_inputs_are_told_with_node_operation_and_shapes(op, attributes, shapes, sentence):
    with pytest.raises(ValueError, match=sentence):
        infer_shapes(network(op, attributes, shapes))


@pytest.mark.parametrize(
    "name",
    [
        "nn.Module",
        "nn.functional",
        "nn.init",
        "nn.__dict__",
        "function:os.system",
        "function:torch.load",
        "function:eval",
    ],
)
def test_only_torch_s_own_modules_and_functions_can_be_named(name):
    with pytest.raises(
        ValueError, match=r"torch\.nn has no module|not among the functions|does not name its"
    ):
        find(name)


def test_samples_may_not_attend_to_each_other():
    builder = GraphBuilder()
    steps = builder.node("transpose", builder.input(SEQUENCE), dim0=0, dim1=1)
    graph = builder.output(
        builder.node(
            "transpose",
            builder.node("scaled_dot_product_attention", steps, steps, steps, ordered=True),
            dim0=0,
            dim1=1,
        )
    )
    with pytest.raises(ValueError, match="samples would attend to each other"):
        infer_shapes(graph)


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
    module = build(
        builder.output(
            builder.node(
                "matmul", value, builder.node("transpose", drawn, dim0=0, dim1=1), ordered=True
            )
        )
    )
    state = module.state_dict()
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


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"shape": (4, 5), "fill": ("cosine",)}, "is for a square"),
        ({"shape": (4, 4), "fill": ("distance", -1)}, "a whole number above 0"),
        (
            {"shape": (4,), "fill": ("uniform", 1)},
            r"or one of \(uniform, number, number\), \(cosine\), \(distance, number\)",
        ),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(attributes, sentence):
    builder = GraphBuilder()
    with pytest.raises(ValueError, match=sentence):
        infer_shapes(
            builder.output(
                builder.node("add", builder.input((4,)), builder.node("buffer", **attributes))
            )
        )


def test_equal_names_of_shares_are_one_share():
    builder = GraphBuilder()
    value = builder.node("linear", builder.input((4,)), out_features=4, share=1)
    graph = builder.output(builder.node("linear", value, out_features=4, share=True))
    assert (
        costs(graph).parameters
        == sum(parameter.numel() for parameter in build(graph).parameters())
        == 20
    )


def test_an_unknown_operation_is_told_with_the_nearest():
    with pytest.raises(ValueError, match="no operation 'conv2'; did you mean 'conv2d'"):
        find("conv2")


def test_the_input_s_shape_is_needed():
    builder = GraphBuilder()
    graph = builder.output(builder.node("relu", builder.input()))
    with pytest.raises(ValueError, match="input_shape"):
        infer_shapes(graph)
    assert infer_shapes(graph, (3,)) == ((3,), (3,), (3,))


def test_shared_and_dead_nodes_count_once_and_not_at_all():
    builder = GraphBuilder()
    x = builder.input((4,))
    one = builder.node("linear", x, out_features=4, share=0)
    builder.node("linear", one, out_features=100)
    graph = builder.output(builder.node("linear", one, out_features=4, share=0))
    counted = costs(graph)
    assert (
        counted.parameters,
        counted.multiply_adds,
        counted.activations,
        counted.largest_activation,
    ) == (20, 32, 8, 4)
    assert sum(parameter.numel() for parameter in build(graph).parameters()) == 20


@st.composite
def convolutional_graphs(draw):
    builder = GraphBuilder()
    values = [
        builder.input((draw(st.integers(1, 4)), draw(st.integers(5, 9)), draw(st.integers(5, 9))))
    ]
    for _ in range(draw(st.integers(1, 7))):
        source = values[-1] if draw(st.booleans()) else draw(st.sampled_from(values))
        kind = draw(
            st.sampled_from(
                ["conv2d", "depthwise", "batch_norm2d", "max_pool2d", "relu", "cat", "add"]
            )
        )
        kernel = draw(st.integers(1, 5))
        padding = draw(st.integers(0, kernel // 2))
        if kind == "conv2d":
            stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
            channels, bias = draw(st.integers(1, 5)), draw(st.booleans())
            value = builder.node(
                "conv2d",
                source,
                out_channels=channels,
                kernel_size=kernel,
                stride=stride,
                padding=padding,
                dilation=dilation,
                bias=bias,
            )
        elif kind == "depthwise":
            value = builder.node(
                "conv2d",
                source,
                out_channels="in_channels",
                groups="in_channels",
                kernel_size=kernel,
                padding=padding,
            )
        elif kind == "max_pool2d":
            value = builder.node(
                "max_pool2d",
                source,
                kernel_size=kernel,
                padding=padding,
                ceil_mode=draw(st.booleans()),
            )
        elif kind == "cat":
            value = builder.node("cat", source, draw(st.sampled_from(values)), ordered=True)
        elif kind == "add":
            value = builder.node("add", source, draw(st.sampled_from(values)))
        else:
            value = builder.node(kind, source)
        values.append(value)
    return builder.output(values[-1])


@settings(max_examples=60, deadline=None)
@given(convolutional_graphs())
def test_random_graphs_have_the_shapes_and_counts_of_their_modules(graph):
    try:
        shapes = infer_shapes(graph)
    except ValueError:
        return
    module, counted = build(graph), costs(graph)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert module.eval()(torch.rand(1, *shapes[0])).shape[1:] == shapes[-1]
        assert 2 * counted.multiply_adds == counter.get_total_flops()
    assert counted.parameters == sum(parameter.numel() for parameter in module.parameters())


def test_the_vocabulary_needs_no_torch():
    code = "import sys, spaces.ops, spaces.build; print('torch' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "False"
    )
