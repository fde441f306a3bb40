"""The moments that natural-parameter layers compute, compared with those of samples."""

from __future__ import annotations

import pytest
import torch

from predictors.boshnas.npn import NaturalLinear, NaturalNetwork, relu, sigmoid

SAMPLES = 1_000_000


def test_a_linear_layer_gives_the_moments_of_sampled_weights_and_units() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = NaturalLinear(2, 3, 1, generator).double()
    with torch.no_grad():
        layer.raw_weight_variance += (
            torch.rand(layer.raw_weight_variance.shape, generator=generator, dtype=torch.float64)
            * 5
        )
        layer.raw_bias_variance += 9.0
        mean_KNI = torch.rand(2, 1, 3, generator=generator).double() + 0.5
        variance_KNI = torch.rand(2, 1, 3, generator=generator).double()
        mean, variance = layer(mean_KNI, variance_KNI)
        for member in range(2):

            def draw(middle: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
                noise = torch.randn(
                    SAMPLES, middle.numel(), generator=generator, dtype=torch.float64
                )
                return middle.flatten() + spread.flatten().sqrt() * noise

            unit_SI = draw(mean_KNI[member], variance_KNI[member])
            weight_SI = draw(
                layer.weight[member],
                torch.nn.functional.softplus(layer.raw_weight_variance[member]),
            )
            bias_S = draw(
                layer.bias[member], torch.nn.functional.softplus(layer.raw_bias_variance[member])
            )[:, 0]
            out_S = (unit_SI * weight_SI).sum(1) + bias_S
            assert mean[member, 0, 0].item() == pytest.approx(
                out_S.mean().item(), rel=0.01, abs=0.005
            )
            assert variance[member, 0, 0].item() == pytest.approx(out_S.var().item(), rel=0.01)


def test_exact_inputs_have_variance_0() -> None:
    layer = NaturalLinear(2, 3, 4, torch.Generator().manual_seed(0))
    x_NI = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    for one, other in zip(
        layer(x_NI), layer(x_NI.expand(2, 5, 3), torch.zeros(2, 5, 3)), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("activation", "plain", "mean_error", "variance_error"),
    [(relu, torch.relu, 0.005, 0.02), (sigmoid, torch.sigmoid, 0.02, 0.03)],
)
def test_activations_give_the_moments_of_samples(
    activation, plain, mean_error: float, variance_error: float
) -> None:
    """Those of the ReLU are exact up to the error of the samples.

    Those of the logistic function are approximate, with the smallest error at small variances.
    """
    noise_S = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for middle in (-3.0, -1.0, 0.0, 0.5, 2.0):
        for spread in (0.01, 0.3, 1.0, 4.0):
            mean, variance = activation(
                torch.tensor(middle, dtype=torch.float64), torch.tensor(spread, dtype=torch.float64)
            )
            true_S = plain(middle + spread**0.5 * noise_S)
            assert mean.item() == pytest.approx(true_S.mean().item(), abs=mean_error), (
                middle,
                spread,
            )
            assert variance.item() == pytest.approx(true_S.var().item(), abs=variance_error), (
                middle,
                spread,
            )


def test_a_network_is_twice_differentiable_also_where_units_are_constant() -> None:
    network = NaturalNetwork(2, 3, (4, 4), "relu", torch.Generator().manual_seed(0))
    for x in (
        torch.zeros(1, 3),
        1e3 * torch.ones(1, 3),
        torch.randn(4, 3, generator=torch.Generator().manual_seed(1)),
    ):
        x.requires_grad_()
        mean_KN, variance_KN = network(x)
        assert mean_KN.shape == variance_KN.shape == (2, len(x))
        assert (variance_KN > 0).all()
        (gradient,) = torch.autograd.grad(
            (mean_KN + variance_KN.sqrt()).sum(), x, create_graph=True
        )
        (curvature,) = torch.autograd.grad(gradient.sum(), x)
        assert gradient.isfinite().all()
        assert curvature.isfinite().all()
