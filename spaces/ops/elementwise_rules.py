"""What shape the operations give that compute element by element: activations, norms, sums."""

from __future__ import annotations

from spaces.ops.shapes import BATCH, Attributes, Rule, Shape, dimension, images, is_number, shown


def same(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape."""
    return inputs[0]


def along_dim(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape, for operations along `dim`, which may not be the batch."""
    dimension(attributes["dim"], inputs[0])
    return inputs[0]


def normalization(spatial: tuple[int, ...]) -> Rule:
    """The input's own shape, for norms by channel.

    Args:
        spatial: the numbers of spatial dimensions that the input may have.
    """

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
    """The input's own shape, whose last sizes must be those that are normalised over."""
    shape = normalized_shape(attributes, inputs[0])
    if inputs[0][-len(shape) :] != shape or BATCH in shape:
        raise ValueError(f"normalized_shape={shape} must be the input's last sizes")
    return inputs[0]


def normalized_shape(attributes: Attributes, shape: Shape) -> Shape:
    """The sizes that a layer norm normalises over: by default the last dimension."""
    wanted = attributes["normalized_shape"]
    if wanted is None:
        return (shape[-1],)
    return wanted if isinstance(wanted, tuple) else (wanted,)


def broadcast(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The shape that torch broadcasts the inputs to."""
    return broadcast_shapes(inputs)


def broadcast_shapes(inputs: tuple[Shape, ...]) -> Shape:
    """The shape that torch broadcasts these shapes to; the batch matches itself and 1."""
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


def halving(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's shape with half the size along `dim`, as a gated linear unit gives."""
    position = dimension(attributes["dim"], inputs[0])
    if inputs[0][position] % 2:
        raise ValueError(f"the size {inputs[0][position]} of dim={attributes['dim']} must be even")
    return (*inputs[0][:position], inputs[0][position] // 2, *inputs[0][position + 1 :])


def with_number(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The input's own shape; `value` must be a number."""
    if not is_number(attributes["value"]):
        raise ValueError(f"value must be a number, got {attributes['value']!r}")
    return inputs[0]


def masked_filling(attributes: Attributes, inputs: tuple[Shape, ...]) -> Shape:
    """The shape of the first input.

    The second input is the mask of the elements that become `value`. It is broadcast to the first.
    """
    value, mask = inputs
    if not is_number(attributes["value"]):
        raise ValueError(f"value must be a number, got {attributes['value']!r}")
    if len(mask) > len(value) or any(
        size not in (1, wanted) for size, wanted in zip(mask[::-1], value[::-1], strict=False)
    ):
        raise ValueError(f"the mask {shown(mask)} cannot be broadcast to {shown(value)}")
    return value
