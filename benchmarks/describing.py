"""Whether the networks of timm and torchvision are described, exactly, and trained as they are.

    python benchmarks/describing.py ../shared/data [--only timm|torchvision] [--names NAME ...]

The argument is the folder with `timm_results.csv.gz`. Of each family in that table the variant with
the fewest parameters is the one architecture of a space; so is each network of torchvision, without
weights. A row says whether it was described, whether the parameters are those of the module and the
multiply-adds those of torch's counter, how many nodes the description has, how long it took, and
whether a training step of `space.build` leaves the same state as one of the bare module, bit for
bit. Each network has a process of its own, whose caches are empty. Writes `results/describing.csv`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.record import record
from benchmarks.vision_libraries import vision_library
from spaces import Architecture, Chooser, SearchSpace, Shapes
from spaces.ops import costs
from spaces.trace import describe

ONLY = Architecture("one", ())
SEED = 0
# Sizes of images for the training step; the first that the module takes. The last is its own.
SIZES = (64, 96, 128)
CLASSIFIERS = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s"),
    *("googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small"),
    *("regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnext50_32x4d", "wide_resnet50_2"),
    *("shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn"),
    "vit_b_16",
)
SEGMENTATION = (
    *("deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "fcn_resnet50"),
    "lraspp_mobilenet_v3_large",
)
DETECTION = (
    *("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn", "fcos_resnet50_fpn"),
    *("keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn"),
    *("ssd300_vgg16", "ssdlite320_mobilenet_v3_large"),
)

Program = Callable[[], nn.Module]


def timm_networks(table: Path) -> Iterator[tuple[str, str, Program, tuple[int, ...]]]:
    """Of each family the smallest variant: family, name, program, and shape of the input."""
    timm = vision_library("timm")
    known = set(timm.list_models())
    smallest: dict[str, tuple[float, str]] = {}
    with gzip.open(table, "rt") as file:
        for row in csv.DictReader(file):
            found = (float(row["param_count"]), row["arch"])
            if row["arch"] in known and found < smallest.get(row["fam"], (float("inf"), "")):
                smallest[row["fam"]] = found
    for family, (_, name) in sorted(smallest.items()):
        shape = tuple(timm.get_pretrained_cfg(name).input_size)
        yield family, name, lambda name=name: timm.create_model(name, pretrained=False), shape


def torchvision_networks() -> Iterator[tuple[str, str, Program, tuple[int, ...]]]:
    """Classifiers, networks for segmentation, and the backbones of detectors."""
    models = vision_library("torchvision.models")

    def without_weights(name: str) -> nn.Module:
        options: dict[str, Any] = {"weights": None}
        if name in (*SEGMENTATION, *DETECTION):
            options["weights_backbone"] = None
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = True
        module = models.get_model(name, **options)
        return module.backbone if name in DETECTION else module

    for kind, names in (
        ("classification", CLASSIFIERS),
        ("segmentation", SEGMENTATION),
        ("detection backbone", DETECTION),
    ):
        for name in names:
            size = 299 if name == "inception_v3" else 300 if name == "ssd300_vgg16" else 224
            yield kind, name, lambda name=name: without_weights(name), (3, size, size)


def examined(program: Program, shape: tuple[int, ...]) -> dict[str, Any]:
    """What is measured on one network."""

    def define(choose: Chooser, shapes: Shapes) -> nn.Module:
        return program()

    space = SearchSpace("one", define, Shapes(shape, (1000,)))
    began = time.perf_counter()
    returned = space.returned(Chooser())
    made = time.perf_counter()
    assert isinstance(returned, nn.Module)
    try:
        graph = describe(returned, shape)
    except ValueError as error:
        return {"described": False, "error": str(error).replace("\n", " ")[:300]}
    seconds = time.perf_counter() - made
    counted = costs(graph, shape)
    with torch.device("meta"):
        bare = program() if not has_numbers(returned) else None
    parameters = sum(item.numel() for item in returned.parameters())
    multiply_adds = counted_by_torch(bare or program().to("meta"), shape)
    again = costs(space.graph(ONLY), shape)
    assert (again.parameters, again.multiply_adds) == (counted.parameters, counted.multiply_adds)
    return {
        "described": True,
        "error": "",
        "traced": not any(item.op.startswith("observed:") for item in graph.nodes),
        "nodes": len(graph.nodes),
        "seconds_to_make": round(made - began, 3),
        "seconds_to_describe": round(seconds, 3),
        "parameters": counted.parameters,
        "parameters_equal": counted.parameters == parameters,
        "multiply_adds": counted.multiply_adds,
        "multiply_adds_equal": counted.multiply_adds == multiply_adds,
        "step": step_compared(program, space, shape),
    }


def has_numbers(module: nn.Module) -> bool:
    """Whether the space had to make the module on the CPU."""
    return any(not item.is_meta for item in (*module.parameters(), *module.buffers()))


def counted_by_torch(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Multiply-adds of one sample in training, from batches of two and three.

    Some modules cannot be trained on one sample.
    """
    flops = []
    for samples in (2, 3):
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(samples, *shape, device="meta"))
        flops.append(counter.get_total_flops())
    return (2 * flops[0] - flops[1]) / 2


def step_compared(program: Program, space: SearchSpace, shape: tuple[int, ...]) -> str:
    """Whether a step of the bare module and of the built one leave the same state."""
    reason = ""
    for size in dict.fromkeys((*SIZES, shape[-1])):
        images = torch.rand(
            (2, shape[0], size, size), generator=torch.Generator().manual_seed(SEED)
        )
        try:
            expected = stepped(program, images)
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        got = stepped(lambda: space.build(ONLY), images)
        same = expected.keys() == got.keys() and all(
            torch.equal(expected[name].nan_to_num(), got[name].nan_to_num()) for name in expected
        )
        return f"{'equal' if same else 'different'} at {size}"
    return f"the bare module cannot be trained: {reason}"[:200]


def stepped(make: Program, images: Tensor) -> dict[str, Tensor]:
    """The module's state and the loss after one step of gradient descent."""
    torch.manual_seed(SEED)
    module = make().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    loss = torch.stack([item.square().mean() for item in tensors(module(images))]).sum()
    loss.backward()
    optimizer.step()
    gradients = {
        f"gradient of {name}": item.grad
        for name, item in module.named_parameters()
        if item.grad is not None
    }
    return {**module.state_dict(), **gradients, "loss": loss.detach()}


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors that a module returned."""
    if isinstance(value, Tensor):
        yield value
    elif value is not None:
        for item in value.values() if hasattr(value, "values") else value:
            yield from tensors(item)


def in_own_process(program: Program, shape: tuple[int, ...]) -> dict[str, Any]:
    """`examined`, in a process of its own; its death is a result."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)

    def work() -> None:
        try:
            sending.send(examined(program, shape))
        except Exception as error:
            text = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
            sending.send({"described": False, "error": text})

    process = context.Process(target=work)
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        return {"described": False, "error": "the process died"}
    finally:
        process.join()


def told(rows: list[dict[str, Any]]) -> str:
    """The figures of some rows, as a sentence."""
    done = [row for row in rows if row["described"]]
    counts = [
        f"{sum(bool(row[name]) for row in done)} with {text}"
        for name, text in (
            ("parameters_equal", "equal parameters"),
            ("multiply_adds_equal", "equal multiply-adds"),
        )
    ]
    steps = [row["step"].split(" ")[0] for row in done]
    nodes = statistics.median(row["nodes"] for row in done)
    seconds = statistics.median(row["seconds_to_describe"] for row in done)
    return (
        f"{len(done)} of {len(rows)} described, {', '.join(counts)}; a step equal for "
        f"{steps.count('equal')}, different for {steps.count('different')}, not possible for "
        f"{len(steps) - steps.count('equal') - steps.count('different')}; nodes {nodes:g} "
        f"(at most {max(row['nodes'] for row in done)}), seconds to describe {seconds:.2f} "
        f"(at most {max(row['seconds_to_describe'] for row in done):.2f}) in the median"
    )


COLUMNS = (
    *("library", "family", "name", "input", "described", "error", "traced", "nodes"),
    *("seconds_to_make", "seconds_to_describe", "parameters", "parameters_equal"),
    *("multiply_adds", "multiply_adds_equal", "step", "seed"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=("timm", "torchvision"))
    parser.add_argument("--names", nargs="*", help="only these networks; nothing is written")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    networks: list[tuple[str, str, str, Program, tuple[int, ...]]] = []
    if options.only != "torchvision":
        table = options.data / "timm_results.csv.gz"
        networks += [("timm", *each) for each in timm_networks(table)]
    if options.only != "timm":
        networks += [("torchvision", *each) for each in torchvision_networks()]
    # What torch imports at the first run is no part of a network's time.
    describe(nn.Sequential(nn.LSTM(3, 4), nn.Identity()).to("meta"), (5, 3))
    rows: list[dict[str, Any]] = []
    for library, family, name, program, shape in networks:
        if options.names and name not in options.names:
            continue
        found = in_own_process(program, shape)
        about = {"library": library, "family": family, "name": name, "input": shape, "seed": SEED}
        rows.append({column: {**about, **found}.get(column, "") for column in COLUMNS})
        print(*(rows[-1][column] for column in COLUMNS[1:-1]), flush=True)
    for library in dict.fromkeys(row["library"] for row in rows):
        print(library + ":", told([row for row in rows if row["library"] == library]))
    if not options.names:
        print("written:", record("describing", rows))


if __name__ == "__main__":
    main()
