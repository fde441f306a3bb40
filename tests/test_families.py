"""The families of modules in examples/: they serve other data, are searched and are exported."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

from nas.tasks import load_task
from spaces import SearchSpace, Shapes
from spaces.check import check
from spaces.load import load_object, load_space
from spaces.operators import fix, sample
from spaces.ops import costs

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DIGITS = Shapes((1, 8, 8), (10,))


def loaded(name: str) -> SearchSpace:
    if name == "timm_space" and importlib.util.find_spec("timm") is None:
        pytest.skip("needs timm: pip install 'surrogate-nas[timm]'")
    return load_space(f"{EXAMPLES / name}.py:space")


def built(space: SearchSpace, seed: int = 0, **answers: Any) -> nn.Module:
    torch.manual_seed(seed)
    return space.build(sample(fix(space, answers), Random(seed)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "least"),
    [
        ("sequence_classifiers", "model.pt2", 0.5),  # guessing: 0.25
        ("unet", "model.onnx", 0.4),  # everything is ground: 0.29
        ("timm_space", "model.pt2", 0.5),  # guessing: 0.1
    ],
)
def test_a_family_is_searched_and_exported(
    name: str,
    file: str,
    least: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if file == "model.onnx":
        pytest.importorskip("onnxruntime")
    loaded(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(tmp_path / "run")])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    best, exported = capsys.readouterr().out.splitlines()
    assert float(best.split(" ")[-1]) > least
    assert "it gives the same outputs" in exported
    assert (tmp_path / "run" / "export" / file).is_file()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("sequence_classifiers", Shapes((9, 3), (5,))),
        ("sequence_classifiers", Shapes((1, 1), (2,))),
        ("unet", Shapes((1, 16, 8), (2, 16, 8))),
        ("unet", Shapes((3, 12, 20), (4, 12, 20))),
        ("timm_space", Shapes((3, 32, 32), (4,))),
    ],
)
def test_a_family_serves_other_data(name: str, shapes: Shapes) -> None:
    assert check(loaded(name).for_shapes(shapes), 4, seed=5, size_seconds=0.1).problems == ()


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("sequence_classifiers", ("lstm", "gru", "tcn")),
        ("timm_space", ("resnet", "convnext", "vit", "mobilenet", "efficientnet")),
    ],
)
def test_every_kind_is_described_with_all_its_parameters(name: str, kinds: tuple[str, ...]) -> None:
    space = loaded(name)
    space = space.for_shapes(DIGITS) if name == "timm_space" else space
    question = "family" if name == "timm_space" else "kind"
    for kind in kinds:
        part = fix(space, {question: kind})
        for seed in range(2):
            architecture = sample(part, Random(seed))
            module = part.build(architecture)
            described = costs(space.graph(architecture))
            assert described.parameters == sum(item.numel() for item in module.parameters())
            given = module.eval()(torch.randn(2, *space.shapes.input))
            assert given.shape == (2, *space.shapes.output)


def test_convolutions_over_time_see_only_the_past() -> None:
    network: Any = built(loaded("sequence_classifiers"), kind="tcn", blocks=3).eval()
    x = torch.randn(2, 32, 2)
    changed = x.clone()
    changed[:, 20:] += 1
    before, after = network.read(x), network.read(changed)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_the_last_output_of_both_directions_has_read_the_whole_sequence() -> None:
    space = loaded("sequence_classifiers")
    network = built(space, kind="gru", bidirectional=True, pool="last").eval()
    x = torch.randn(1, 32, 2, requires_grad=True)
    hidden: Any = network
    pooled = hidden.pooled(hidden.read(x))
    for half in pooled.chunk(2, 1):
        (gradient,) = torch.autograd.grad(half.sum(), x, retain_graph=True)
        assert (gradient.abs().sum(2) > 0).all()


def test_a_pulse_of_each_channel_is_told_by_the_label() -> None:
    task = load_task(f"{EXAMPLES / 'sequence_classifiers'}.py:pulses", count=100, noise=0.0)
    half = task.shapes.input[0] // 2
    inputs, labels = task.train.inputs, task.train.targets
    first = inputs[:, :half].sum(1).argmax(1)
    second = inputs[:, half:].sum(1).argmax(1)
    assert torch.equal(2 * first + second, labels)


def test_a_map_is_scored_by_the_mean_overlap_of_its_classes() -> None:
    mean_iou = load_object(str(EXAMPLES / "unet.py"), "mean_iou", "metric")
    targets = torch.tensor([[[0, 0], [1, 1]]])
    outputs = torch.eye(3)[torch.tensor([[[0, 0], [0, 1]]])].permute(0, 3, 1, 2)
    # The ground: 2 of 3 pixels; the first class: 1 of 2; the other occurs nowhere.
    assert mean_iou(outputs, targets) == pytest.approx((2 / 3 + 1 / 2) / 2)
    right = torch.eye(3)[targets].permute(0, 3, 1, 2)
    assert mean_iou(right, targets) == 1.0


def test_drawings_have_both_forms_and_are_drawn_from_their_seed() -> None:
    first, again, other = (
        load_task(f"{EXAMPLES / 'unet'}.py:drawings", count=40, seed=seed) for seed in (1, 1, 2)
    )
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert all(len(target.unique()) >= 2 for target in first.train.targets)
    assert set(first.train.targets.unique().tolist()) == {0, 1, 2}


def test_sides_that_cannot_be_halved_make_a_network_without_halving() -> None:
    space = loaded("unet").for_shapes(Shapes((1, 15, 15), (2, 15, 15)))
    network = built(space)
    assert network(torch.randn(2, 1, 15, 15)).shape == (2, 2, 15, 15)


def test_the_family_of_timm_is_what_timm_makes() -> None:
    space = loaded("timm_space").for_shapes(DIGITS)
    network = built(space, family="vit", **{"vit/depth": 3, "vit/patches": 4})
    assert type(network).__module__ == "timm.models.vision_transformer"
    assert len(network.get_submodule("blocks")._modules) == 3
    assert network.get_parameter("pos_embed").shape[1] == 1 + 4 * 4


def test_torch_is_as_before_once_timm_is_imported() -> None:
    loaded("timm_space")
    before = torch.library.register_fake
    load_object(str(EXAMPLES / "timm_space.py"), "imported_timm", "function")()
    assert torch.library.register_fake is before
    assert before.__module__ == "torch.library"
