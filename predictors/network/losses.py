"""The pointwise and the pairwise loss of the graph network, one number for each member.

Shapes: B graphs of a batch, K members. Every loss is (K,).
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_error(mean_BK: Tensor, target_B: Tensor, weight_BK: Tensor) -> Tensor:
    """(K,) the weighted mean of (mean - target)^2."""
    total_K = (weight_BK * (mean_BK - target_B[:, None]) ** 2).sum(0)
    return total_K / weight_BK.sum(0).clamp_min(1e-9)


def pairwise_logistic(mean_BK: Tensor, target_B: Tensor, weight_BK: Tensor) -> Tensor:
    """(K,) the RankNet loss (Burges et al. 2005); 0 if there is no pair.

    It is the weighted mean of log(1 + exp(-(s_i - s_j))) over the pairs with target_i > target_j,
    where s are the members' predictions.
    """
    mean_KB, weight_KB = mean_BK.t(), weight_BK.t()
    better_BB = target_B[:, None] > target_B[None, :]
    pair_KBB = weight_KB[:, :, None] * weight_KB[:, None, :] * better_BB
    terms_KBB = torch.nn.functional.softplus(mean_KB[:, None, :] - mean_KB[:, :, None])
    return (pair_KBB * terms_KBB).sum((1, 2)) / pair_KBB.sum((1, 2)).clamp_min(1e-9)
