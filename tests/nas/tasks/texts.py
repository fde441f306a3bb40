"""Texts, tasks and networks of tokens for the tests of tasks on text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.tasks.task import Split, Task
from nas.tasks.token_scores import IGNORED
from nas.tasks.tokens import PADDING
from spaces import SearchSpace, Shapes

Tokenizer = pytest.importorskip("tokenizers").Tokenizer
CPU = torch.device("cpu")
WORDS = ("the plot is slow", "a long film", "the music and the film", "slow and long")
POEM = (
    "".join(
        f"the {animal} sat on the {place}\nand the {place} was glad\n\n"
        for animal in ("cat", "dog", "owl")
        for place in ("mat", "rug", "log")
    )
    * 6
)


def save_texts(
    path: Path, count: int = 40, labels: tuple[str, ...] = ("praise", "blame"), extra: str = ""
) -> str:
    lines = [
        f"{WORDS[number % 4]} {'good' if number % 2 else 'bad'} "
        f"{number % 7}\t{labels[number % len(labels)]}\n"
        for number in range(count)
    ]
    path.write_text("".join(lines) + extra, encoding="utf-8")
    return str(path)


def save_poem(path: Path, text: str = POEM) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def token_task(metric="negative_nats_per_token", **changes) -> Task:
    tokens = torch.randint(3, 9, (30, 6), generator=torch.Generator().manual_seed(0))
    # The number of targets that count differs between the samples.
    counts = torch.arange(6) < torch.arange(30)[:, None] % 6 + 1
    split = Split(tokens, torch.where(counts, (tokens + 1) % 9, IGNORED))
    shapes = Shapes((6,), (6, 9), vocabulary=9)
    return Task("tokens", split, split, split, shapes, "token_cross_entropy", metric, **changes)


class Mixing(nn.Module):
    """Mixes each token's features with those around it. `gate` is the initial residual gate."""

    def __init__(self, mix: str, vocabulary: int = 9, width: int = 8, gate: float = 1.0) -> None:
        super().__init__()
        self.mix = mix
        self.embedding = nn.Embedding(vocabulary, width)
        self.head = nn.Linear(width, vocabulary)
        self.convolution = nn.Conv1d(width, width, 3)
        self.gate = nn.Parameter(torch.tensor(gate))

    def forward(self, tokens):
        x = self.embedding(tokens)
        if self.mix in ("attention", "causal attention"):
            causal = self.mix == "causal attention"
            mixed = functional.scaled_dot_product_attention(x, x, x, is_causal=causal)
        elif self.mix == "blocks":
            means = x.unflatten(1, (-1, 2)).mean(2, keepdim=True)
            mixed = means.expand(-1, -1, 2, -1).flatten(1, 2)
        elif self.mix == "next":
            mixed = functional.pad(x[:, 1:], (0, 0, 0, 1))
        else:
            sides = (2, 0) if self.mix == "left convolution" else (1, 1)
            mixed = self.convolution(functional.pad(x.transpose(1, 2), sides)).transpose(1, 2)
        return self.head(x + self.gate * mixed)


def classifier(choose, shapes):
    embedding = nn.Embedding(shapes.vocabulary, choose.one_of("width", (8, 24)))
    return Bag(embedding, nn.Linear(embedding.embedding_dim, shapes.output[0]))


class Bag(nn.Module):
    """A linear classifier of the mean embedding of all tokens but the padding."""

    def __init__(self, embedding: nn.Embedding, head: nn.Linear) -> None:
        super().__init__()
        self.embedding, self.head = embedding, head

    def forward(self, tokens):
        words = torch.ne(tokens, PADDING).unsqueeze(2)
        return self.head((self.embedding(tokens) * words).sum(1) / words.sum(1))


def neighbours(choose, shapes):
    """A convolution over the tokens before each position, or over those on both sides."""
    width = choose.one_of("width", (16, 32))
    return Neighbours(
        nn.Embedding(shapes.vocabulary, width),
        nn.Linear(width, shapes.output[1]),
        causal=choose.one_of("causal", (False, True)),
    )


class Neighbours(nn.Module):
    def __init__(self, embedding: nn.Embedding, head: nn.Linear, causal: bool) -> None:
        super().__init__()
        width = embedding.embedding_dim
        self.embedding, self.head, self.sides = embedding, head, (4, 0) if causal else (2, 2)
        self.mixing = nn.Conv1d(width, width, 5)

    def forward(self, tokens):
        x = functional.pad(self.embedding(tokens).transpose(1, 2), self.sides)
        return self.head(functional.gelu(self.mixing(x)).transpose(1, 2))


CLASSIFIERS = SearchSpace("bags", classifier, Shapes((8,), (2,), vocabulary=50))
NEIGHBOURS = SearchSpace("neighbours", neighbours, Shapes((8,), (8, 9)))
