r"""Natural-parameter networks: layers whose units carry a mean and a variance, so that a network
says how noisy its answer is.

Wang, Shi and Yeung, Natural-parameter networks, NeurIPS 2016, with Gaussian weights and Gaussian
units: every layer gives the first two moments of what comes out, as if the units that go in were
independent Gaussians. Members side by side, as in `layers.py`.

Shapes: N rows, K members, I features in, H features out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

# Of the variances of weights at the start: so many times the bound of their means.
START_VARIANCE = 0.01
# A bias' variance at the start, before softplus: that of a weight would swamp the labels.
START_BIAS = -10.0
# A variance that a moment's approximation would make negative is this.
LEAST_VARIANCE = 1e-8
# sigmoid(x)^2 is about sigmoid(SQUARED (x + SHIFT)); both make it exact in value and slope where
# sigmoid(x)^2 is a half.
SQUARED, SHIFT = 4 - 2 * math.sqrt(2), -math.log(1 + math.sqrt(2))

Moments = tuple[Tensor, Tensor]


class NaturalLinear(nn.Module):
    r"""A linear map with independent Gaussian weights W and biases b, for each member; both moments
    (K, N, I) to (K, N, H).

    .. math::
        o_m = a_m W_m + b_m, \qquad o_s = a_s W_s + a_s W_m^2 + a_m^2 W_s + b_s

    with a the units that go in, m for means and s for variances, which are kept positive by
    softplus. Exact where the units are independent.
    """

    def __init__(self, members: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = math.sqrt(6 / (inputs + outputs))
        variance_KIH = (
            START_VARIANCE * bound * torch.rand(members, inputs, outputs, generator=generator)
        )
        self.weight = nn.Parameter(
            (torch.rand(members, inputs, outputs, generator=generator) * 2 - 1) * bound
        )
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))
        # The inverse of softplus; a variance of 0 has none.
        self.raw_weight_variance = nn.Parameter(
            torch.log(torch.expm1(variance_KIH.clamp_min(1e-6)))
        )
        self.raw_bias_variance = nn.Parameter(torch.full((members, 1, outputs), START_BIAS))

    def forward(self, mean: Tensor, variance: Tensor | None = None) -> Moments:
        """The moments of what comes out; without a variance the units are known exactly, and may be
        (N, I).
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
    r"""The moments of max(0, x) for a Gaussian x: exact.

    .. math::
        E = P m + q, \qquad V = P (m^2 + s) + m q - E^2, \qquad P = \Phi(m / \sqrt s), \quad q =
        \sqrt{s / 2 \pi} \, e^{-m^2 / 2 s}

    In the paper P is a logistic function, which is up to 0.018 away from the normal distribution's;
    computing this costs no more.
    """
    deviation = variance.clamp_min(LEAST_VARIANCE).sqrt()
    ratio = mean / deviation
    share, density = (
        torch.special.ndtr(ratio),
        deviation * torch.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi),
    )
    expected = share * mean + density
    return expected, (share * (mean**2 + variance) + mean * density - expected**2).clamp_min(
        LEAST_VARIANCE
    )


def sigmoid(mean: Tensor, variance: Tensor) -> Moments:
    r"""The moments of the logistic function of a Gaussian x: approximately.

    .. math::
        E = \sigma\Big(\frac{m}{\sqrt{1 + \pi s / 8}}\Big), \qquad
        V = \sigma\Big(\frac{a (m + b)}{\sqrt{1 + \pi a^2 s / 8}}\Big) - E^2, \qquad a = 4 - 2 \sqrt
        2, \quad b = -\log(1 + \sqrt 2)

    For m from -4 to 4 and s up to 9 the mean is up to 0.017 away from the true one, the variance,
    which approximates a square too, up to 0.027.
    """
    expected = torch.sigmoid(mean / torch.sqrt(1 + math.pi / 8 * variance))
    square = torch.sigmoid(
        SQUARED * (mean + SHIFT) / torch.sqrt(1 + math.pi / 8 * SQUARED**2 * variance)
    )
    return expected, (square - expected**2).clamp_min(LEAST_VARIANCE)


ACTIVATIONS: dict[str, Callable[[Tensor, Tensor], Moments]] = {"relu": relu, "sigmoid": sigmoid}


class NaturalNetwork(nn.Module):
    """Natural-parameter layers with an activation between them, the last with one output."""

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
        """(K, N) the mean and the variance of each member's answer."""
        mean, variance = self.layers[0](x_ND)
        for layer in self.layers[1:]:
            mean, variance = layer(*ACTIVATIONS[self.activation](mean, variance))
        return mean[..., 0], variance[..., 0]
