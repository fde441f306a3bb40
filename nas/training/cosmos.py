"""COSMOS (Liu et al. 2025): Adam in the leading eigenspace of the gradients, and Muon outside it.

Shapes: M rows and K columns of a weight, R dimensions of the eigenspace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.training.matrix_optimizer import State
from nas.training.muon import orthogonalised

# What lies outside the eigenspace counts as rounding if its norm is below this share of the whole:
# making it orthogonal would turn the rounding into a step.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Cosmos:
    """The direction of COSMOS; its root mean square is `ratio`.

    With N the momentum, P (K, R) the leading eigenvectors of the mean of G^T G, and V the mean of
    (G P)^2, it is A + share * B, scaled, where A = (N P / sqrt(V)) P^T is Adam in the eigenspace,
    and B is N - N P P^T made orthogonal. P follows the gradients by one QR step each time; between
    the steps the mean is known in the eigenspace alone, as P spectrum P^T.

    The state of a weight has M K + K R + R R + M R numbers.

    Attributes:
        rank: R, at most; never more than M or K. With 0 it is Muon, with K all is in the
            eigenspace, which is SOAP that rotates one side.
        share: of what lies outside the eigenspace.
    """

    rank: int = 64
    share: float = 0.2
    ratio: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __call__(self, gradient: Tensor, state: State, step: int) -> Tensor:
        """The direction (M, K)."""
        rows, columns = gradient.shape
        rank = min(self.rank, rows, columns)
        if step == 1:
            state["momentum"] = torch.zeros_like(gradient)
        mean = state["momentum"].lerp_(gradient, 1 - self.beta1)
        # Nesterov's look ahead; the weights of all gradients in it sum to 1.
        ahead = gradient.lerp(mean, self.beta1) / (1 - self.beta1 ** (step + 1))
        if rank == 0:
            return self._scaled(orthogonalised(ahead))
        basis_KR = self._followed(gradient, state, step, rank)
        scale_MR = (state["square"] / (1 - self.beta2**step)).sqrt_().add_(self.eps)
        inside_MR = ahead @ basis_KR
        direction = (inside_MR / scale_MR) @ basis_KR.T
        if rank < columns:
            outside = ahead - inside_MR @ basis_KR.T
            is_rounding = outside.norm() <= _ROUNDING * ahead.norm()
            muon = _of_norm(orthogonalised(outside), math.sqrt(rows * columns))
            direction = direction + self.share * muon.masked_fill(is_rounding, 0.0)
        return self._scaled(direction)

    def _followed(self, gradient: Tensor, state: State, step: int, rank: int) -> Tensor:
        """The eigenvectors (K, R) after this gradient; the state is brought up to it."""
        if step == 1:
            basis_KR = torch.linalg.svd(gradient, full_matrices=False).Vh[:rank].T.contiguous()
            state["spectrum"] = gradient.new_zeros(rank, rank)
            state["square"] = gradient.new_zeros(len(gradient), rank)
            turn_RR = torch.eye(rank, dtype=gradient.dtype, device=gradient.device)
        else:
            before_KR, new = state["basis"], 1 - self.beta2
            product_KR = before_KR @ (self.beta2 * state["spectrum"])
            product_KR += new * (gradient.T @ (gradient @ before_KR))
            basis_KR = torch.linalg.qr(product_KR).Q
            turn_RR = basis_KR.T @ before_KR
        state["basis"] = basis_KR
        seen_MR = gradient @ basis_KR
        old_RR = turn_RR @ state["spectrum"] @ turn_RR.T
        state["spectrum"] = old_RR.lerp(seen_MR.T @ seen_MR, 1 - self.beta2)
        state["square"].lerp_(seen_MR.square(), 1 - self.beta2)
        return basis_KR

    def _scaled(self, direction: Tensor) -> Tensor:
        return _of_norm(direction, self.ratio * math.sqrt(direction.numel()))


def _of_norm(matrix: Tensor, norm: float) -> Tensor:
    return matrix * (norm / matrix.norm().clamp(min=1e-12))
