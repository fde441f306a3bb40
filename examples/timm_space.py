"""A space of timm's models: the family is chosen, then the arguments of its constructor.

    pip install 'surrogate-nas[timm]'
    python examples/timm_space.py [DIRECTORY]        # a search on digits, and its export
    nas space check examples/timm_space.py:space --input 3,32,32 --classes 10
    nas search configs/cifar10.yaml -s space=examples/timm_space.py:space

`timm.create_model` returns an ordinary module, so this program is a search space as it stands.
Nothing is downloaded. `timm.list_models()` shows what else there is to choose from.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from nas.config.loading import parse_config
from nas.export import export
from nas.search.finalists import winner
from nas.search.run import start
from spaces import Chooser, SearchSpace, Shapes
from spaces.load import load_space


def imported_timm() -> ModuleType:
    """The package timm, even if the compiled operators of torchvision cannot be loaded.

    timm imports torchvision. That package names the shapes of its own operators, such as `nms`,
    while it is imported. Where torch is built for the CPU alone and torchvision is not, these
    operators do not exist, and the import ends with "operator torchvision::nms does not exist".
    None of timm's models needs them, so this leaves out the shapes of those that do not exist.
    """
    register = torch.library.register_fake

    def register_existing(name: str, *arguments: Any, **options: Any) -> Any:
        def decorate(function: Any) -> Any:
            try:
                return register(name, *arguments, **options)(function)
            except RuntimeError as error:
                if "does not exist" not in str(error):
                    raise
                return function

        return decorate

    torch.library.register_fake = register_existing
    try:
        import timm
    finally:
        torch.library.register_fake = register
    return timm


create_model = imported_timm().create_model


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    """`shapes.input` is (channels, height, width) here, `shapes.output` is (classes,)."""
    family = choose.one_of("family", tuple(FAMILIES))
    options = {
        "act_layer": choose.one_of("activation", ("relu", "gelu", "silu")),
        "drop_path_rate": choose.one_of("drop_path", (0.0, 0.1, 0.2)),
        "in_chans": shapes.input[0],
        "num_classes": shapes.output[0],
    }
    with choose.scope(family):
        name, structure = FAMILIES[family](choose, shapes.input[1:])
    return create_model(name, pretrained=False, **options, **structure)


# Each family: the name of a model, and the arguments that replace those of that model. Images are
# assumed to be small, with sides that can be divided by 8.
Family = tuple[str, dict[str, Any]]


def resnet(choose: Chooser, sides: tuple[int, ...]) -> Family:
    width = choose.one_of("width", (32, 64))
    return choose.one_of("block", ("resnet18", "resnet26")), {  # basic blocks, bottlenecks
        "layers": [choose.integer(f"blocks{stage}", 1, 2) for stage in range(4)],
        "channels": [width * 2**stage for stage in range(4)],
        "norm_layer": choose.one_of("norm", ("batchnorm2d", "groupnorm")),
        "output_stride": choose.one_of("output_stride", (8, 32)),
    }


def convnext(choose: Chooser, sides: tuple[int, ...]) -> Family:
    width = choose.one_of("width", (16, 24, 32))
    return "convnext_atto", {
        "depths": [choose.integer(f"blocks{stage}", 1, 3) for stage in range(4)],
        "dims": [width * 2**stage for stage in range(4)],
        "kernel_sizes": choose.one_of("kernel_size", (3, 5, 7)),
        # The stem leaves a map of 8 x 8, which the four stages make 1 x 1.
        "patch_size": min(sides) // 8,
        "use_grn": choose.one_of("response_norm", (False, True)),
    }


def vit(choose: Chooser, sides: tuple[int, ...]) -> Family:
    heads = choose.one_of("heads", (2, 4))
    return "vit_tiny_patch16_224", {
        "img_size": sides,
        "patch_size": min(sides) // choose.one_of("patches", (4, 8)),
        "embed_dim": heads * choose.one_of("head_width", (16, 32)),
        "depth": choose.integer("depth", 2, 6),
        "num_heads": heads,
        "mlp_ratio": choose.one_of("mlp_ratio", (2, 4)),
        "norm_layer": choose.one_of("norm", ("layernorm", "rmsnorm")),
    }


def mobilenet(choose: Chooser, sides: tuple[int, ...]) -> Family:
    return choose.one_of("model", ("mobilenetv3_small_050", "mobilenetv3_small_100")), {}


def efficientnet(choose: Chooser, sides: tuple[int, ...]) -> Family:
    models = ("mobilenetv2_035", "mnasnet_small", "efficientnet_lite0")
    return choose.one_of("model", models), {}


FAMILIES = {make.__name__: make for make in (resnet, convnext, vit, mobilenet, efficientnet)}

space = SearchSpace("timm_small", define)

# One epoch shows that everything runs. It favours ResNets: the mobile families halve a map of 8 x 8
# five times, and need several epochs.
CONFIG = {
    "space": f"{__file__}:space",
    "task": "digits",
    "strategy": {"name": "surrogate", "initial": 4, "candidates": 16},
    "training": {"epochs": 1, "batch_size": 64, "learning_rate": 0.004},
    "budget": 6,
    "batch": 2,
    "baseline": "none",
    "finalists": {"count": 1, "seeds": 1, "epochs": 2},
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
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/timm_space"))
