"""How many parameters an operation has, and how many multiply-adds it takes for one sample."""

from __future__ import annotations

import math

from spaces.ops.elementwise_rules import normalized_shape
from spaces.ops.matrix_rules import letter_sizes
from spaces.ops.operation import Shapes
from spaces.ops.shapes import Attributes, Shape, channels, each, elements


def window(attributes: Attributes, inputs: Shapes) -> int:
    """The number of places under a convolution's window."""
    return math.prod(each(attributes["kernel_size"], len(inputs[0]) - 2))


def convolution_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """in_channels out_channels / groups weights for each place of the window, plus biases."""
    in_channels = inputs[0][1]
    out_channels = channels(attributes["out_channels"], in_channels)
    groups = channels(attributes["groups"], in_channels)
    weights = in_channels * out_channels // groups * window(attributes, inputs)
    return weights + (out_channels if attributes["bias"] else 0)


def convolution_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each output element, in_channels / groups times the number of places in the window."""
    in_channels = inputs[0][1]
    groups = channels(attributes["groups"], in_channels)
    return elements(output) * in_channels // groups * window(attributes, inputs)


def transposed_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """For each input element, out_channels / groups times the number of places in the window."""
    groups = channels(attributes["groups"], inputs[0][1])
    return elements(inputs[0]) * output[1] // groups * window(attributes, inputs)


def linear_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """in_features out_features weights, plus biases."""
    return attributes["out_features"] * (inputs[0][-1] + (1 if attributes["bias"] else 0))


def linear_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """in_features for each output element."""
    return elements(output) * inputs[0][-1]


def norm_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """A weight and a bias for each channel."""
    return 2 * inputs[0][1] if attributes["affine"] else 0


def layer_norm_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """A weight and a bias for each normalised element."""
    count = math.prod(normalized_shape(attributes, inputs[0]))
    return count * (1 + bool(attributes["bias"])) if attributes["elementwise_affine"] else 0


def embedding_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """A vector of `embedding_dim` for each of `num_embeddings` numbers."""
    return attributes["num_embeddings"] * attributes["embedding_dim"]


def attention_module_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """Four square projections: of the queries, keys, values, and of the result."""
    return 4 * inputs[0][2] * (inputs[0][2] + (1 if attributes["bias"] else 0))


def attention_module_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """2 (L + S) D² for the four projections, plus 2 L S D for the two products.

    L is the number of queries and results, S that of keys and values, D the width.
    """
    (queries, width), keys = inputs[0][1:], inputs[-1][1]
    return 2 * (queries + keys) * width * width + 2 * queries * keys * width


def gru_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """In each direction, three gates of H (D + H) weights and 2 H biases.

    D is the width of the input and H is `hidden_size`.
    """
    return _gru_weights(attributes, inputs) + 6 * attributes["hidden_size"] * (
        2 if attributes["bidirectional"] else 1
    )


def gru_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """Each weight once at each step."""
    return inputs[0][1] * _gru_weights(attributes, inputs)


def _gru_weights(attributes: Attributes, inputs: Shapes) -> int:
    hidden = attributes["hidden_size"]
    return (2 if attributes["bidirectional"] else 1) * 3 * hidden * (inputs[0][2] + hidden)


def matrix_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """The size that is summed over, for each output element."""
    return elements(output) * inputs[0][-1]


def attention_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """L S (E + V) for each head: queries by keys, and weights by values."""
    query, key, value = inputs[:3]
    return elements(query[:-1]) * key[-2] * (query[-1] + value[-1])


def einsum_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """The product of the sizes of all letters in the equation."""
    return elements(tuple(letter_sizes(attributes["equation"], inputs).values()))


def fourier_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """n log2 n for the n elements of a sample, about what the fast real transform takes."""
    return math.ceil(elements(output) * math.log2(output[-2] * output[-1]))


def dynamic_convolution_multiply_adds(attributes: Attributes, inputs: Shapes, output: Shape) -> int:
    """The number of taps, for each output element."""
    return elements(output) * inputs[1][-1]


def tensor_parameters(attributes: Attributes, inputs: Shapes) -> int:
    """The number of elements of a free parameter."""
    return math.prod(attributes["shape"])
