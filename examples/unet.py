"""A family of U-Nets, whose output is a map: a score of each class for each pixel.

    python examples/unet.py [DIRECTORY]        # a search, and its export
    nas space check examples/unet.py:space --input 1,24,24 --output 3,24,24
    nas search configs/smoke.yaml -s space=examples/unet.py:space -s task=examples/unet.py:drawings

The task has a loss and a metric of its own, which receive the map as the network returns it.
"""

import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.config.loading import parse_config
from nas.export import export
from nas.search.finalists import winner
from nas.search.run import start
from nas.tasks.task import Split, Task
from spaces import Chooser, SearchSpace, Shapes
from spaces.load import load_space

NORMS = {
    "batch": nn.BatchNorm2d,
    "group": lambda width: nn.GroupNorm(4, width),
    "instance": lambda width: nn.InstanceNorm2d(width, affine=True),
}


class Block(nn.Module):
    """Two convolutions with norms; a residual block adds its input, 1 x 1 convolved."""

    def __init__(self, before: int, width: int, kind: str, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *self.convolution(before, width, kind),
            NORMS[norm](width),
            nn.ReLU(),
            *self.convolution(width, width, kind),
            NORMS[norm](width),
        )
        self.shortcut = nn.Conv2d(before, width, 1) if kind == "residual" else None

    @staticmethod
    def convolution(before: int, width: int, kind: str) -> list[nn.Module]:
        if kind != "separable":
            return [nn.Conv2d(before, width, 3, padding=1, bias=False)]
        return [
            nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False),
            nn.Conv2d(before, width, 1, bias=False),
        ]

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.body(x)
        return (hidden if self.shortcut is None else hidden + self.shortcut(x)).relu()


class AttentionGate(nn.Module):
    """The skip connection, each pixel weighted by what the decoder sees (arXiv:1804.03999)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(width, width // 2, 1, bias=False)
        self.decoder = nn.Conv2d(width, width // 2, 1)
        self.weight = nn.Conv2d(width // 2, 1, 1)

    def forward(self, skip: Tensor, decoder: Tensor) -> Tensor:
        return skip * self.weight((self.skip(skip) + self.decoder(decoder)).relu()).sigmoid()


class Decoder(nn.Module):
    """Doubles height and width, and joins the encoder's map of that size by `join`."""

    def __init__(
        self, width: int, block: str, norm: str, *, up: str, join: str, gate: bool
    ) -> None:
        super().__init__()
        self.up = (
            nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            if up == "transpose"
            else nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2 * width, width, 1)
            )
        )
        self.gate = AttentionGate(width) if gate else None
        self.join = join
        self.block = Block(2 * width if join == "concatenate" else width, width, block, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        if self.gate is not None:
            skip = self.gate(skip, x)
        return self.block(torch.cat([skip, x], 1) if self.join == "concatenate" else skip + x)


class UNet(nn.Module):
    """Encoders that halve the map, decoders that double it again (arXiv:1505.04597)."""

    def __init__(self, encoders: list[nn.Module], decoders: list[nn.Module], head: nn.Module):
        super().__init__()
        self.encoders, self.decoders = nn.ModuleList(encoders), nn.ModuleList(decoders)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for decoder, skip in zip(self.decoders, reversed(skips[:-1]), strict=True):
            x = decoder(x, skip)
        return self.head(x)


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """`shapes.input` is (channels, height, width), `shapes.output` (classes, height, width)."""
    channels, *sides = shapes.input
    width = choose.one_of("width", (8, 12, 16))
    # Each side has to be even before it is halved.
    deepest = max(d for d in range(4) if all(side % 2**d == 0 for side in sides))
    depth = choose.integer("depth", min(1, deepest), deepest)
    norm = choose.one_of("norm", tuple(NORMS))
    blocks = [
        choose.one_of(f"block{level}", ("plain", "residual", "separable"))
        for level in range(depth + 1)
    ]
    encoders: list[nn.Module] = []
    decoders: list[nn.Module] = []
    if depth:
        up = choose.one_of("up", ("transpose", "interpolate"))
        join = choose.one_of("join", ("concatenate", "add"))
        gate = choose.one_of("attention_gate", (False, True))
        decoders = [
            Decoder(width * 2**level, blocks[level], norm, up=up, join=join, gate=gate)
            for level in reversed(range(depth))
        ]
    for level, block in enumerate(blocks):
        encoders.append(Block(channels, width * 2**level, block, norm))
        channels = width * 2**level
    return UNet(encoders, decoders, nn.Conv2d(width, shapes.output[0], 1))


space = SearchSpace("unet", define, Shapes(input=(1, 24, 24), output=(3, 24, 24)))


def pixel_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean over all pixels; the ground has most of them, and weighs less.

    Args:
        outputs: (batch, classes, height, width).
        targets: (batch, height, width), class numbers.
    """
    weight = outputs.new_ones(outputs.shape[1])
    weight[0] = 0.3
    return functional.cross_entropy(outputs, targets, weight)


def mean_iou(outputs: Tensor, targets: Tensor) -> float:
    """The mean over the classes of intersection / union, 0..1, of a whole split."""
    predicted = outputs.argmax(1)
    shares = []
    for number in range(outputs.shape[1]):
        first, second = predicted == number, targets == number
        if union := int((first | second).sum()):
            shares.append(int((first & second).sum()) / union)
    return sum(shares) / len(shares)


def drawings(*, count: int = 160, side: int = 24, noise: float = 0.4, seed: int = 0) -> Task:
    """A disc and a square on noisy ground; the target is the class of each pixel.

    Both are equally bright, so that only the form tells them apart.
    """
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    targets = torch.zeros(count, side, side, dtype=torch.int64)
    for target in targets:
        for number in (1, 2):
            radius = int(torch.randint(3, 6, (), generator=generator))
            top, left = torch.randint(radius, side - radius, (2,), generator=generator).tolist()
            down, right = (rows - top).abs(), (columns - left).abs()
            inside = down**2 + right**2 <= radius**2 if number == 1 else down.max(right) < radius
            target[inside] = number
    bright = (targets > 0).float().unsqueeze(1)
    inputs = bright + noise * torch.randn(bright.shape, generator=generator)
    ends = (0, count // 2, count * 3 // 4, count)
    train, validation, test = (
        Split(inputs[first:last], targets[first:last]) for first, last in pairwise(ends)
    )
    return Task(
        "drawings",
        train,
        validation,
        test,
        Shapes((1, side, side), (3, side, side)),
        loss=pixel_cross_entropy,
        metric=mean_iou,
    )


CONFIG = {
    "space": f"{__file__}:space",
    "task": f"{__file__}:drawings",
    "strategy": {"name": "surrogate", "initial": 4, "candidates": 40},
    "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.01},
    "budget": 8,
    "batch": 2,
    "baseline": "none",
    "finalists": {"count": 1, "seeds": 1, "epochs": 8},
    "executor": "inline",
}


def main(directory: Path) -> None:
    history = start(parse_config(CONFIG, "this script"), directory, lambda history, events: None)
    number = winner(history, "search")
    assert number is not None, "no finalist could be trained"
    best = history.trial(number)
    print(f"the best of {len(history.observed)}: {best.architecture}, IoU {best.score:.2f}")
    exported = export(
        directory, format="onnx", out=directory / "export", space=load_space(CONFIG["space"])
    )
    print(exported)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/unet"))
