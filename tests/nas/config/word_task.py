"""A task of tokens, for the tests of configurations."""

from __future__ import annotations

import torch

from nas.tasks.task import Split, Task
from spaces import Shapes


def words(seed: int = 0) -> Task:
    """Eight sentences of six tokens, in two classes."""
    tokens = torch.randint(5, (8, 6), generator=torch.Generator().manual_seed(seed))
    split = Split(tokens, tokens[:, 0] % 2)
    return Task("words", split, split, split, Shapes((6,), (2,), vocabulary=5))
