"""Wrong operations, attributes and inputs raise errors that name the node and the shapes."""

from __future__ import annotations

import pytest

from spaces import GraphBuilder
from spaces.ops import find, infer_shapes
from tests.spaces.operation_graphs import IMAGE, SEQUENCE, VECTOR, network

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
    ("gru", {"hidden_size": 4}, IMAGE, r"expected a sequence \(T, D\)"),
    ("gru", {"hidden_size": 0}, SEQUENCE, "hidden_size=0 must be a whole number, 1 or more"),
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
def test_the_error_names_node_operation_and_shapes(op, attributes, shapes, sentence):
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
    mixed = builder.node("scaled_dot_product_attention", steps, steps, steps, ordered=True)
    graph = builder.output(builder.node("transpose", mixed, dim0=0, dim1=1))
    with pytest.raises(ValueError, match="samples would attend to each other"):
        infer_shapes(graph)


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
    x = builder.input((4,))
    graph = builder.output(builder.node("add", x, builder.node("buffer", **attributes)))
    with pytest.raises(ValueError, match=sentence):
        infer_shapes(graph)


def test_the_error_of_an_unknown_operation_names_the_nearest():
    with pytest.raises(ValueError, match="no operation 'conv2'; did you mean 'conv2d'"):
        find("conv2")


def test_the_input_s_shape_is_needed():
    builder = GraphBuilder()
    graph = builder.output(builder.node("relu", builder.input()))
    with pytest.raises(ValueError, match="input_shape"):
        infer_shapes(graph)
    assert infer_shapes(graph, (3,)) == ((3,), (3,), (3,))
