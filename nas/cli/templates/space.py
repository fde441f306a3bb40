"""Your search space: an ordinary PyTorch function that calls `choose` instead of deciding.

Check it after each change:    nas space check space.py:space --input 1,8,8 --classes 10

    choose.one_of("name", ("a", "b"))       one of the options
    choose.integer("name", 1, 4)            a whole number, both ends included
    choose.real("name", 1e-3, 1.0, log=True)
    choose.subset("name", options), choose.permutation("name", options)
    with choose.scope("block1"): ...        names inside begin with block1/; each may be asked once
    choose.reject("why")                    this combination is rejected, and another one is drawn

The module is run once, without numbers, to record its operations. So `forward` may branch on
settings and shapes, but not on numbers in tensors.
"""

from torch import Tensor, nn

from spaces import Chooser, SearchSpace, Shapes

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class Block(nn.Module):
    """Two convolutions, and with `skip` the input added to their output."""

    def __init__(
        self, width: int, kernel_size: int, activation: type[nn.Module], *, skip: bool
    ) -> None:
        super().__init__()
        self.skip = skip
        self.body = nn.Sequential(
            nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(width),
            activation(),
            nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(width),
        )
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) to the same shape."""
        return self.activation(x + self.body(x) if self.skip else self.body(x))


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """The network.

    `shapes` comes from the task: here the input is (channels, height, width) and the output
    (classes,).
    """
    activation = ACTIVATIONS[choose.one_of("activation", tuple(ACTIVATIONS))]
    width = choose.one_of("width", (4, 8, 16))
    layers: list[nn.Module] = [
        nn.Conv2d(shapes.input[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        activation(),
    ]
    for stage in (1, 2):
        with choose.scope(f"stage{stage}"):
            if stage == 2:
                layers += [
                    nn.Conv2d(width, 2 * width, 2, stride=2, bias=False),
                    nn.BatchNorm2d(2 * width),
                ]
                width *= 2
            for block in range(choose.integer("blocks", 1, 3)):
                with choose.scope(f"block{block}"):
                    kernel_size = choose.one_of("kernel", (3, 5))
                    skip = choose.one_of("skip", (True, False))
                    layers.append(Block(width, kernel_size, activation, skip=skip))
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(width, shapes.output[0]),
    )


# The name is stored in every architecture: change it when the questions change.
space = SearchSpace("my_space", define)
