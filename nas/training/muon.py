"""Muon (Jordan et al. 2024): the momentum of a matrix, with its singular values made equal.

torch.optim.Muon refuses weights that are no matrices, such as the filters of convolutions. A view
of them as matrices would be a parameter that has no gradient of its own, so the rule is written
here; on matrices a test compares the two.

Shapes: M rows and K columns of a weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.training.matrix_optimizer import State

# The quintic whose slope at 0 is steep. It brings singular values close to 1, not to it.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5


@dataclass(frozen=True)
class Muon:
    """The direction of Muon with Nesterov's momentum.

    It is scaled as by Liu et al. (2025), "Muon is scalable for LLM training": its root mean square
    is about that of AdamW, so that one learning rate and weight decay serve both.
    """

    momentum: float = 0.95

    def __call__(self, gradient: Tensor, state: State, step: int) -> Tensor:
        """The direction (M, K)."""
        if step == 1:
            state["momentum"] = torch.zeros_like(gradient)
        mean = state["momentum"].lerp_(gradient, 1 - self.momentum)
        ahead = gradient.lerp(mean, self.momentum)
        return orthogonalised(ahead).mul_(0.2 * math.sqrt(max(gradient.shape)))


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix (M, K) with all singular values near 1, by five Newton-Schulz steps.

    Singular values far below the largest, about a thousandth of it, stay smaller. The steps are in
    single precision: in half precision the result would depend on how it is compiled.
    """
    linear, cubic, quintic = _COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide.float() / wide.float().norm().clamp(min=1e-7)
    for _ in range(_STEPS):
        square = x @ x.T
        x = linear * x + (cubic * square + quintic * square @ square) @ x
    return (x if wide is matrix else x.T).to(matrix.dtype)
