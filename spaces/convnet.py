"""Convolutional networks whose blocks are of different kinds: the space for a new image task.

    stem -> stage 1: blocks -> downsample -> stage 2: blocks -> ...
         -> [1x1 convolution] -> mean over pixels -> [dropout] -> linear

A stage keeps its width and resolution. The step between two stages halves the resolution. Images
need at least 8 x 8 pixels.

Each block is one of these:

    conv       ResNet (He et al. 2016)
    inverted   MobileNetV2 and V3 (Sandler et al. 2018, Howard et al. 2019)
    separable  MobileNetV1 (Howard et al. 2017)
    convnext   ConvNeXt (Liu et al. 2022), with batch norm
    pool       PoolFormer (Yu et al. 2022) without its MLP, a cheap and weak block

The widths are chosen so that no network has more than 6 million parameters, and none more than half
a million on 8 x 8 pixels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from spaces.choices import Chooser
from spaces.graph import Graph, GraphBuilder, Node, node
from spaces.space import SearchSpace, Shapes

# The options for the width of each stage; the stem has the width of the first stage. Images below
# 16 pixels start with the first row, larger ones with the second.
WIDTHS = (
    (8, 16, 24, 32),
    (16, 24, 32, 48),
    (32, 48, 64, 96),
    (48, 64, 96, 128),
    (64, 96, 128, 160),
)
DEPTHS = (1, 2, 3)
ACTIVATIONS = ("relu", "silu", "hardswish")
DOWNSAMPLING = ("strided", "patch", "max_pool", "avg_pool")
BLOCKS = ("conv", "inverted", "separable", "convnext", "pool")
KERNELS = (3, 5)
EXPANSIONS = {"inverted": (2, 4, 6), "convnext": (2, 4)}
SQUEEZED = ("conv", "inverted")
HEAD_WIDTHS = (0, 128, 256)
DROPOUTS = (0.0, 0.2)
SMALLEST_SIDE = 8


def define(choose: Chooser, shapes: Shapes) -> Graph:
    """The network.

    The number of stages depends on the images: 2 below 16 pixels, 3 below 64, else 4. From 64
    pixels on, the stem has a stride.

    Raises:
        ValueError: the inputs are not images, or too small, or the output is not a vector of
            scores.
    """
    side = _side(shapes)
    network = _Network(shapes.input, choose.one_of("activation", ACTIVATIONS))
    widths = WIDTHS if side < 16 else WIDTHS[1:]
    width = choose.one_of("stem/width", widths[0])
    value = _stem(network, width, side)
    stages = 2 if side < 16 else 3 if side < 64 else 4
    for stage in range(1, stages + 1):
        with choose.scope(f"stage{stage}"):
            if stage > 1:
                width = choose.one_of("width", widths[stage - 1])
                kind = choose.one_of("downsample", DOWNSAMPLING)
                value = _downsample(network, value, f"stage{stage}/downsample", width, kind)
            for block in range(1, choose.one_of("depth", DEPTHS) + 1):
                with choose.scope(f"block{block}"):
                    value = _block(choose, network, value, f"stage{stage}/block{block}", width)
    head_width = choose.one_of("head/width", HEAD_WIDTHS)
    if head_width:
        value = network.convolution(value, "head/conv", head_width, kernel=1)
    value = network.add("adaptive_avg_pool2d", value, "head/pool", output_size=1)
    value = network.add("flatten", value, "head/flatten")
    dropout = choose.one_of("head/dropout", DROPOUTS)
    if dropout:
        value = network.add("dropout", value, "head/dropout", p=dropout)
    value = network.add("linear", value, "head/linear", out_features=shapes.output[0])
    return network.builder.output(value)


def _stem(network: _Network, width: int, side: int) -> int:
    # With a stride of 4, a window of 7 leaves no pixel out.
    kernel = 3 if side < 128 else 7
    stride = 1 if side < 64 else 2 if side < 128 else 4
    return network.convolution(0, "stem", width, kernel=kernel, stride=stride)


def _side(shapes: Shapes) -> int:
    if shapes.several or len(shapes.input) != 3 or len(shapes.output) != 1:
        raise ValueError(
            "the space convnet takes images (channels, height, width) to a vector of scores "
            f"(classes,); this task has inputs {shapes.input} and outputs {shapes.output}: write a "
            "space of your own for it (nas init writes one to start from)"
        )
    side = min(shapes.input[1:])
    if side < SMALLEST_SIDE:
        raise ValueError(
            f"the space convnet takes images of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} "
            f"pixels; this task has {shapes.input[1]} x {shapes.input[2]}: enlarge the images"
        )
    return side


class _Network:
    """A graph being built, whose nodes are labelled and whose activations are of one kind."""

    def __init__(self, input_shape: tuple[int, ...], activation: str) -> None:
        self.builder = GraphBuilder()
        self.builder.input(input_shape)
        self.activation = activation

    def add(self, op: str, value: int, label: str, **attributes: Any) -> int:
        return self.builder.add(_node(op, label, **attributes), value)

    def merge(self, op: str, first: int, second: int, label: str) -> int:
        return self.builder.add(_node(op, label), first, second)

    def activate(self, value: int, label: str) -> int:
        return self.add(self.activation, value, f"{label}/act")

    def convolution(
        self,
        value: int,
        label: str,
        width: int,
        *,
        kernel: int,
        stride: int = 1,
        activated: bool = True,
    ) -> int:
        """A convolution that divides the size by its stride, batch norm, and an activation."""
        value = self.add(
            "conv2d",
            value,
            label,
            out_channels=width,
            kernel_size=kernel,
            stride=stride,
            padding=kernel // 2 if kernel != stride else 0,
            bias=False,
        )
        return self._normalize(value, label, activated)

    def depthwise(self, value: int, label: str, *, kernel: int, activated: bool = True) -> int:
        """A convolution of each channel by itself, batch norm, and an activation."""
        value = self.add(
            "conv2d",
            value,
            label,
            out_channels="in_channels",
            groups="in_channels",
            kernel_size=kernel,
            padding=kernel // 2,
            bias=False,
        )
        return self._normalize(value, label, activated)

    def squeeze(self, value: int, label: str, width: int, reduced: int) -> int:
        """Squeeze and excitation (Hu et al. 2018).

        Each channel is multiplied by a factor that depends on the means of all channels.
        """
        factors = self.add("adaptive_avg_pool2d", value, f"{label}/pool", output_size=1)
        factors = self.add(
            "conv2d", factors, f"{label}/reduce", out_channels=reduced, kernel_size=1
        )
        factors = self.activate(factors, label)
        factors = self.add("conv2d", factors, f"{label}/expand", out_channels=width, kernel_size=1)
        factors = self.add("sigmoid", factors, f"{label}/gate")
        return self.merge("mul", value, factors, f"{label}/scale")

    def _normalize(self, value: int, label: str, activated: bool) -> int:
        value = self.add("batch_norm2d", value, f"{label}/norm")
        return self.activate(value, label) if activated else value


def _block(choose: Chooser, network: _Network, value: int, label: str, width: int) -> int:
    """One block of `width` input and output channels.

    The choices are its kind, its settings, and whether it has a skip connection.
    """
    kind = choose.one_of("op", BLOCKS)
    kernel = 3 if kind == "pool" else choose.one_of("kernel", KERNELS)
    expanded = width * choose.one_of("expansion", EXPANSIONS[kind]) if kind in EXPANSIONS else width
    squeezed = choose.one_of("squeeze", (False, True)) if kind in SQUEEZED else False
    skip = choose.one_of("skip", (True, False))
    result = value
    if kind == "conv":
        result = network.convolution(result, f"{label}/conv1", width, kernel=kernel)
        result = network.convolution(result, f"{label}/conv2", width, kernel=3, activated=False)
    elif kind == "inverted":
        result = network.convolution(result, f"{label}/expand", expanded, kernel=1)
        result = network.depthwise(result, f"{label}/depthwise", kernel=kernel)
    elif kind == "convnext":
        result = network.depthwise(result, f"{label}/depthwise", kernel=kernel, activated=False)
        result = network.add(
            "conv2d", result, f"{label}/expand", out_channels=expanded, kernel_size=1
        )
        result = network.activate(result, f"{label}/expand")
    elif kind == "separable":
        result = network.depthwise(result, f"{label}/depthwise", kernel=kernel)
    else:
        result = network.add(
            "avg_pool2d",
            result,
            f"{label}/pool",
            kernel_size=kernel,
            stride=1,
            padding=1,
            count_include_pad=False,
        )
    if squeezed:
        result = network.squeeze(result, f"{label}/squeeze", expanded, max(8, width // 4))
    if kind != "conv":
        result = network.convolution(result, f"{label}/project", width, kernel=1, activated=False)
    if skip:
        result = network.merge("add", value, result, f"{label}/skip")
    # The blocks that expand have no activation at their narrow ends, as in their papers.
    return result if kind in EXPANSIONS else network.activate(result, label)


def _downsample(network: _Network, value: int, label: str, width: int, kind: str) -> int:
    """Half the height and width in pixels, and `width` channels."""
    if kind == "strided":
        return network.convolution(value, label, width, kernel=3, stride=2)
    if kind == "patch":
        return network.convolution(value, label, width, kernel=2, stride=2)
    value = network.add(f"{kind}2d", value, f"{label}/pool", kernel_size=2, stride=2)
    return network.convolution(value, label, width, kernel=1)


@lru_cache(maxsize=16384)
def _node(op: str, label: str, **attributes: Any) -> Node:
    made = node(op, **attributes)
    return Node(made.op, made.attributes, label)


space = SearchSpace("convnet", define)
