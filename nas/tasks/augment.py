"""Augmentation of a batch on its own device, the randomness drawn from the generator given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class FlipAndCrop:
    """Each image mirrored with probability one half, then cut at a random place out of itself with
    a border of zeros around.

    The standard augmentation of CIFAR-10 (He et al. 2016, section 4.2: a border of 4 pixels).

    Attributes:
        flip: whether images are mirrored left to right.
        padding: the width of the border in pixels; 0 leaves the cropping out.
    """

    flip: bool = True
    padding: int = 4

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Inputs (N, C, H, W) of any type; the same shape and type comes out."""
        if self.flip:
            mirrored = (
                torch.rand(len(inputs), 1, 1, 1, generator=generator, device=inputs.device) < 0.5
            )
            inputs = torch.where(mirrored, inputs.flip(-1), inputs)
        return _random_crop(inputs, self.padding, generator) if self.padding else inputs


def _random_crop(inputs: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    count, channels, height, width = inputs.shape
    device = inputs.device
    padded = functional.pad(inputs, (padding,) * 4)
    corners = torch.randint(2 * padding + 1, (2, count, 1), generator=generator, device=device)
    rows = (corners[0] + torch.arange(height, device=device))[:, None, :, None]
    columns = (corners[1] + torch.arange(width, device=device))[:, None, None, :]
    sample = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return padded[sample, channel, rows, columns]
