"""What shape each operation gives: pure functions of the attributes and the inputs' shapes.

A shape here is whole, as torch has it, the batch dimension being written `BATCH` (-1), because a
program may move it (`x.permute(2, 0, 1)`) or combine a batch with a parameter that has none. An
image is (BATCH, C, H, W), a vector (BATCH, F), a sequence (BATCH, T, D), and a parameter has no
BATCH. Every rule raises `ValueError` with what it expected; `ops.infer_shapes` adds where.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Shape = tuple[int, ...]
Attributes = Mapping[str, Any]
Rule = Callable[[Attributes, tuple[Shape, ...]], Shape]

BATCH = -1
DTYPES = {
    name: name
    for name in (
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    )
}


def elements(shape: Shape) -> int:
    """The number of elements for one sample."""
    return math.prod(size for size in shape if size != BATCH)


def each(value: Any, count: int) -> tuple[Any, ...]:
    """A setting for every spatial dimension, as torch reads `kernel_size=3`.

    Raises:
        ValueError: a tuple of another length, or not a whole number.
    """
    values = value if isinstance(value, tuple) else (value,) * count
    if len(values) != count or not all(isinstance(item, int) for item in values):
        raise ValueError(f"expected a whole number or {count} of them, got {value!r}")
    return values


def same(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape."""
    return inputs[0]


def along_dim(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape, for operations along one dimension, which may not be the batch."""
    dimension(attributes["dim"], inputs[0])
    return inputs[0]


def dimension(dim: int, shape: Shape, *, extra: int = 0, batch: bool = False) -> int:
    """`dim` counted from the front. `extra` = 1 allows the place behind the last; `batch` allows
    the batch dimension.
    """
    rank = len(shape) + extra
    if not isinstance(dim, int) or not -rank <= dim < rank:
        raise ValueError(f"dim={dim!r} is not a dimension of {shown(shape)}")
    position = dim % rank
    if not batch and not extra and shape[position] == BATCH:
        raise ValueError(f"dim={dim} is the batch dimension, and samples may not be mixed")
    return position


def images(shape: Shape, spatial: int) -> tuple[int, Shape]:
    """The channels and the spatial sizes of a batch of (C, ...) with `spatial` dimensions behind
    the channels.
    """
    if len(shape) != spatial + 2 or shape[0] != BATCH:
        kinds = {
            0: "vectors (F,)",
            1: "signals (C, L)",
            2: "images (C, H, W)",
            3: "volumes (C, D, H, W)",
        }
        raise ValueError(f"expected {kinds[spatial]} behind the batch")
    return shape[1], shape[2:]


def channels(value: Any, in_channels: int) -> int:
    """A number of channels or groups, where "in_channels" stands for as many as come in."""
    return in_channels if value == "in_channels" else value


def windows(sizes: Shape, attributes: Attributes, *, stride: Any) -> Shape:
    """How many windows fit along each dimension: floor((n + 2 padding - dilation (kernel - 1) - 1)
    / stride) + 1, or the ceiling.
    """
    count = len(sizes)
    kernel, steps, dilation = (
        each(attributes["kernel_size"], count),
        each(stride, count),
        each(attributes.get("dilation", 1), count),
    )
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
        number = (-(-room // step) if attributes.get("ceil_mode") else room // step) + 1
        # A window that would start in the padding behind the input is left out, as torch does.
        result.append(
            number - 1
            if attributes.get("ceil_mode") and (number - 1) * step >= size + pad
            else number
        )
    return tuple(result)


def convolution(spatial: int) -> Rule:
    """(C, ...) to (out_channels, windows)."""

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        in_channels, sizes = images(inputs[0], spatial)
        groups, out_channels = (
            channels(attributes["groups"], in_channels),
            channels(attributes["out_channels"], in_channels),
        )
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups={groups} must divide the {in_channels} channels that come in and the "
                f"{out_channels} that go out"
            )
        return (BATCH, out_channels, *windows(sizes, attributes, stride=attributes["stride"]))

    return infer


def transposed_convolution(spatial: int) -> Rule:
    """(C, ...) to (out_channels, ...): each size is (n - 1) stride - 2 padding + dilation (kernel -
    1) + output_padding + 1.
    """

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        in_channels, sizes = images(inputs[0], spatial)
        groups, out_channels = (
            channels(attributes["groups"], in_channels),
            channels(attributes["out_channels"], in_channels),
        )
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups={groups} must divide the {in_channels} channels that come in and the "
                f"{out_channels} that go out"
            )
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
    """(C, ...) to (C, windows); the stride is by default the window."""

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
        return (
            BATCH,
            in_channels,
            *(size if want is None else want for size, want in zip(sizes, wanted, strict=True)),
        )

    return infer


def normalization(spatial: tuple[int, ...]) -> Rule:
    """For norms by channel of an input with one of these numbers of spatial dimensions."""

    def infer(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
        behind = len(inputs[0]) - 2
        in_channels, _ = images(inputs[0], behind if behind in spatial else spatial[0])
        if in_channels % attributes.get("num_groups", 1):
            raise ValueError(
                f"num_groups={attributes['num_groups']} must divide the {in_channels} channels"
            )
        return inputs[0]

    return infer


def layer_norm(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape, which must end in what is normalised over."""
    shape = normalized_shape(attributes, inputs[0])
    if inputs[0][-len(shape) :] != shape or BATCH in shape:
        raise ValueError(f"normalized_shape={shape} must be the input's last sizes")
    return inputs[0]


def normalized_shape(attributes: Attributes, shape: Shape) -> Shape:
    """What a layer norm normalises over: by default the last dimension."""
    wanted = attributes["normalized_shape"]
    return (shape[-1],) if wanted is None else wanted if isinstance(wanted, tuple) else (wanted,)


def linear(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """(..., F) to (..., out_features)."""
    if len(inputs[0]) < 2 or inputs[0][-1] == BATCH:
        raise ValueError("expected features in the last dimension, behind the batch")
    return (*inputs[0][:-1], attributes["out_features"])


def embedding(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Numbers (...) to (..., embedding_dim)."""
    return (*inputs[0], attributes["embedding_dim"])


def attention_module(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """One input, or query, key and value, each (T, D): the query's shape."""
    for shape in inputs:
        if len(shape) != 3 or shape[0] != BATCH or shape[2] != inputs[0][2]:
            raise ValueError("expected sequences (T, D) behind the batch, all of one width D")
    if inputs[0][2] % attributes["num_heads"]:
        raise ValueError(
            f"num_heads={attributes['num_heads']} must divide the width {inputs[0][2]}"
        )
    if inputs[-1] != inputs[len(inputs) // 2]:
        raise ValueError("the keys and values must have one length")
    return inputs[0]


def attention(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Query (..., L, E), key (..., S, E) and value (..., S, V) to (..., L, V)."""
    query, key, value = inputs[:3]
    if len(query) < 3 or key[:-1] != value[:-1] or query[-1] != key[-1] or query[:-2] != key[:-2]:
        raise ValueError("expected query (..., L, E), key (..., S, E) and value (..., S, V)")
    if BATCH in (*query[-2:], *key[-2:], value[-1]):
        raise ValueError(
            "samples would attend to each other: the batch must come before the last two dimensions"
        )
    return (*query[:-1], value[-1])


def broadcast(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The shape that torch broadcasts the inputs to."""
    return broadcast_shapes(inputs)


def broadcast_shapes(inputs: tuple[Shape, ...]) -> Shape:
    """The shape that torch broadcasts these to. The batch matches itself and 1."""
    if all(shape == inputs[0] for shape in inputs):
        return inputs[0]
    rank = max(map(len, inputs))
    result = []
    for sizes in zip(*((1,) * (rank - len(shape)) + shape for shape in inputs), strict=True):
        different = {size for size in sizes if size != 1}
        if len(different) > 1:
            raise ValueError(
                "the shapes differ and cannot be broadcast: "
                f"{' and '.join(map(shown, dict.fromkeys(inputs)))}"
            )
        result.append(different.pop() if different else 1)
    if result.count(BATCH) > 1:
        raise ValueError("the batch would appear in two dimensions")
    return tuple(result)


def matrix_product(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """(..., n, k) and (..., k, m) to (..., n, m)."""
    left, right = inputs
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2] or left[-1] == BATCH:
        raise ValueError("expected matrices (..., n, k) and (..., k, m)")
    return (*broadcast_shapes((left[:-2], right[:-2])), left[-2], right[-1])


def halving(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """Half the size along `dim`, as a gated linear unit gives."""
    position = dimension(attributes["dim"], inputs[0])
    if inputs[0][position] % 2:
        raise ValueError(f"the size {inputs[0][position]} of dim={attributes['dim']} must be even")
    return (*inputs[0][:position], inputs[0][position] // 2, *inputs[0][position + 1 :])


def padding(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """`pad` places added at the ends of the last dimensions, the last one first, as
    torch.nn.functional.pad.
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
    """An image with `padding` places at each side, or (left, right, top, bottom)."""
    images(inputs[0], 2)
    return padding({"pad": each(attributes["padding"], 4)}, inputs)


def interpolation(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """An image of `size`, or `scale_factor` times as large."""
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


def with_number(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape, `value` being a number."""
    if not is_number(attributes["value"]):
        raise ValueError(f"value must be a number, got {attributes['value']!r}")
    return inputs[0]


def is_number(value: Any) -> bool:
    """A number, or the text that stands for one which JSON does not have."""
    return isinstance(value, int | float) or value in ("inf", "-inf", "nan")


def shown(shape: Shape) -> str:
    """A shape for messages: without the batch where that comes first."""
    if shape[:1] == (BATCH,):
        shape = shape[1:]
    return (
        "("
        + ", ".join("batch" if size == BATCH else str(size) for size in shape)
        + ("," if len(shape) == 1 else "")
        + ")"
    )
