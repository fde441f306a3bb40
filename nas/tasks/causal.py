"""Checks that a network which predicts the next token sees only the tokens before it.

Shapes: N samples, L positions, K tokens of the vocabulary.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# The number of positions after which the tokens are changed.
CUTS = 8
# The largest difference between outputs that should be equal, relative to the largest output.
# Rounding stays below it; the influence of a later token does not.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Causal:
    """Refuses a network whose outputs at a position depend on later tokens.

    Such a network, trained to predict the next token, would only copy it.

    Attributes:
        vocabulary: the number of tokens. The changed tokens are drawn from all but the padding.
    """

    vocabulary: int

    @torch.no_grad()
    def __call__(self, module: nn.Module, inputs: Tensor) -> None:
        """Changes the tokens of the first input after some positions, and compares the outputs.

        The module itself is not changed.

        Args:
            module: takes tokens (N, L), gives outputs (N, L, K).
            inputs: (N, L).

        Raises:
            ValueError: an output before a changed token differs.
        """
        generator = torch.Generator().manual_seed(0)
        device, length = inputs.device, inputs.shape[1]
        probe = copy.deepcopy(module).eval()
        for parameter in probe.parameters():
            # The initial weights may hide a dependence on later tokens, for example behind a gate
            # of zero that training opens. So all weights get some noise.
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter)
        # The positions start with the first. Otherwise a network that mixes the tokens of equal
        # blocks could pass, if every position were the end of a block.
        cuts = torch.linspace(0, length - 2, min(CUTS, length - 1)).long().to(device)
        tokens = inputs[:1].expand(len(cuts), -1)
        shifts = torch.randint(1, self.vocabulary - 1, tokens.shape, generator=generator).to(device)
        later = torch.arange(length, device=device) > cuts[:, None]
        changed = torch.where(later, 1 + (tokens - 1 + shifts) % (self.vocabulary - 1), tokens)
        outputs = probe(tokens.contiguous())
        if outputs.ndim != 3 or outputs.shape[1] != length:
            return  # Outputs of a wrong shape are an error of the training.
        changes = (outputs - probe(changed)).abs().amax(2) * ~later
        differences = changes.amax(1) / outputs.abs().max()
        row = int(differences.argmax())
        if differences[row] > TOLERANCE:
            raise ValueError(
                f"the network's outputs up to position {int(cuts[row]) + 1} change when later "
                "tokens do, so it would see the next token instead of predicting it: take "
                "`objective: masked`, or a space of causal networks (attention with "
                "is_causal=True, convolutions padded on the left only)"
            )
