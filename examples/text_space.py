"""A search space of text classifiers: an embedding, layers that mix the tokens, and a pool.

    python examples/text_space.py    # writes texts, and trains one random network on them
    nas search configs/smoke.yaml -s space=examples/text_space.py:space \\
        -s 'task={name: text, path: my_texts.tsv}'

The task `text` turns a text into a row of `shapes.input` tokens, of which there are
`shapes.vocabulary` different ones. Token 0 is padding; a network has to mask it itself.
"""

import tempfile
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.tasks import load_task
from nas.training.loop import train
from nas.training.recipe import Recipe
from spaces import Chooser, SearchSpace, Shapes
from spaces.check import check, report_text
from spaces.operators import sample


class Convolution(nn.Module):
    """Each token is mixed with its neighbours."""

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        return functional.relu(self.convolution((x * words).transpose(1, 2))).transpose(1, 2)


class Attention(nn.Module):
    """Each token is mixed with all others, but not with the padding."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.into(x).chunk(3, 2)
        )
        # (batch, 1, 1, length): the same mask for every head and every token
        mask = words.transpose(1, 2).unsqueeze(1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Classifier(nn.Module):
    """x + norm(layer(x)) for each layer, then the mean or the maximum over the tokens."""

    def __init__(
        self, embedding: nn.Embedding, layers: list[nn.Module], pool: str, classes: int
    ) -> None:
        super().__init__()
        self.embedding, self.layers, self.pool = embedding, nn.ModuleList(layers), pool
        self.norms = nn.ModuleList(nn.LayerNorm(embedding.embedding_dim) for _ in layers)
        self.head = nn.Linear(embedding.embedding_dim, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        words = torch.ne(tokens, 0).unsqueeze(2)  # (batch, length, 1): False at the padding
        x = self.embedding(tokens)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = x + norm(layer(x, words))
        if self.pool == "mean":
            return self.head((x * words).sum(1) / words.sum(1))
        return self.head(torch.where(words, x, -100.0).amax(1))


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """`shapes.input` is (length,) here, `shapes.output` is (classes,)."""
    if shapes.vocabulary is None:
        raise ValueError("the text space is for tasks whose inputs are tokens, such as `text`")
    width = choose.one_of("width", (16, 32, 64))
    layers: list[nn.Module] = []
    for number in range(choose.integer("layers", 0, 2)):
        with choose.scope(f"layer{number}"):
            if choose.one_of("kind", ("convolution", "attention")) == "attention":
                layers.append(Attention(width, choose.one_of("heads", (1, 2, 4))))
            else:
                layers.append(Convolution(width, choose.one_of("kernel_size", (3, 5))))
    return Classifier(
        nn.Embedding(shapes.vocabulary, width),
        layers,
        choose.one_of("pool", ("mean", "max")),
        shapes.output[0],
    )


space = SearchSpace("text_example", define, Shapes((32,), (2,), vocabulary=1000))


WORDS = ["the", "plot", "is", "slow", "and", "music", "long", "a", "film"]


def write_texts(path: Path, count: int = 400) -> None:
    """Writes texts that stand for your data.

    Each line has a text and its label, with a tab between them. A film that is `not good` gets
    the label `blame`.
    """
    random = Random(0)
    lines = []
    for number in range(count):
        label = ("praise", "blame")[number % 2]
        words = random.choices(WORDS, k=random.randint(3, 10))
        words.insert(random.randrange(len(words)), "good" if label == "praise" else "not good")
        lines.append(f"{' '.join(words)}\t{label}\n")
    path.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    print(report_text(check(space, count=5, size_seconds=1.0)))
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder, "reviews.tsv"))
        task = load_task(
            "text",
            path=str(Path(folder, "reviews.tsv")),
            length=16,
            vocabulary=100,
            validation_share=0.2,
        )
    own = space.for_shapes(task.shapes)
    architecture = sample(own, Random(3))
    torch.manual_seed(0)
    trained = train(
        own.build(architecture),
        task,
        Recipe(epochs=5, batch_size=32, learning_rate=0.01),
        seed=0,
        device=torch.device("cpu"),
    )
    print(
        f"{architecture}\nvalidation accuracy after each epoch: "
        f"{', '.join(f'{score:.2f}' for score in trained.curve)}"
    )
