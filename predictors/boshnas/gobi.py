"""Gradient-based optimisation of inputs (GOBI, Tuli et al. 2021): the networks stay as they are,
and what they are asked about climbs to where they say most.

Shapes: K starts, D numbers that move.
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

# The first step's length of each order: AdaHessian's as published; Adam's in numbers whose mean
# square is about 1.
RATE = {"second": 0.5, "first": 0.1}
# Added to the curvature, which is 0 where a function is straight: a step there would have no end.
EPSILON = 1e-4
# A climb ends after more than so many steps in a row by which no start gained that much.
STILL, PATIENCE = 1e-5, 5


@dataclass(frozen=True)
class Ascent:
    """How inputs climb.

    Attributes:
        order: `second` is AdaHessian (Yao et al. 2021), its curvature from one Hutchinson probe a
            step; `first` is Adam.
        steps: at most, along half a cosine from the full rate to 0.
    """

    order: Literal["second", "first"] = "second"
    steps: int = 100

    def __post_init__(self) -> None:
        if self.order not in RATE:
            raise ValueError(f"an ascent knows no order {self.order!r}; known: {', '.join(RATE)}")
        if self.steps < 1:
            raise ValueError(f"an ascent needs 1 step or more; got {self.steps}")
        if self.order == "second" and find_spec("pytorch_optimizer") is None:
            raise ValueError(
                "climbing by the second order needs AdaHessian of the package pytorch-optimizer, "
                "which is not installed; "
                "`pip install 'surrogate-nas[optim]'`, or set the order to first"
            )


def climb(
    value: Callable[[Tensor], Tensor],
    start_KD: np.ndarray,
    low_D: np.ndarray,
    high_D: np.ndarray,
    ascent: Ascent,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where the starts end (K, D), and how high that is (K,): the best place on each one's way,
    inside the box.

    Every start climbs by itself: nothing is shared but the number of steps. Between two steps
        nothing of the first is kept but the optimiser's averages.

    Args:
        value: of places (K, D), (K,) that each depend on their own place alone, once differentiable
            or, for the second order, twice.
        low_D, high_D: the box that places are brought back to after each step; or one for each
            start (K, D).
        seed: of the Hutchinson probes.
    """
    import torch

    from predictors.network.layers import one_thread

    start, low, high = (
        torch.from_numpy(np.array(array, dtype=np.float32)) for array in (start_KD, low_D, high_D)
    )
    x = start.clamp(low, high).requires_grad_()
    # One group for all: an optimiser of this kind treats every number by itself.
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
            for group in optimizer.param_groups:
                group["lr"] = (
                    RATE[ascent.order] * 0.5 * (1 + math.cos(math.pi * step / ascent.steps))
                )
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
    """The values, their gradient, and with a generator an estimate v (H v) of the Hessian's
    diagonal, v being signs (Hutchinson).

    By `autograd.grad`, which leaves nothing behind: after `backward(create_graph=True)` a place and
        its gradient would hold each other for ever.
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
