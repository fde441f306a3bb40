"""A user's own module is exported as it is; a file is generated only where it is proved equal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.config.loading import parse_config
from nas.evaluators.weights import OWN, TRAINED, save_weights
from nas.export import ExportError, export
from nas.record.files import weights_file
from nas.search.run import start
from spaces import Architecture, SearchSpace
from spaces.build import build
from spaces.trace import copy_state
from tests.nas.export.small_runs import SHAPES, a_run, load_model, trained
from tests.spaces.test_own_modules import Reversal

METADATA = {"inputs": "float32", "normalize": "null", "metric": "accuracy", TRAINED: OWN}


class Parts(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 10)


class Plain(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.body(x)))


class WithoutGradient(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            hidden = self.body(x)
        return self.head(hidden)


class Reversed(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(Reversal.apply(self.body(x)))


class FrozenNorm(Parts):
    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        self.body[2].eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


class Recurrent(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer, self.head = nn.GRU(8, width, batch_first=True), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x.squeeze(1))[0][:, -1])


def a_run_of(kind: type[nn.Module], directory: Path) -> tuple[Path, SearchSpace, nn.Module]:
    space = SearchSpace("own", lambda choose: kind(choose.one_of("width", [4, 6])))
    space = space.for_shapes(SHAPES)
    item = Architecture("own", (("width", 4),))
    run = a_run(directory, [item], space_name="mine.py:own", finals=True, keys_of=space)
    network = trained(space, item, 0)
    save_weights(network, weights_file(run, 0, 0), METADATA)
    return run, space, network.eval()


def test_a_module_that_can_be_generated_is_one_file(tmp_path: Path) -> None:
    run, space, network = a_run_of(Plain, tmp_path / "run")
    export(run, out=tmp_path / "out", space=space)
    inputs = torch.randn(3, 1, 8, 8)
    given = load_model(tmp_path / "out").load()(inputs)
    torch.testing.assert_close(given, network(inputs))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (WithoutGradient, "has a gradient in one of them only"),
        (Reversed, "another gradient of"),
        (FrozenNorm, "other outputs in training"),
        (Recurrent, "[\\s\\S]*is a recurrent layer"),
    ],
)
def test_a_file_that_would_behave_differently_is_not_written(
    kind: type[nn.Module], reason: str, tmp_path: Path
) -> None:
    run, space, _ = a_run_of(kind, tmp_path / "run")
    with pytest.raises(ExportError, match=f"no Python file can be generated .*{reason}") as told:
        export(run, out=tmp_path / "out", space=space)
    assert "a lambda or a function inside another" in str(told.value)
    assert "with --format pt2 or --format onnx" in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [WithoutGradient, Reversed, FrozenNorm, Recurrent])
def test_the_module_itself_is_exported_by_torch(kind: type[nn.Module], tmp_path: Path) -> None:
    run, space, network = a_run_of(kind, tmp_path / "run")
    exported = export(run, format="pt2", out=tmp_path / "out", space=space)
    assert exported.largest_difference <= 1e-5
    module = torch.export.load(tmp_path / "out" / "model.pt2").module()
    inputs = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(module(inputs), network(inputs))


def test_weights_of_an_earlier_version_are_those_of_the_generated_class(tmp_path: Path) -> None:
    run, space, network = a_run_of(Plain, tmp_path / "run")
    item = Architecture("own", (("width", 4),))
    generated = build(space.graph(item), SHAPES.input)
    copy_state(network, generated)
    earlier = {key: value for key, value in METADATA.items() if key != TRAINED}
    save_weights(generated, weights_file(run, 0, 0), earlier)
    export(run, out=tmp_path / "out", space=space)
    inputs = torch.randn(3, 1, 8, 8)
    given = load_model(tmp_path / "out").load()(inputs)
    torch.testing.assert_close(given, network(inputs))


FAMILY = """
import torch
from torch import nn

from nas.tasks.task import Split, Task
from spaces import SearchSpace, Shapes


class Recurrent(nn.Module):
    def __init__(self, kind, width, classes):
        super().__init__()
        self.layer = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](3, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


class Convolution(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.layer, self.head = nn.Conv1d(3, width, 3), nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.layer(x.transpose(1, 2)).relu().mean(2))


def define(choose, shapes):
    kind = choose.one_of("kind", ["lstm", "gru", "convolution"])
    width = choose.one_of("width", [4, 8])
    if kind == "convolution":
        return Convolution(width, shapes.output[0])
    return Recurrent(kind, width, shapes.output[0])


space = SearchSpace("sequences", define)


def sequences(seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(60, 7, 3, generator=generator)
    labels = (inputs[:, :, 0].sum(1) > 0).long()
    parts = [Split(inputs[a:b], labels[a:b]) for a, b in ((0, 30), (30, 45), (45, 60))]
    return Task("sequences", *parts, Shapes((7, 3), (2,)))
"""


def test_a_family_of_ones_own_is_searched_and_exported(tmp_path: Path) -> None:
    from spaces.load import load_space

    (tmp_path / "family.py").write_text(FAMILY)
    config = parse_config(
        {
            "space": f"{tmp_path / 'family.py'}:space",
            "task": f"{tmp_path / 'family.py'}:sequences",
            "strategy": "random",
            "training": {"epochs": 1, "batch_size": 15},
            "budget": 4,
            "finalists": {"count": 1, "seeds": 1, "epochs": 1},
            "executor": "inline",
            "evaluator": {"name": "train", "transfer": {}},
        },
        "here",
    )
    history = start(config, tmp_path / "run", lambda history, events: None)
    assert len(history.observed) == 4
    kinds = {trial.architecture.answers["kind"] for trial in history.trials}
    assert kinds & {"lstm", "gru"}, "no recurrent network was drawn"
    space = load_space(config.space)
    for trial in history.observed[:2]:
        out = tmp_path / f"out-{trial.number}"
        export(tmp_path / "run", trial=trial.number, format="pt2", out=out, space=space)
        described = json.loads((out / "architecture.json").read_text())
        assert described["canonical"] == trial.canonical
