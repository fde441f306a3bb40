"""Families of sequence classifiers: LSTM, GRU, and a TCN of dilated causal convolutions.

    python examples/sequence_classifiers.py [DIRECTORY]    # a search, and its export
    nas space check examples/sequence_classifiers.py:space --input 32,2 --classes 4
    nas search configs/smoke.yaml -s space=examples/sequence_classifiers.py:space \\
        -s task=examples/sequence_classifiers.py:pulses

The modules are written as usual: recurrent layers, weight norm, causal padding. The module that
`define` returns is the one that is trained and exported.
"""

import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from nas.config.loading import parse_config
from nas.export import export
from nas.search.finalists import winner
from nas.search.run import start
from nas.tasks.task import Split, Task
from spaces import Chooser, SearchSpace, Shapes
from spaces.load import load_space

RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU}


class CausalBlock(nn.Module):
    """relu(x + body(x)) with two causal convolutions (Bai et al., arXiv:1803.01271)."""

    def __init__(
        self, before: int, width: int, kernel_size: int, *, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        # Zeros before the sequence only: no position sees what comes after it.
        self.padding = (kernel_size - 1) * dilation
        self.first = weight_norm(nn.Conv1d(before, width, kernel_size, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(width, width, kernel_size, dilation=dilation))
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if before == width else nn.Conv1d(before, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.first(functional.pad(x, (self.padding, 0))).relu())
        hidden = self.dropout(self.second(functional.pad(hidden, (self.padding, 0))).relu())
        return (self.shortcut(x) + hidden).relu()


class Attention(nn.Module):
    """The mean over the sequence with learned weights: (batch, length, width) to (batch, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.score(x).softmax(1)).sum(1)


class Classifier(nn.Module):
    """A body that reads the sequence, a pool over its positions, and a linear head.

    The body is a recurrent layer that takes (batch, length, channels), or convolutions that take
    (batch, channels, length).
    """

    def __init__(
        self, body: nn.Module, pool: str, width: int, classes: int, *, dropout: float
    ) -> None:
        super().__init__()
        self.body, self.pool = body, pool
        self.attention = Attention(width) if pool == "attention" else None
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pooled(self.read(x)))

    def read(self, x: Tensor) -> Tensor:
        if isinstance(self.body, nn.RNNBase):
            output, _ = self.body(x)
            return output
        return self.body(x.transpose(1, 2)).transpose(1, 2)

    def pooled(self, hidden: Tensor) -> Tensor:
        if self.attention is not None:
            return self.attention(hidden)
        if self.pool == "mean":
            return hidden.mean(1)
        if isinstance(self.body, nn.RNNBase) and self.body.bidirectional:
            # The backward direction ends at the first position.
            forward, backward = hidden.chunk(2, 2)
            return torch.cat([forward[:, -1], backward[:, 0]], 1)
        return hidden[:, -1]


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """`shapes.input` is (length, channels) here, `shapes.output` is (classes,)."""
    _, channels = shapes.input
    kind = choose.one_of("kind", ("lstm", "gru", "tcn"))
    width = choose.one_of("width", (8, 16, 32))
    dropout = choose.one_of("dropout", (0.0, 0.1, 0.3))
    pool = choose.one_of("pool", ("last", "mean", "attention"))
    if kind == "tcn":
        body = convolutions(choose, channels, width, dropout)
        return Classifier(body, pool, width, shapes.output[0], dropout=dropout)
    depth = choose.integer("depth", 1, 2)
    bidirectional = choose.one_of("bidirectional", (False, True))
    body = RECURRENT[kind](
        channels,
        width,
        depth,
        batch_first=True,
        bidirectional=bidirectional,
        # It acts between the layers; torch warns where there is one layer.
        dropout=dropout if depth > 1 else 0.0,
    )
    width = 2 * width if bidirectional else width
    return Classifier(body, pool, width, shapes.output[0], dropout=dropout)


def convolutions(choose: Chooser, channels: int, width: int, dropout: float) -> nn.Module:
    kernel_size = choose.one_of("kernel_size", (2, 3, 5))
    count = choose.integer("blocks", 1, 4)
    # A question that would change nothing is not asked.
    growth = choose.one_of("dilation_growth", (1, 2, 3)) if count > 1 else 1
    blocks = [
        CausalBlock(
            width if number else channels,
            width,
            kernel_size,
            dilation=growth**number,
            dropout=dropout,
        )
        for number in range(count)
    ]
    return nn.Sequential(*blocks)


space = SearchSpace("sequence_classifiers", define, Shapes(input=(32, 2), output=(4,)))


def pulses(*, count: int = 600, length: int = 32, noise: float = 0.3, seed: int = 0) -> Task:
    """Noisy sequences of two channels with two pulses; the class is their channels, in order.

    A network has to remember the first pulse until the second.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = noise * torch.randn(count, length, 2, generator=generator)
    channels = torch.randint(2, (count, 2), generator=generator)
    half = length // 2
    for order in range(2):
        places = torch.randint(half - 2, (count,), generator=generator) + order * half
        for step in range(2):
            inputs[torch.arange(count), places + step, channels[:, order]] += 1.5
    labels = 2 * channels[:, 0] + channels[:, 1]
    ends = (0, count * 3 // 5, count * 4 // 5, count)
    train, validation, test = (
        Split(inputs[first:last], labels[first:last]) for first, last in pairwise(ends)
    )
    return Task("pulses", train, validation, test, Shapes((length, 2), (4,)))


CONFIG = {
    "space": f"{__file__}:space",
    "task": f"{__file__}:pulses",
    "strategy": {"name": "surrogate", "initial": 4, "candidates": 40},
    "training": {"epochs": 4, "batch_size": 32, "learning_rate": 0.01},
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
    print(f"the best of {len(history.observed)}: {best.architecture}, {best.score:.2f}")
    exported = export(
        directory, format="pt2", out=directory / "export", space=load_space(CONFIG["space"])
    )
    print(exported)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/sequence_classifiers"))
