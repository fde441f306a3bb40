"""Masked language modelling: some tokens of a batch are hidden, and those are what the network has
to tell.

Shapes: N samples, L positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nas.tasks.token_scores import IGNORED
from nas.tasks.tokens import MASK

SHARE = 0.15


@dataclass(frozen=True)
class Masking:
    """BERT's corruption (Devlin et al. 2019, section 3.1): of the 15 % chosen, 80 % become the
    mask, 10 % any token, and 10 % are left as they are.

    Attributes:
        vocabulary: how many tokens there are. The ordinary ones come after the mask.
        share: of a sample's positions, rounded, but at least one: a batch without any would have no
            loss.
    """

    vocabulary: int
    share: float = SHARE

    def __call__(
        self, inputs: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The corrupted inputs (N, L), and the targets (N, L) with `IGNORED` where nothing was
        chosen. On the inputs' device.
        """
        count, device = max(1, round(self.share * inputs.shape[1])), inputs.device
        places = torch.rand(inputs.shape, generator=generator, device=device).topk(count, 1).indices
        chosen = torch.zeros_like(inputs, dtype=torch.bool).scatter_(1, places, True)
        fate = torch.rand(inputs.shape, generator=generator, device=device)
        others = torch.randint(
            MASK + 1, self.vocabulary, inputs.shape, generator=generator, device=device
        )
        corrupted = torch.where(chosen & (fate < 0.8), MASK, inputs)
        corrupted = torch.where(chosen & (fate >= 0.9), others, corrupted)
        return corrupted, torch.where(chosen, targets, IGNORED)
