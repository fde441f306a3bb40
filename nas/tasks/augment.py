"""Augments a batch of images on its device: random flips and random crops."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class FlipAndCrop:
    """Mirrors each image with probability one half, then crops it at a random place.

    Before the crop the image gets a border of zeros. This is the standard augmentation of CIFAR-10
    (He et al. 2016, section 4.2: a border of 4 pixels).

    Attributes:
        flip: whether images are mirrored left to right.
        padding: the width of the border in pixels; 0: no crops.
    """

    flip: bool = True
    padding: int = 4

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """The augmented inputs (N, C, H, W); their shape and type are kept."""
        if self.flip:
            draws = torch.rand(len(inputs), 1, 1, 1, generator=generator, device=inputs.device)
            mirrored = draws < 0.5
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
