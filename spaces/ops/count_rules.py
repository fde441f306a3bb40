"""How many parameters operations have, and how many multiply-adds they take for one sample."""

from __future__ import annotations

import math

from spaces.ops import shape_rules as rules
from spaces.ops.operation import Shapes
from spaces.ops.sequence_rules import letter_sizes
from spaces.ops.shape_rules import Attributes, Shape, each, elements


def window(attributes: Attributes, inputs: Shapes) -> int:
    """The number of places under a convolution's window."""
    return math.prod(each(attributes["kernel_size"], len(inputs[0]) - 2))


def convolution_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """in_channels out_channels / groups weights for each place of the window, and the biases."""
    in_channels = inputs[0][1]
    out_channels, groups = (
        rules.channels(attributes[name], in_channels) for name in ("out_channels", "groups")
    )
    return in_channels * out_channels // groups * window(attributes, inputs) + (
        out_channels if attributes["bias"] else 0
    )


def convolution_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each output element in_channels / groups times the places of the window."""
    return (
        elements(output)
        * inputs[0][1]
        // rules.channels(attributes["groups"], inputs[0][1])
        * window(attributes, inputs)
    )


def transposed_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each input element out_channels / groups times the places of the window."""
    return (
        elements(inputs[0])
        * output[1]
        // rules.channels(attributes["groups"], inputs[0][1])
        * window(attributes, inputs)
    )


def linear_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """in_features out_features weights and the biases."""
    return attributes["out_features"] * (inputs[0][-1] + (1 if attributes["bias"] else 0))


def linear_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each output element in_features."""
    return elements(output) * inputs[0][-1]


def norm_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """A weight and a bias for each channel."""
    return 2 * inputs[0][1] if attributes["affine"] else 0


def layer_norm_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """A weight and a bias for each normalised element."""
    count = math.prod(rules.normalized_shape(attributes, inputs[0]))
    return count * (1 + bool(attributes["bias"])) if attributes["elementwise_affine"] else 0


def embedding_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """A row of `embedding_dim` for each number."""
    return attributes["num_embeddings"] * attributes["embedding_dim"]


def attention_module_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """Four square projections: of queries, keys, values, and of the result."""
    return 4 * inputs[0][2] * (inputs[0][2] + (1 if attributes["bias"] else 0))


def attention_module_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """Projections of L queries, S keys and values and of L results, 2 (L + S) D², and two products,
    2 L S D.
    """
    (queries, width), keys = inputs[0][1:], inputs[-1][1]
    return 2 * (queries + keys) * width * width + 2 * queries * keys * width


def matrix_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each output element the inner size."""
    return elements(output) * inputs[0][-1]


def attention_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """Query by key and weights by value: L S (E + V) for each head."""
    query, key, value = inputs[:3]
    return elements(query[:-1]) * key[-2] * (query[-1] + value[-1])


def einsum_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """One for each combination of the letters' sizes."""
    return elements(tuple(letter_sizes(attributes["equation"], inputs).values()))


def fourier_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """n log2 n for the n numbers of a sample, as the fast transform of real numbers takes about."""
    return math.ceil(elements(output) * math.log2(output[-2] * output[-1]))


def dynamic_convolution_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each output element one for each tap."""
    return elements(output) * inputs[1][-1]


def tensor_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """The elements of a free parameter."""
    return math.prod(attributes["shape"])
