"""Networks with two inputs and an auxiliary head: an image and a row of numbers, one label.

    python examples/two_inputs.py DIRECTORY       # searches in DIRECTORY/run and exports the best
    nas search configs/smoke.yaml -s space=examples/two_inputs.py:space \\
        -s task=examples/two_inputs.py:bars_and_numbers

The task's inputs are tensors by name, so a network is called `module(image=..., table=...)`. In
training some networks return the outputs of an auxiliary head too, and the task's loss takes them.
"""

import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.config.loading import parse_config
from nas.evaluators.evaluator import FinalResult
from nas.export import export
from nas.search.run import start
from nas.tasks.task import Split, Task
from spaces import Chooser, SearchSpace, Shapes


def bars_and_numbers(*, count: int = 600, noise: float = 0.3, seed: int = 0) -> Task:
    """Images (1, 8, 8) with a horizontal or a vertical bar, and rows of five numbers.

    The class is 1 if the bar is vertical and the first number positive, or neither. So a network
    needs both inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    vertical = torch.randint(2, (count,), generator=generator)
    table = torch.randn(count, 5, generator=generator)
    image = noise * torch.rand(count, 1, 8, 8, generator=generator)
    for number, place in enumerate(torch.randint(8, (count,), generator=generator).tolist()):
        image[number, 0].select(int(vertical[number]), place).fill_(0.9)
    labels = (vertical == (table[:, 0] > 0)).long()
    pixels = (255 * image).byte()
    ends = [0, round(0.6 * count), round(0.8 * count), count]
    training, validation, test = (
        Split({"image": pixels[first:end], "table": table[first:end]}, labels[first:end])
        for first, end in pairwise(ends)
    )
    return Task(
        "bars_and_numbers",
        training,
        validation,
        test,
        Shapes(input={"image": (1, 8, 8), "table": (5,)}, output=(2,)),
        loss=with_auxiliary_head,
        metric="accuracy",  # In evaluation every network returns one tensor.
        normalize={"image": ((0.25,), (0.3,)), "table": None},
    )


def with_auxiliary_head(outputs: Tensor | dict[str, Tensor], targets: Tensor) -> Tensor:
    """The cross-entropy, with that of the auxiliary head where the network returns one."""
    if isinstance(outputs, Tensor):
        return functional.cross_entropy(outputs, targets)
    main, auxiliary = (functional.cross_entropy(outputs[name], targets) for name in outputs)
    return main + 0.3 * auxiliary


class TwoInputs(nn.Module):
    """Each input has a branch of its own; the last layers see both."""

    def __init__(self, image: nn.Module, table: nn.Module, last: nn.Module, fusion: str) -> None:
        super().__init__()
        self.image, self.table, self.last, self.fusion = image, table, last, fusion
        self.auxiliary: nn.Module | None = None

    def forward(self, image: Tensor, table: Tensor) -> Tensor | dict[str, Tensor]:
        seen, read = self.image(image), self.table(table)
        both = seen * read.tanh() if self.fusion == "gate" else torch.cat([seen, read], 1)
        outputs = self.last(both)
        if self.auxiliary is None or not self.training:
            return outputs
        return {"main": outputs, "auxiliary": self.auxiliary(both)}


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """The branches, how they are put together, and whether there is an auxiliary head."""
    channels, height, breadth = shapes.input["image"]
    (numbers,), (classes,) = shapes.input["table"], shapes.output
    width = choose.one_of("width", [8, 16, 32])
    if choose.one_of("image", ["convolution", "dense"]) == "convolution":
        image = nn.Sequential(
            nn.Conv2d(channels, width, choose.one_of("kernel", [3, 5]), padding="same"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(width * (height // 2) * (breadth // 2), width),
        )
    else:
        image = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * breadth, width))
    table = nn.Sequential(nn.Linear(numbers, width), nn.ReLU(), nn.Linear(width, width))
    fusion = choose.one_of("fusion", ["concatenate", "gate"])
    together = width if fusion == "gate" else 2 * width
    last = nn.Sequential(nn.Linear(together, 32), nn.ReLU(), nn.Linear(32, classes))
    network = TwoInputs(image, table, last, fusion)
    if choose.one_of("auxiliary head", [False, True]):
        network.auxiliary = nn.Linear(together, classes)
    return network


space = SearchSpace("two_inputs", define, Shapes({"image": (1, 8, 8), "table": (5,)}, (2,)))


if __name__ == "__main__":
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "two_inputs")
    config = parse_config(
        {
            "space": f"{__file__}:space",
            "task": f"{__file__}:bars_and_numbers",
            "training": {
                "epochs": 8,
                "batch_size": 32,
                "optimizer": "adamw",
                "learning_rate": 0.01,
            },
            "strategy": "random",
            "budget": 6,
            "finalists": {"count": 1, "seeds": 1, "epochs": 15},
            "executor": "inline",
        },
        "two_inputs.py",
    )
    history = start(config, directory / "run", lambda history, events: None)
    print(f"{len(history.observed)} evaluated")
    for final in history.finals:
        if isinstance(final.result, FinalResult):  # it might have failed
            print(f"{history.trial(final.trial).architecture}")
            print(f"test accuracy {final.result.test:.2f} after a full training")
    for form in ("pt2", "onnx"):
        print(export(directory / "run", format=form, out=directory / form, space=space))
