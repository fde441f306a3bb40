"""Losses of several members at once. Shapes: B graphs of a batch, K members; every loss is (K,),
one number a member.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_error(mean_BK: Tensor, target_B: Tensor, weight_BK: Tensor) -> Tensor:
    """The weighted mean of (mean - target)^2."""
    return (weight_BK * (mean_BK - target_B[:, None]) ** 2).sum(0) / weight_BK.sum(0).clamp_min(
        1e-9
    )


def pairwise_logistic(mean_BK: Tensor, target_B: Tensor, weight_BK: Tensor) -> Tensor:
    """The mean of log(1 + exp(-(s_i - s_j))) over the pairs with target_i > target_j (RankNet,
    Burges et al. 2005); 0 where there is no pair.
    """
    mean_KB, weight_KB = mean_BK.t(), weight_BK.t()
    pair_KBB = (
        weight_KB[:, :, None] * weight_KB[:, None, :] * (target_B[:, None] > target_B[None, :])
    )
    terms_KBB = torch.nn.functional.softplus(mean_KB[:, None, :] - mean_KB[:, :, None])
    return (pair_KBB * terms_KBB).sum((1, 2)) / pair_KBB.sum((1, 2)).clamp_min(1e-9)
