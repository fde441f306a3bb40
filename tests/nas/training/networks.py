"""Small networks and tasks for the tests of training."""

from __future__ import annotations

import torch
from torch import nn

from nas.tasks.task import Split, Task
from spaces import Shapes

CPU = torch.device("cpu")


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def small_network(channels=1, dropout=0.0):
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def linear_task(count=33, loss="mse"):
    """Targets that are an exact linear function of the inputs, or classes by the sign of one."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    if loss == "mse":
        split = Split(inputs, targets)
        return Task(
            "linear", split, split, split, Shapes((3,), (1,)), loss="mse", metric="negative_mse"
        )
    split = Split(inputs, (targets[:, 0] > 0).long())
    return Task("linear", split, split, split, Shapes((3,), (2,)))
