"""Proxies, latency and sizes of networks with several inputs or outputs."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.cli.shapes import shapes_of_options
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.latency.settings import LatencySettings
from nas.proxies import PROXIES, noise_batch, suiting_proxies, task_batch
from nas.proxies.profiling import profile
from nas.search.rehearsal_evaluator import part_of
from nas.tasks.task import Split, Task
from nas.training.recipe import Recipe
from spaces import Architecture, Chooser, SearchSpace, Shapes
from spaces.operators import sample

SHAPES = Shapes({"image": (1, 6, 6), "word": ()}, (3,), {"image": None, "word": 7})


class Captioned(nn.Module):
    def __init__(self, width: int, *, heads: bool = False) -> None:
        super().__init__()
        self.layer, self.words = nn.Linear(36, width), nn.Embedding(7, width)
        self.head, self.heads = nn.Linear(width, 3), heads

    def forward(self, image: Tensor, word: Tensor):
        outputs = self.head((self.layer(image.flatten(1)) + self.words(word)).relu())
        return {"main": outputs, "other": outputs} if self.heads else outputs


def define(choose: Chooser) -> nn.Module:
    return Captioned(choose.one_of("width", [4, 8]))


SPACE = SearchSpace("captioned", define, SHAPES)


def task(**changes) -> Task:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(256, (40, 1, 6, 6), generator=generator).byte()
    word = torch.randint(7, (40,), generator=generator)
    split = Split({"image": image, "word": word}, word % 3)
    return Task("captioned", split, split, split, SHAPES, **changes)


def test_noise_is_drawn_for_each_input() -> None:
    inputs = noise_batch(SHAPES, 9, 0).inputs
    assert inputs["image"].shape == (9, 1, 6, 6)
    assert inputs["word"].dtype == torch.int64
    assert int(inputs["word"].max()) < 7
    assert suiting_proxies(SHAPES) == tuple(PROXIES)
    tokens = Shapes(((4,), (5,)), (3,), (9, 9))
    assert "jacobian_covariance" not in suiting_proxies(tokens)


@pytest.mark.parametrize("name", PROXIES)
def test_every_proxy_of_two_inputs_is_a_number(name: str) -> None:
    module = Captioned(64)
    for batch in (noise_batch(SHAPES, 4, 0), task_batch(task(), 4, 0)):
        assert torch.isfinite(torch.tensor(PROXIES[name](module, batch)))
    assert PROXIES["multiply_adds"](module, noise_batch(SHAPES, 4, 0)) == 36 * 64 + 64 * 3


def test_several_outputs_need_the_loss_of_a_task() -> None:
    module = Captioned(8, heads=True)
    with pytest.raises(ValueError, match=r"several tensors \(main, other\).* batch of a task"):
        PROXIES["snip"](module, noise_batch(SHAPES, 4, 0))

    def loss(outputs, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs["main"], targets)

    given = PROXIES["snip"](module, task_batch(task(loss=loss), 4, 0))
    module.heads = False
    assert given == pytest.approx(PROXIES["snip"](module, task_batch(task(), 4, 0)))
    with pytest.raises(ValueError, match="loss 'cross_entropy'"):
        PROXIES["snip"](Captioned(8, heads=True), task_batch(task(), 4, 0))


def test_networks_of_two_inputs_are_profiled() -> None:
    settings = LatencySettings(batch_size=2, device="cpu", within=0.9, limit=0.2)
    (row,) = profile(SPACE, [Architecture("captioned", (("width", 8),))], settings, 0)
    assert row.parameters == 37 * 8 + 7 * 8 + 9 * 3
    assert row.multiply_adds == 36 * 8 + 8 * 3
    assert row.latency.memory >= 4 * row.parameters + 2 * (36 * 4 + 8)


def test_networks_of_two_inputs_are_evaluated_and_pause(tmp_path: Path) -> None:
    settings = LatencySettings(batch_size=2, device="cpu", within=0.9, limit=0.2)
    recipe = Recipe(epochs=4, batch_size=16, optimizer="adamw", learning_rate=0.05)
    evaluator = TrainEvaluator(SPACE, task(), recipe, device="cpu", latency=settings)
    item = sample(SPACE, Random(0))
    whole = evaluator.evaluate(item, seed=0)
    half = evaluator.evaluate(item, seed=0, fidelity=0.5, checkpoint=tmp_path / "paused")
    rest = evaluator.evaluate(item, seed=0, checkpoint=tmp_path / "paused")
    assert isinstance(whole, Observation)
    assert isinstance(half, Observation)
    assert isinstance(rest, Observation)
    assert half.curve == whole.curve[:2]
    assert rest.curve == whole.curve
    assert whole.numbers["latency"] > 0


def test_a_rehearsal_takes_the_same_part_of_every_input() -> None:
    part = part_of(task(), Recipe(epochs=1, batch_size=2)).train
    assert len(part) == 16
    assert torch.equal(part.inputs["word"] % 3, part.targets)


def test_options_give_several_shapes() -> None:
    own = Shapes((3, 32, 32), (10,))
    assert shapes_of_options(own, "3,8,8;16", None, None).input == ((3, 8, 8), (16,))
    named = shapes_of_options(own, "image=3,8,8; table=16", "a=2;b=3", None)
    assert named == Shapes({"image": (3, 8, 8), "table": (16,)}, {"a": (2,), "b": (3,)})
    assert shapes_of_options(SHAPES, None, "5", None) == Shapes(
        SHAPES.input, (5,), SHAPES.vocabulary
    )
    with pytest.raises(ValueError, match="or image=3,32,32;table=16 for several inputs; got 'x'"):
        shapes_of_options(own, "image=x;table=16", None, None)
    with pytest.raises(ValueError, match="leave the option out"):
        shapes_of_options(SHAPES, None, None, 5)
