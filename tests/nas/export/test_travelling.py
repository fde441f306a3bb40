"""Where no file can be generated, the user's own source files travel with the weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nas.evaluators.weights import OWN, TRAINED, save_weights
from nas.export import ExportError, export
from nas.export.sources import CannotTravelError, Sources, sources_of
from nas.record.files import weights_file
from spaces import Architecture, Chooser, SearchSpace, Shapes
from spaces.load import load_space
from tests.nas.export.small_runs import a_run, load_model, trained

SHAPES = Shapes((6, 3), (4,))
METADATA = {"inputs": "float32", "normalize": "null", "metric": "accuracy", TRAINED: OWN}
DECISIONS = (("kind", "Backwards"), ("parts/width", 5), ("parts/order", ("relu", "tanh")))

FAMILY = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from layers_of_family.recurrent import Backwards, Forwards
from nas.tasks.task import Split, Task
from spaces import Chooser, SearchSpace, Shapes
from spaces.operators import fix


@dataclass
class Settings:
    width: int
    order: tuple[str, ...] = ()


class Classifier(nn.Module):
    def __init__(self, layer: type[nn.Module], settings: Settings, classes: int) -> None:
        super().__init__()
        self.layer = layer(3, settings.width, batch_first=True)
        self.head, self.order = nn.Linear(settings.width, classes), settings.order
        # Not among the weights: it is drawn anew when the module is made.
        self.register_buffer("noise", torch.randn(settings.width), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import activations_of_family as activations

        hidden = self.layer(x) + self.noise
        for name in self.order:
            hidden = activations.BY_NAME[name](hidden)
        return self.head(hidden)


def define(choose: Chooser, shapes: Shapes) -> nn.Module:
    kind = choose.one_of("kind", [Forwards, Backwards])
    with choose.scope("parts"):
        settings = Settings(choose.integer("width", 4, 6))
        settings.order = choose.permutation("order", ["tanh", "relu"])
        if settings.width == 6:
            choose.reject("too wide")
    return Classifier(kind, settings, shapes.output[0])


space = SearchSpace("recurrent family", define)
narrow = fix(space, {"kind": "Forwards"})


def task() -> Task:
    return Task("none", Split(), Split(), Split(), Shapes((1,), (1,)))
"""

PACKAGE = {
    "layers_of_family/__init__.py": "",
    "layers_of_family/recurrent.py": """
import einops
from torch import nn
from .reversal import Reversal


class Forwards(nn.LSTM):
    def forward(self, x):
        return super().forward(einops.rearrange(Reversal.apply(x), "b t c -> b t c"))[0][:, -1]


class Backwards(Forwards):
    def forward(self, x):
        return super().forward(x.flip(1))
""",
    "layers_of_family/reversal.py": """
import torch


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, *gradients):
        return -gradients[0]
""",
    "layers_of_family/unused.py": "raise SystemExit\n",
    "activations_of_family.py": "import torch\n\nBY_NAME = vars(torch)\n",
    "unused_by_family.py": "raise SystemExit\n",
}


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test imports of its own files is forgotten after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("user_file_", "exported_")) or "of_family" in name:
            del sys.modules[name]


def written(folder: Path, text: str = FAMILY, **more: str) -> SearchSpace:
    """The space in `family.py` of the folder, beside the files that it imports."""
    for name, content in {**PACKAGE, **more, "family.py": text}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return load_space(f"{folder / 'family.py'}:space").for_shapes(SHAPES)


def a_run_of(space: SearchSpace, directory: Path, **answers: object) -> tuple[Path, nn.Module]:
    """A run with one network of the space, which has trained weights."""
    item = Architecture(space.name, tuple({**dict(DECISIONS), **answers}.items()))  # type: ignore[arg-type]
    run = a_run(directory, [item], space_name="family.py:space", shapes=SHAPES, keys_of=space)
    network = trained(space, item, 101)
    save_weights(network, weights_file(run, 0, 1), METADATA)
    return run, network.eval()


SCRIPT = """
import sys

for name in ("spaces", "nas", "predictors", "safetensors", "networkx"):
    sys.modules[name] = None
import torch

sys.path.insert(0, sys.argv[1])
import model

network, cases = model.load(), torch.load(sys.argv[2], weights_only=True)
print([float((network(x) - y).abs().max()) for x, y in zip(*cases)])
assert "spaces" not in sys.modules or sys.modules["spaces"] is None
"""


def differences_alone(out: Path, network: nn.Module, inputs: list[torch.Tensor]) -> list[float]:
    """How far the outputs of an export are from the network's, in a process without the project."""
    with torch.no_grad():
        torch.save((inputs, [network(each) for each in inputs]), out.parent / "cases.pt")
    command = [sys.executable, "-I", "-B", "-c", SCRIPT, str(out), str(out.parent / "cases.pt")]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=out.parent, check=False)
    assert not ended.returncode, ended.stderr
    return json.loads(ended.stdout)


def test_the_sources_travel_and_make_the_network_alone(tmp_path: Path) -> None:
    pytest.importorskip("einops")
    space = written(tmp_path / "mine")
    run, _ = a_run_of(space, tmp_path / "run")
    exported = export(run, out=tmp_path / "out", space=space)
    files = [f"source/{name}" for name in sorted(["family.py", *PACKAGE]) if "unused" not in name]
    assert exported.files == (
        *("README.md", "architecture.json", "model.py", "model.safetensors"),
        *files,
    )
    assert exported.largest_difference <= 1e-5
    described = json.loads((tmp_path / "out" / "architecture.json").read_text())
    assert described["program"]["files"] == files
    assert [need.split()[0] for need in described["program"]["needs"]] == ["torch", "einops"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "source files of the search space travel with this network" in card
    assert "`source/layers_of_family/reversal.py`" in card
    assert " and einops " in card
    assert "network = model.load()" in card
    # The noise of a training is made of the run's seed, and so is that of the export.
    from nas.export.rebuild import rebuild
    from nas.export.weights import Chosen
    from nas.record.trials import Trial
    from spaces.canonical import canonical_key

    item = Architecture(space.name, DECISIONS)
    trial = Trial(0, 0, "search", item, "random", None, canonical_key(space.graph(item)), 100)
    network = rebuild(Chosen(trial, trial, weights_file(run, 0, 1)), space).module.eval()
    inputs = [torch.randn(batch, *SHAPES.input) for batch in (1, 3, 8)]
    assert max(differences_alone(tmp_path / "out", network, inputs)) <= 1e-6


def test_two_exports_are_loaded_beside_modules_of_the_same_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unverified: None
) -> None:
    pytest.importorskip("einops")
    space = written(tmp_path / "mine")
    loaded: list[Any] = []
    for kind in ("Forwards", "Backwards"):
        run, network = a_run_of(space, tmp_path / kind, kind=kind)
        (weight,) = [item for name, item in network.named_parameters() if "hh_l0" in name][:1]
        export(run, out=tmp_path / f"{kind}-out", space=space)
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, "activations_of_family", nn)
            loaded.append(load_model(tmp_path / f"{kind}-out").load())
            loaded[-1](torch.zeros(2, *SHAPES.input))
        torch.save(loaded[-1], tmp_path / "whole.pt")  # Pickle finds its classes.
        assert type(loaded[-1].layer).__name__ == kind
        assert loaded[-1].layer.weight_hh_l0.equal(weight)
    assert "family" not in sys.modules


def test_damaged_weights_are_refused_by_the_loader(tmp_path: Path, unverified: None) -> None:
    pytest.importorskip("einops")
    space = written(tmp_path / "mine")
    run, _ = a_run_of(space, tmp_path / "run")
    export(run, out=tmp_path / "out", space=space)
    weights = tmp_path / "out" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"model.safetensors is damaged: the digest of its"):
        load_model(tmp_path / "out").load()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (("self.head(hidden)", "self.head(scaled(hidden, self))"), "other outputs in training"),
        (("import torch\n", "import torch\nFACTOR = float(FILE.read_text())\n"), "it reads .*txt"),
        (("settings.width == 6", "not label_of(kind)"), "belongs to the search and not"),
    ],
)
def test_a_program_that_is_another_one_elsewhere_is_not_exported(
    changed: tuple[str, str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("einops")
    monkeypatch.setenv("FACTOR_OF_FAMILY", "2")
    file = tmp_path / "mine" / "factor.txt"
    file.parent.mkdir()
    file.write_text("2")
    head = (
        "from __future__ import annotations\n\nimport os\n"
        "from pathlib import Path\nfrom spaces.labels import label_of\n"
        f"FILE = Path({str(file)!r})\n"
        "FACTOR = float(os.environ.get('FACTOR_OF_FAMILY', 1))\n"
        "def scaled(x, module):\n    return x * FACTOR if module.training else x\n"
    )
    text = FAMILY.replace("from __future__ import annotations\n", head).replace(*changed)
    space = written(tmp_path / "mine", text)
    run, _ = a_run_of(space, tmp_path / "run")
    with pytest.raises(ExportError, match=f"{reason}.*with --format pt2 or --format onnx"):
        export(run, out=tmp_path / "out", space=space)
    assert not (tmp_path / "out").exists()


def network_of(space: SearchSpace) -> nn.Module:
    return space.build(Architecture(space.name, DECISIONS))


def found(space: SearchSpace) -> Sources:
    return sources_of(space, network_of(space))


def test_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("einops")
    (tmp_path / "elsewhere.py").write_text(PACKAGE["activations_of_family.py"])
    space = written(tmp_path / "mine")
    (tmp_path / "mine" / "activations_of_family.py").unlink()
    (tmp_path / "mine" / "activations_of_family.py").symlink_to(tmp_path / "elsewhere.py")
    network_of(space)(torch.zeros(2, *SHAPES.input))  # Imports it.
    with pytest.raises(CannotTravelError, match=r"is a link to .*elsewhere.py, outside of its"):
        found(space)


class Twice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_a_program_without_a_file_or_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def inner(choose: Chooser) -> nn.Module:
        return Twice()

    for define in (inner, lambda choose: Twice()):
        with pytest.raises(CannotTravelError, match="a lambda or a function inside another: give"):
            sources_of(SearchSpace("twice", define), Twice())
    inner.__module__ = "__main__"
    with pytest.raises(CannotTravelError, match=r"is written in a notebook, .* file of its own"):
        sources_of(SearchSpace("twice", inner), Twice())


def test_the_package_of_a_plug_in_travels_and_others_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    (installed / "plug_of_family").mkdir(parents=True)
    (installed / "plug_of_family" / "__init__.py").write_text("")
    (installed / "other_of_family.py").write_text("from torch.nn import GRU\n")
    (installed / "plug_of_family" / "space.py").write_text(
        "import other_of_family, json, numpy, nas\n\n\n"
        "def define(choose, shapes):\n    return other_of_family.GRU(3, 1)\n"
    )
    monkeypatch.syspath_prepend(str(installed))
    sources = sources_of(load_space("plug_of_family.space:define"), nn.GRU(3, 1))
    assert (sources.module, sources.name) == ("plug_of_family.space", "define")
    assert sources.takes_shapes
    assert [place for place, _ in sources.files] == [
        *("plug_of_family/__init__.py", "plug_of_family/space.py")
    ]
    assert [need.split()[0] for need in sources.needs] == ["torch", "numpy", "other_of_family"]


def test_a_lambda_is_found_by_the_name_of_its_space(tmp_path: Path) -> None:
    (tmp_path / "of_family.py").write_text(
        "from torch import nn\nfrom spaces import SearchSpace\n"
        "space = SearchSpace('named', lambda choose: nn.GRU(3, choose.integer('width', 1, 2)))\n"
    )
    space = load_space(f"{tmp_path / 'of_family.py'}:space")
    sources = sources_of(space, nn.GRU(3, 1))
    assert (sources.module, sources.name, sources.takes_shapes) == ("of_family", "space", False)
    assert [place for place, _ in sources.files] == ["of_family.py"]
