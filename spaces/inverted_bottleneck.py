"""The inverted bottleneck of MobileNetV2 with squeeze-and-excitation, in primitive operations.

MobileNetV2: Sandler et al., CVPR 2018. Squeeze-and-excitation: Hu et al., CVPR 2018.
"""

from __future__ import annotations

from typing import Any

from spaces.graph import GraphBuilder, Node, Value

SQUEEZE = 4


def convolution(
    builder: GraphBuilder,
    value: int,
    channels: Value,
    *,
    kernel_size: Value = 1,
    stride: Value = 1,
    activation: str | None = None,
    **attributes: Any,
) -> int:
    """A convolution without bias, a batch norm, and an activation if one is named.

    The convolution divides the size by its stride.
    """
    assert isinstance(kernel_size, int)
    padding = kernel_size // 2
    value = builder.node(
        "conv2d",
        value,
        out_channels=channels,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        bias=False,
        **attributes,
    )
    value = builder.node("batch_norm2d", value)
    return builder.node(activation, value) if activation else value


def inverted_bottleneck(
    builder: GraphBuilder, value: int, in_channels: Value, item: Node, activation: str
) -> int:
    """The operations of one block, and the number of the last one.

    They expand the channels (unless by 1), filter each channel, apply squeeze-and-excitation (if
    the node has it), and project. The input is added if the shape stays the same.

    Args:
        builder: receives the operations.
        value: the block's input.
        in_channels: of that input.
        item: a node with the attributes `expansion`, `kernel_size`, `out_channels`, `stride` and
            perhaps `squeeze_excite`.
        activation: behind each convolution but the last.
    """
    expansion, channels, stride = item["expansion"], item["out_channels"], item["stride"]
    assert isinstance(expansion, int)
    assert isinstance(in_channels, int)
    inner = value
    if expansion != 1:
        inner = convolution(builder, inner, in_channels * expansion, activation=activation)
    inner = convolution(
        builder,
        inner,
        "in_channels",
        kernel_size=item["kernel_size"],
        stride=stride,
        activation=activation,
        groups="in_channels",
    )
    if item.get("squeeze_excite"):
        inner = _squeeze_excite(
            builder,
            inner,
            squeezed=in_channels // SQUEEZE,
            channels=in_channels * expansion,
            activation=activation,
        )
    inner = convolution(builder, inner, channels)
    return builder.node("add", inner, value) if stride == 1 and channels == in_channels else inner


def _squeeze_excite(
    builder: GraphBuilder, value: int, *, squeezed: int, channels: int, activation: str
) -> int:
    gate = builder.node("adaptive_avg_pool2d", value, output_size=1)
    gate = builder.node("conv2d", gate, out_channels=squeezed, kernel_size=1)
    gate = builder.node(activation, gate)
    gate = builder.node("conv2d", gate, out_channels=channels, kernel_size=1)
    gate = builder.node("sigmoid", gate)
    return builder.node("mul", value, gate)
