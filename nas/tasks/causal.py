"""Whether a network that tells the next token sees only the tokens before it.

Shapes: L positions, K tokens of the vocabulary.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CUTS = 8
# Between outputs that should be equal, relative to the largest output: what rounding may do, and a
# view of the answer does not stay below.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Causal:
    """Refuses a network whose outputs at a position change when later tokens change: trained to
    tell the next token, it would only copy it.

    Attributes:
        vocabulary: how many tokens there are; the changed ones are drawn from all but the padding.
    """

    vocabulary: int

    @torch.no_grad()
    def __call__(self, module: nn.Module, inputs: Tensor) -> None:
        """Looks at the first of the inputs (N, L), with all after some positions changed. The
        module is left as it is.

        Raises:
            ValueError: an output (L, K) up to such a position differs.
        """
        generator, device, length = torch.Generator().manual_seed(0), inputs.device, inputs.shape[1]
        probe = copy.deepcopy(module).eval()
        for parameter in probe.parameters():
            # What a network starts with may hide a view of what comes: a gate of zero, say, that
            # training opens.
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter)
        # From the first position on, so that no grouping of positions into equal parts hides in its
        # own borders.
        cuts = torch.linspace(0, length - 2, min(CUTS, length - 1)).long().to(device)
        tokens = inputs[:1].expand(len(cuts), -1)
        shifts = torch.randint(1, self.vocabulary - 1, tokens.shape, generator=generator).to(device)
        later = torch.arange(length, device=device) > cuts[:, None]
        changed = torch.where(later, 1 + (tokens - 1 + shifts) % (self.vocabulary - 1), tokens)
        outputs = probe(tokens.contiguous())
        if outputs.ndim != 3 or outputs.shape[1] != length:
            return  # Not even of the task's shape, which training says.
        differences = ((outputs - probe(changed)).abs().amax(2) * ~later).amax(
            1
        ) / outputs.abs().max()
        row = int(differences.argmax())
        if differences[row] > TOLERANCE:
            raise ValueError(
                f"the network's outputs up to position {int(cuts[row]) + 1} change when later "
                "tokens do, so it would see the next token instead of "
                "telling it: take `objective: masked`, or a space of causal networks (attention "
                "with is_causal=True, convolutions padded on the left only)"
            )
