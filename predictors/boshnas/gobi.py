"""Gradient ascent on the inputs of a trained surrogate (GOBI, Tuli et al. 2021).

The weights of the networks stay fixed; the inputs move towards larger values.

Shapes: K starting points, D coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

# The initial learning rate of each order. That of AdaHessian is the published one. That of Adam is
# for coordinates whose mean square is about 1.
RATE = {"second": 0.5, "first": 0.1}
# Added to the curvature. Where a function is linear the curvature is 0, and a step would be
# infinite.
EPSILON = 1e-4
# An ascent ends after more than PATIENCE steps in a row in which no value changed by STILL or more.
STILL, PATIENCE = 1e-5, 5


@dataclass(frozen=True)
class Ascent:
    """The settings of a gradient ascent on inputs.

    Attributes:
        order: `second` is AdaHessian (Yao et al. 2021) with one Hutchinson probe in each step;
            `first` is Adam.
        steps: the largest number of steps. The learning rate falls to 0 along a cosine.

    Raises:
        ValueError: a value is out of range, or AdaHessian's package is not installed.
    """

    order: Literal["second", "first"] = "second"
    steps: int = 100

    def __post_init__(self) -> None:
        if self.order not in RATE:
            raise ValueError(f"an ascent has no order {self.order!r}; known: {', '.join(RATE)}")
        if self.steps < 1:
            raise ValueError(f"an ascent needs 1 step or more; got {self.steps}")
        if self.order == "second" and find_spec("pytorch_optimizer") is None:
            raise ValueError(
                "an ascent of the second order needs AdaHessian of the package pytorch-optimizer, "
                "which is not installed; `pip install 'surrogate-nas[optim]'`, or set the order to "
                "first"
            )


def climb(
    value: Callable[[Tensor], Tensor],
    start_KD: np.ndarray,
    low_D: np.ndarray,
    high_D: np.ndarray,
    ascent: Ascent,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The best point on the path of each start (K, D), and its value (K,).

    The starts move independently; they share only the number of steps. Between two steps only the
    averages of the optimiser are kept in memory.

    Args:
        value: the function to maximise. It maps points (K, D) to values (K,), and each value
            depends only on its own point. It is differentiable, and twice differentiable for the
            second order.
        start_KD: the starting points.
        low_D, high_D: the bounds to which points are clipped after each step; (D,) or (K, D).
        ascent: the settings.
        seed: seed of the Hutchinson probes.

    Example:
        >>> def value(x_KD):
        ...     return -((x_KD - 1) ** 2).sum(1)
        >>> low_D, high_D = np.zeros(2), np.full(2, 3.0)
        >>> climb(value, np.zeros((1, 2)), low_D, high_D, Ascent("first", 200), 0)[0].round(1)
        array([[1., 1.]])
    """
    import torch

    from predictors.network.layers import one_thread

    start, low, high = (
        torch.from_numpy(np.array(array, dtype=np.float32)) for array in (start_KD, low_D, high_D)
    )
    x = start.clamp(low, high).requires_grad_()
    # One tensor for all starts: these optimisers treat each coordinate independently.
    optimizer, generator = _optimizer(ascent, x), torch.Generator().manual_seed(seed)
    best_K, best_KD = torch.full((len(x),), -math.inf), x.detach().clone()
    before_K, still = best_K, 0
    with one_thread():
        for step in range(ascent.steps + 1):
            value_K, gradient, curvature = _slope(
                value, x, generator if ascent.order == "second" else None
            )
            best_KD = torch.where((value_K > best_K)[:, None], x.detach(), best_KD)
            best_K = torch.maximum(best_K, value_K)
            still = 0 if bool(((value_K - before_K).abs() >= STILL).any()) else still + 1
            before_K = value_K
            if still > PATIENCE or step == ascent.steps:
                break
            cosine = 1 + math.cos(math.pi * step / ascent.steps)
            for group in optimizer.param_groups:
                group["lr"] = RATE[ascent.order] * 0.5 * cosine
            x.grad = -gradient
            if curvature is None:
                optimizer.step()
            else:
                optimizer.step(hessian=[curvature])
            x.grad = None
            with torch.no_grad():
                x.clamp_(low, high)
    return best_KD.numpy().astype(np.float64), best_K.numpy().astype(np.float64)


def _slope(
    value: Callable[[Tensor], Tensor], x: Tensor, generator: Any
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The values, their gradient, and with a generator an estimate of the Hessian's diagonal.

    The estimate is v * (H v) with random signs v (Hutchinson). It uses `autograd.grad`, because
    after `backward(create_graph=True)` a tensor and its gradient would refer to each other, and
    their memory would never be freed.
    """
    import torch

    value_K = value(x)
    (gradient,) = torch.autograd.grad(value_K.sum(), x, create_graph=generator is not None)
    if generator is None:
        return value_K.detach(), gradient, None
    sign = torch.randint(2, x.shape, generator=generator).to(x.dtype) * 2 - 1
    curvature = torch.zeros_like(x)
    if gradient.requires_grad:
        (product,) = torch.autograd.grad((gradient * sign).sum(), x, allow_unused=True)
        curvature = curvature if product is None else sign * product
    return value_K.detach(), gradient.detach(), curvature


def _optimizer(ascent: Ascent, x: Tensor) -> Any:
    import torch

    if ascent.order == "first":
        return torch.optim.Adam([x], lr=RATE["first"])
    from pytorch_optimizer import AdaHessian

    return AdaHessian([x], lr=RATE["second"], eps=EPSILON)
