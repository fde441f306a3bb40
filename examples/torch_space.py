"""A search space that is an ordinary PyTorch function: it calls `choose` instead of deciding.

    python examples/torch_space.py            # shows one architecture and its plain module
    nas space check examples/torch_space.py:space --input 1,8,8 --classes 10
    nas search configs/smoke.yaml -s space=examples/torch_space.py:space

The module is run once, without numbers, to record its operations. So `forward` may loop, and branch
on settings and shapes, but not on the numbers in a tensor.
"""

from random import Random

from torch import Tensor, nn

from spaces import Chooser, SearchSpace, Shapes
from spaces.build import source
from spaces.check import check, report_text
from spaces.operators import sample

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


class Residual(nn.Module):
    """x + dropout(norm(conv(act(norm(conv(x)))))): your own modules can be used."""

    def __init__(
        self, width: int, kernel_size: int, activation: type[nn.Module], dropout: float
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(width),
            activation(),
            nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """`shapes.input` is (channels, height, width) here, `shapes.output` is (classes,)."""
    activation = ACTIVATIONS[choose.one_of("activation", ("relu", "gelu", "silu"))]
    dropout = choose.real("dropout", 0.0, 0.2)
    width = choose.integer("width", 2, 4) * 8
    layers: list[nn.Module] = [
        nn.Conv2d(shapes.input[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        activation(),
    ]
    for stage in range(choose.integer("stages", 1, 2)):
        # Questions inside are named stage0/blocks, stage1/blocks, ...
        with choose.scope(f"stage{stage}"):
            if stage:
                layers += [nn.Conv2d(width, 2 * width, 2, stride=2), nn.BatchNorm2d(2 * width)]
                width = 2 * width
            for block in range(choose.integer("blocks", 1, 3)):
                kernel_size = choose.one_of(f"kernel{block}", (3, 5))
                layers.append(Residual(width, kernel_size, activation, dropout))
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, shapes.output[0])
    )


space = SearchSpace("torch_example", define)

if __name__ == "__main__":
    small = space.for_shapes(Shapes(input=(1, 8, 8), output=(10,)))
    architecture = sample(small, Random(0))
    print(architecture, "\n")
    # What an export writes: it needs torch and nothing else.
    print(source(small.graph(architecture)))
    print(report_text(check(small, count=5, size_seconds=1.0)))
