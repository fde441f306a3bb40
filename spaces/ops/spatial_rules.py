"""What shape convolutions, pooling, padding and resizing give."""

from __future__ import annotations

import math
from typing import Any

from spaces.ops.shapes import BATCH, Attributes, Rule, Shape, channels, each, images


def windows(sizes: Shape, attributes: Attributes, *, stride: Any) -> Shape:
    """The number of windows that fit along each dimension, as torch computes it.

    That is floor((n + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 for a size n, or the
    ceiling with `ceil_mode`.
    """
    count = len(sizes)
    kernel = each(attributes["kernel_size"], count)
    steps = each(stride, count)
    dilation = each(attributes.get("dilation", 1), count)
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    padding = attributes["padding"]
    if padding == "same":
        if any(step != 1 for step in steps):
            raise ValueError('padding="same" needs stride=1')
        return sizes
    pads = each(0 if padding == "valid" else padding, count)
    result = []
    for size, step, pad, span in zip(sizes, steps, pads, reach, strict=True):
        room = size + 2 * pad - span
        if room < 0:
            raise ValueError(
                f"the window reaches over {span} places and the padded input has {size + 2 * pad}"
            )
        number = room // step + 1
        if attributes.get("ceil_mode"):
            number = -(-room // step) + 1
            # A window that would start in the padding behind the input does not count.
            if (number - 1) * step >= size + pad:
                number -= 1
        result.append(number)
    return tuple(result)


def _out_channels(attributes: Attributes, in_channels: int) -> int:
    """The number of output channels; `groups` must divide it and the number of input channels."""
    groups = channels(attributes["groups"], in_channels)
    out_channels = channels(attributes["out_channels"], in_channels)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups={groups} must divide the {in_channels} channels that come in and the "
            f"{out_channels} that go out"
        )
    return out_channels


def convolution(spatial: int) -> Rule:
    """(C, ...) to (out_channels, windows)."""

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        in_channels, sizes = images(inputs[0], spatial)
        out_channels = _out_channels(attributes, in_channels)
        return (BATCH, out_channels, *windows(sizes, attributes, stride=attributes["stride"]))

    return infer


def transposed_convolution(spatial: int) -> Rule:
    """(C, ...) to (out_channels, ...).

    A size n becomes (n - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
    """

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        in_channels, sizes = images(inputs[0], spatial)
        out_channels = _out_channels(attributes, in_channels)
        settings = [
            each(attributes[name], spatial)
            for name in ("kernel_size", "stride", "padding", "output_padding", "dilation")
        ]
        result = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1
            for n, k, s, p, o, d in zip(sizes, *settings, strict=True)
        )
        if min(result) < 1:
            raise ValueError(f"the result would have the sizes {result}")
        return (BATCH, out_channels, *result)

    return infer


def pooling(spatial: int) -> Rule:
    """(C, ...) to (C, windows); the stride defaults to the kernel size."""

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        in_channels, sizes = images(inputs[0], spatial)
        stride = attributes["kernel_size"] if attributes["stride"] is None else attributes["stride"]
        pairs = zip(
            each(attributes["padding"], spatial),
            each(attributes["kernel_size"], spatial),
            strict=True,
        )
        if any(2 * pad > kernel for pad, kernel in pairs):
            raise ValueError(
                f"padding={attributes['padding']} may be at most half of "
                f"kernel_size={attributes['kernel_size']}"
            )
        return (BATCH, in_channels, *windows(sizes, attributes, stride=stride))

    return infer


def adaptive_pooling(spatial: int) -> Rule:
    """(C, ...) to (C, *output_size), where None keeps a size."""

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        in_channels, sizes = images(inputs[0], spatial)
        wanted = attributes["output_size"]
        wanted = wanted if isinstance(wanted, tuple) else (wanted,) * spatial
        pairs = zip(sizes, wanted, strict=True)
        return (BATCH, in_channels, *(size if want is None else want for size, want in pairs))

    return infer


def padding(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's shape with `pad` places added, as by torch.nn.functional.pad.

    `pad` holds a pair for each padded dimension, the last dimension first.
    """
    pads = attributes["pad"]
    shape = list(inputs[0])
    if len(pads) % 2 or len(pads) // 2 > len(shape):
        raise ValueError(
            f"pad={pads} must be pairs, at most one for each dimension, the last dimension first"
        )
    for place in range(len(pads) // 2):
        if (pads[2 * place] or pads[2 * place + 1]) and shape[-1 - place] == BATCH:
            raise ValueError("the batch cannot be padded")
        if shape[-1 - place] != BATCH:
            shape[-1 - place] += pads[2 * place] + pads[2 * place + 1]
    if any(size < 1 for size in shape if size != BATCH):
        raise ValueError(f"pad={pads} leaves nothing")
    return tuple(shape)


def zero_padding2d(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """An image with `padding` more places: at each side, or (left, right, top, bottom)."""
    images(inputs[0], 2)
    return padding({"pad": each(attributes["padding"], 4)}, inputs)


def interpolation(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """An image of the spatial sizes `size`, or `scale_factor` times as large."""
    spatial = len(inputs[0]) - 2
    in_channels, sizes = images(inputs[0], max(spatial, 1))
    size, factor = attributes["size"], attributes["scale_factor"]
    if (size is None) == (factor is None):
        raise ValueError("give either size or scale_factor")
    if size is not None:
        return (BATCH, in_channels, *each(size, spatial))
    factors = factor if isinstance(factor, tuple) else (factor,) * spatial
    return (BATCH, in_channels, *(math.floor(n * f) for n, f in zip(sizes, factors, strict=True)))


def pixel_shuffling(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """(C r², H, W) to (C, H r, W r)."""
    in_channels, (height, width) = images(inputs[0], 2)
    factor = attributes["upscale_factor"]
    if in_channels % factor**2:
        raise ValueError(
            f"the {in_channels} channels must be a multiple of upscale_factor² = {factor**2}"
        )
    return (BATCH, in_channels // factor**2, height * factor, width * factor)
