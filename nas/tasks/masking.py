"""Hides some tokens of a batch, for masked language modelling.

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
    """BERT's corruption of a batch (Devlin et al. 2019, section 3.1).

    Of the chosen tokens, 80 % become the mask, 10 % a random token, and 10 % keep their value.

    Attributes:
        vocabulary: the number of tokens. The ordinary tokens have the numbers after the mask's.
        share: the share of a sample's positions that is chosen, rounded, but at least one position:
            without any the loss would be undefined.
    """

    vocabulary: int
    share: float = SHARE

    def __call__(
        self, inputs: Tensor, targets: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The corrupted inputs (N, L) and the targets (N, L), on the inputs' device.

        The targets are `IGNORED` at the positions that were not chosen.
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
