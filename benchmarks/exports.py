"""Whether exports of families of networks compute what the trained network does, elsewhere.

    python benchmarks/exports.py --families resnet10t lstm

For each family a run with one network of it is written, whose weights and running statistics are
not the initial ones, and the network is exported as `module`, `pt2` and `onnx`. Each export is
loaded in a fresh process in which this project cannot be imported, and gets batches of 1, 3 and 8
samples of noise. The difference is the largest between its outputs and those of the network, over
the largest output if that is above 1. The bar is 1e-5.

A module is `generated`, if a file was proved equal to it, or `sources`, if the user's files travel.
The families of timm need `timm` (no weights are downloaded), the format onnx the extra `onnx`.

Writes `results/exports.csv`, a row for each family, format and batch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

# This folder comes first on the path, where `predictors.py` would hide the package `predictors`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.record import record
from nas.config.loading import parse_config
from nas.evaluators.evaluator import Observation
from nas.evaluators.weights import OWN, TRAINED, save_weights
from nas.export import ExportError, export
from nas.record.environment import environment
from nas.record.events import finished_event, outcome_event, round_event
from nas.record.files import weights_file
from nas.record.journal import create
from nas.record.shapes import shapes_to_json
from nas.record.trials import Trial
from nas.seeds import derive
from nas.training.devices import own_randomness
from spaces import Architecture, SearchSpace, Shapes
from spaces.canonical import canonical_key
from spaces.load import load_space

# The shape of an input of each family.
FAMILIES = {
    "resnet10t": (3, 64, 64),
    "mobilenetv3_small_050": (3, 64, 64),
    "vit_tiny_patch16_224": (3, 224, 224),
    "levit_128s": (3, 224, 224),
    "convnext_atto": (3, 64, 64),
    "edgenext_xx_small": (3, 64, 64),
    "lstm": (20, 6),
    "gru": (20, 6),
    "unet": (3, 32, 32),
    "transformer": (16, 24),
}
FORMATS = ("module", "pt2", "onnx")
BATCHES = (1, 3, 8)
BAR = 1e-5
METADATA = {"inputs": "float32", "normalize": "null", "metric": "accuracy", TRAINED: OWN}

PROGRAM = """
import torch
from torch import nn

from spaces import SearchSpace


class Recurrent(nn.Module):
    def __init__(self, layer, width):
        super().__init__()
        self.layer = layer(6, width, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x):
        return self.head(self.layer(x)[0].mean(1))


class Block(nn.Sequential):
    def __init__(self, channels, width):
        super().__init__(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class UNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = Block(3, width), Block(width, 2 * width)
        self.middle = Block(2 * width, 4 * width)
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.third, self.fourth = Block(4 * width, width), Block(2 * width, width)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        first = self.first(x)
        second = self.second(nn.functional.max_pool2d(first, 2))
        middle = self.middle(nn.functional.max_pool2d(second, 2))
        third = self.third(torch.cat([self.up(middle), second], 1))
        third = nn.functional.interpolate(third, size=first.shape[2:], mode="bilinear")
        return self.head(self.fourth(torch.cat([third, first], 1)))


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(24, width)
        self.place = nn.Parameter(torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.body(self.first(x) + self.place).mean(1))


def timm_model(name):
    # Some builds of torchvision, which timm imports, register functions of operators that they do
    # not have.
    register = torch.library.register_fake
    torch.library.register_fake = lambda *others, **more: lambda function: function
    try:
        import timm
    finally:
        torch.library.register_fake = register
    return timm.create_model(name, num_classes=10)


OWN = {
    "lstm": lambda width: Recurrent(nn.LSTM, width),
    "gru": lambda width: Recurrent(nn.GRU, width),
    "unet": UNet,
    "transformer": Encoder,
}


def define(choose):
    family = choose.one_of("family", FAMILIES)
    return OWN[family](choose.one_of("width", [16, 32])) if family in OWN else timm_model(family)


space = SearchSpace("families", define)
"""

ALONE = """
import json, sys

folder, format, cases = sys.argv[1:]
for name in ("nas", "spaces", "predictors"):
    sys.modules[name] = None
import torch

if format == "module":
    sys.path.insert(0, folder)
    import model

    network = model.load()
elif format == "pt2":
    network = torch.export.load(f"{folder}/model.pt2").module()
else:
    import onnxruntime

    session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
    network = lambda x: torch.from_numpy(session.run(None, {"inputs": x.numpy()})[0])
differences = []
with torch.no_grad():
    for inputs, expected in torch.load(cases, weights_only=True):
        scale = max(1.0, expected.abs().max().item())
        differences.append(((network(inputs) - expected).abs().max() / scale).item())
print(json.dumps(differences))
"""


def main() -> None:
    """Exports the families, prints and writes the differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="exports-") as scratch:
        folder = Path(scratch)
        (folder / "families.py").write_text(f"FAMILIES = {list(FAMILIES)!r}\n{PROGRAM}")
        space = load_space(f"{folder / 'families.py'}:space")
        for family in options.families:
            for row in measured(family, space, folder, options.formats):
                rows.append(row)
                print(" ".join(f"{value}" for value in row.values()), flush=True)
    print(f"{sum(row['equal'] for row in rows)} of {len(rows)} within {BAR:g}")
    print(record("exports", rows))


def measured(
    family: str, space: SearchSpace, folder: Path, formats: list[str]
) -> Iterator[dict[str, Any]]:
    """A row for each format and batch."""
    shapes = Shapes(FAMILIES[family], (2, 32, 32) if family == "unet" else (10,))
    space = space.for_shapes(shapes)
    decisions = {"family": family}
    if family in ("lstm", "gru", "unet", "transformer"):
        decisions["width"] = 16  # type: ignore[assignment]
    item = Architecture(space.name, tuple(decisions.items()))
    run = folder / f"{family}-run"
    network = written(run, space, item)
    generator = torch.Generator().manual_seed(derive(1000, "batches"))
    inputs = [torch.randn(batch, *shapes.input, generator=generator) for batch in BATCHES]
    with torch.no_grad():
        torch.save([(each, network(each)) for each in inputs], folder / "cases.pt")
    for name in formats:
        out, began = folder / f"{family}-{name}", time.perf_counter()
        told = {"family": family, "format": name}
        try:
            exported = export(run, format=name, out=out, space=space)  # type: ignore[arg-type]
            seconds = round(time.perf_counter() - began, 1)
            kind = name
            if name == "module":
                kind = "sources" if "source/families.py" in exported.files else "generated"
            found = alone(out, name, folder / "cases.pt")
            problem = ""
        except (ExportError, ValueError) as error:
            kind, seconds, problem = "none", 0.0, str(error)
            found = [float("nan")] * len(BATCHES)
        for batch, difference in zip(BATCHES, found, strict=True):
            yield {
                **told,
                "kind": kind,
                "batch": batch,
                "difference": f"{difference:.1e}",
                "equal": difference <= BAR,
                "seconds": seconds,
                "problem": problem,
            }


def alone(out: Path, name: str, cases: Path) -> list[float]:
    """The differences that a process without this project finds, by batch."""
    command = [sys.executable, "-I", "-B", "-c", ALONE, str(out), name, str(cases)]
    ended = subprocess.run(command, cwd=cases.parent, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ValueError(f"it does not run alone: {ended.stderr.strip().splitlines()[-1]}")
    return json.loads(ended.stdout.splitlines()[-1])


def written(run: Path, space: SearchSpace, item: Architecture) -> nn.Module:
    """The run's one network, whose weights are in the run's directory."""
    config = parse_config(
        {"space": "families.py:space", "task": "digits", "strategy": "random", "budget": 1}, "here"
    )
    trial = Trial(0, 0, "search", item, "random", None, canonical_key(space.graph(item)), 1000)
    about = {**environment(), "shapes": shapes_to_json(space.shapes)}
    with create(run, config.model_dump(mode="json"), about) as journal:
        journal.append([round_event(0, "search", [trial])])
        journal.append([outcome_event(0, Observation(0.5, 1.0))])
        journal.append([finished_event("the budget is used")])
    with own_randomness(derive(1000, "weights"), torch.device("cpu")):
        network = space.build(item)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name.endswith("running_var"):
                    tensor.copy_(torch.rand_like(tensor) + 0.5)
                elif tensor.is_floating_point():
                    tensor += 0.02 * torch.randn_like(tensor)
    save_weights(network, weights_file(run, 0), METADATA)
    return network.eval()


if __name__ == "__main__":
    main()
