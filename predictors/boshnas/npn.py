"""Natural-parameter networks, which predict a mean and a variance (the noise).

Wang, Shi and Yeung, Natural-parameter networks, NeurIPS 2016, with Gaussian weights and units. Each
layer computes the mean and the variance of its outputs under the assumption that its inputs are
independent Gaussians. All members are computed at once, as in `network/layers.py`.

Shapes: N rows, K members, I input features, H output features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

# The largest initial variance of a weight, as a multiple of the bound of the initial means.
START_VARIANCE = 0.01
# The initial variance of a bias, before softplus. The variance of a weight would be too large
# compared with the labels.
START_BIAS = -10.0
# The least variance. An approximate moment could be negative.
LEAST_VARIANCE = 1e-8
# sigmoid(x)^2 is about sigmoid(SQUARED (x + SHIFT)). With these constants value and slope are exact
# where sigmoid(x)^2 is 1/2.
SQUARED, SHIFT = 4 - 2 * math.sqrt(2), -math.log(1 + math.sqrt(2))

Moments = tuple[Tensor, Tensor]


class NaturalLinear(nn.Module):
    r"""A linear map with independent Gaussian weights W and biases b, for each member.

    It maps the means and variances (K, N, I) of the inputs to those of the outputs (K, N, H):

    .. math::
        o_m = a_m W_m + b_m, \qquad o_s = a_s W_s + a_s W_m^2 + a_m^2 W_s + b_s

    where a are the inputs, m stands for means and s for variances. Softplus keeps the variances of
    weights and biases positive. The moments are exact if the inputs are independent.
    """

    def __init__(self, members: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = math.sqrt(6 / (inputs + outputs))
        uniform_KIH = torch.rand(members, inputs, outputs, generator=generator)
        variance_KIH = START_VARIANCE * bound * uniform_KIH
        self.weight = nn.Parameter(
            (torch.rand(members, inputs, outputs, generator=generator) * 2 - 1) * bound
        )
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))
        # The inverse of softplus. It does not exist for a variance of 0.
        self.raw_weight_variance = nn.Parameter(
            torch.log(torch.expm1(variance_KIH.clamp_min(1e-6)))
        )
        self.raw_bias_variance = nn.Parameter(torch.full((members, 1, outputs), START_BIAS))

    def forward(self, mean: Tensor, variance: Tensor | None = None) -> Moments:
        """The mean and the variance of the outputs.

        Without a variance the inputs are exact, and `mean` may be (N, I).
        """
        if mean.dim() == 2:
            mean = mean.expand(len(self.weight), *mean.shape)
        weight_variance_KIH = nn.functional.softplus(self.raw_weight_variance)
        out_variance = torch.baddbmm(
            nn.functional.softplus(self.raw_bias_variance), mean**2, weight_variance_KIH
        )
        if variance is not None:
            out_variance = torch.baddbmm(
                out_variance, variance, weight_variance_KIH + self.weight**2
            )
        return torch.baddbmm(self.bias, mean, self.weight), out_variance


def relu(mean: Tensor, variance: Tensor) -> Moments:
    r"""The exact mean and variance of max(0, x) for a Gaussian x.

    .. math::
        E = P m + q, \qquad V = P (m^2 + s) + m q - E^2, \qquad
        P = \Phi(m / \sqrt s), \quad q = \sqrt{s / 2 \pi} \, e^{-m^2 / 2 s}

    In the paper P is a logistic function, which differs from the normal distribution function by up
    to 0.018. The latter is not slower to compute.
    """
    deviation = variance.clamp_min(LEAST_VARIANCE).sqrt()
    ratio = mean / deviation
    share = torch.special.ndtr(ratio)
    density = deviation * torch.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi)
    expected = share * mean + density
    second_moment = share * (mean**2 + variance) + mean * density
    return expected, (second_moment - expected**2).clamp_min(LEAST_VARIANCE)


def sigmoid(mean: Tensor, variance: Tensor) -> Moments:
    r"""The approximate mean and variance of the logistic function of a Gaussian x.

    .. math::
        E = \sigma\Big(\frac{m}{\sqrt{1 + \pi s / 8}}\Big), \qquad
        V = \sigma\Big(\frac{a (m + b)}{\sqrt{1 + \pi a^2 s / 8}}\Big) - E^2, \qquad
        a = 4 - 2 \sqrt 2, \quad b = -\log(1 + \sqrt 2)

    For m from -4 to 4 and s up to 9 the error of the mean is at most 0.017, and that of the
    variance, where the square is approximated too, at most 0.027.
    """
    expected = torch.sigmoid(mean / torch.sqrt(1 + math.pi / 8 * variance))
    scale = torch.sqrt(1 + math.pi / 8 * SQUARED**2 * variance)
    square = torch.sigmoid(SQUARED * (mean + SHIFT) / scale)
    return expected, (square - expected**2).clamp_min(LEAST_VARIANCE)


ACTIVATIONS: dict[str, Callable[[Tensor, Tensor], Moments]] = {"relu": relu, "sigmoid": sigmoid}


class NaturalNetwork(nn.Module):
    """Natural-parameter layers with an activation between them, and one output."""

    def __init__(
        self,
        members: int,
        inputs: int,
        widths: Sequence[int],
        activation: str,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        sizes = (inputs, *widths, 1)
        self.layers = nn.ModuleList(
            NaturalLinear(members, before, after, generator) for before, after in pairwise(sizes)
        )
        self.activation = activation

    def forward(self, x_ND: Tensor) -> Moments:
        """(K, N) the mean and the variance that each member predicts."""
        mean, variance = self.layers[0](x_ND)
        for layer in self.layers[1:]:
            mean, variance = layer(*ACTIVATIONS[self.activation](mean, variance))
        return mean[..., 0], variance[..., 0]
