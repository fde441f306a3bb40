"""A paused and resumed training gives the same results as one without a pause."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from nas.evaluators import train as evaluator_module
from nas.evaluators.evaluator import Observation
from nas.evaluators.train import TrainEvaluator
from nas.tasks import load_task
from nas.tasks.augment import FlipAndCrop
from nas.training.checkpoint import identity, read_checkpoint, write_checkpoint
from nas.training.loop import train
from nas.training.recipe import Recipe
from spaces.load import load_space
from spaces.operators import sample
from spaces.ops import costs
from tests.contracts.evaluator_contract import check_evaluator
from tests.nas.training.networks import CPU, seeded, small_network

SMALL = {"epochs": 4, "batch_size": 128, "learning_rate": 0.01, "warmup_epochs": 0.5}


@pytest.fixture(scope="module")
def digits():
    """Some of the digits, with random augmentation."""
    whole = load_task("digits")
    train = replace(whole.train, inputs=whole.train.inputs[:300], targets=whole.train.targets[:300])
    validation = replace(
        whole.validation,
        inputs=whole.validation.inputs[:100],
        targets=whole.validation.targets[:100],
    )
    return replace(whole, train=train, validation=validation, augment=FlipAndCrop(False, 1))


class Counting(nn.Module):
    """Has dropout and a non-persistent buffer.

    The buffer changes during training, and the outputs depend on it.
    """

    def __init__(self):
        super().__init__()
        self.inner = small_network(dropout=0.3)
        self.register_buffer("steps", torch.zeros(()), persistent=False)

    def forward(self, inputs):
        if self.training:
            self.steps += 1
        return self.inner(inputs) * (1 + 0.01 * self.steps)


def state(module):
    return {
        name: tensor.clone()
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw"},
        {"optimizer": "sgd", "gradient_clip": 1.0},
        {"optimizer": "adamw", "channels_last": False, "label_smoothing": 0.1},
        {"optimizer": "muon", "schedule": "power", "ema": 0.9},
        {"optimizer": "cosmos", "mixup": 0.4, "cutmix": 1.0},
        # Twenty steps, because SOAP turns its basis after every tenth.
        {"optimizer": "soap", "batch_size": 64, "accumulate": 2, "class_weights": "balanced"},
        {"optimizer": "soap", "batch_size": 64, "channels_last": False},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_two_pauses_change_no_result(digits, changes, tmp_path):
    recipe = Recipe(**{**SMALL, **changes})
    whole = seeded(Counting)
    straight = train(whole, digits, recipe, seed=3, device=CPU)
    assert straight.paused is None

    paused, path = None, tmp_path / "paused.safetensors"
    for until in (1, 3, 4):
        # Its own weights do not matter, because all come from the checkpoint.
        module = seeded(Counting, seed=until)
        trained = train(
            module if paused else seeded(Counting),
            digits,
            recipe,
            seed=3,
            device=CPU,
            until=until,
            paused=paused,
        )
        assert trained.curve == straight.curve[:until]
        assert trained.epochs == until
        if trained.paused is not None:
            write_checkpoint(trained.paused, path, "it")
            paused = read_checkpoint(path, "it")
    assert (trained.validation, trained.curve) == (straight.validation, straight.curve)
    ours, theirs = state(module), state(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    "part",
    [
        "module.inner.0.weight",
        "module.steps",
        "optimizer.0.exp_avg",
        "random.order",
        "random.augmentation",
        "random.cpu",
    ],
)
def test_every_part_of_the_state_is_needed(digits, part):
    """With one part of another training's state the final weights differ.

    Otherwise the test above could not fail.
    """
    mixed, whole = trained_with_another_s(part, digits, {})
    assert not torch.equal(mixed.inner[0].weight, whole.inner[0].weight)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"ema": 0.9}, "average.inner.0.weight"),
        ({"ema": 0.9}, "average.inner.1.running_var"),
        ({"mixup": 1.0}, "random.mixing"),
        ({"optimizer": "cosmos"}, "optimizer.0.basis#order10"),
        ({"optimizer": "soap", "batch_size": 20}, "optimizer.0.Q.0#order10"),
        ({"optimizer": "soap", "batch_size": 20}, "optimizer.group0.step#int"),
    ],
)
def test_every_part_of_an_option_s_state_is_needed(digits, changes, part):
    mixed, whole = (
        torch.cat([each.flatten().double() for each in state(module).values()])
        for module in trained_with_another_s(part, digits, changes)
    )
    assert not torch.equal(mixed, whole)


def trained_with_another_s(part, digits, changes):
    """A network trained from a pause with one part of another training's state, and one without."""
    recipe = Recipe(**{**SMALL, "epochs": 3, **changes})
    paused, other = (
        train(seeded(Counting), digits, recipe, seed=3 + until, device=CPU, until=until).paused
        for until in (1, 2)
    )
    assert paused is not None
    assert other is not None
    modules = []
    for start in (replace(paused, tensors={**paused.tensors, part: other.tensors[part]}), paused):
        module = seeded(Counting)
        train(module, digits, recipe, seed=4, device=CPU, paused=start)
        modules.append(module)
    return modules


def test_an_option_that_is_not_used_changes_no_training_s_identity():
    """Checkpoints of earlier versions belong to their trainings still."""
    assert identity(Recipe(), "key", 3, CPU) == "33a9e05cba5f9bcefca7c2bce7739fcb"
    sgd = Recipe(epochs=3, batch_size=64, optimizer="sgd", learning_rate=0.05)
    assert identity(sgd, "key", 3, CPU) == "dcc169786e04e63717c3368f3d4febc0"
    used = [Recipe(ema=0.9), Recipe(schedule="power"), Recipe(accumulate=2), Recipe(compile=True)]
    assert len({identity(each, "key", 3, CPU) for each in [Recipe(), *used]}) == 5


def test_what_is_damaged_or_of_another_training_is_not_read(digits, tmp_path):
    recipe, path = Recipe(**SMALL), tmp_path / "c" / "trial.safetensors"
    of = identity(recipe, "key", 3, CPU)
    paused = train(seeded(Counting), digits, recipe, seed=3, device=CPU, until=1).paused
    assert paused is not None
    assert read_checkpoint(path, of) is None
    write_checkpoint(paused, path, of)
    read = read_checkpoint(path, of)
    assert read is not None
    assert read.curve == paused.curve
    assert [file.name for file in path.parent.iterdir()] == [path.name]

    others = [
        identity(replace(recipe, epochs=5), "key", 3, CPU),
        identity(recipe, "other", 3, CPU),
        identity(recipe, "key", 4, CPU),
    ]
    others.append(identity(recipe, "key", 3, torch.device("cuda")))
    assert len({of, *others}) == 5
    assert all(read_checkpoint(path, other) is None for other in others)

    written = path.read_bytes()
    for damaged in (
        b"",
        written[:-1],
        written[: len(written) // 2],
        written[:-10] + bytes([written[-10] ^ 1]) + written[-9:],
        b"\0" * 100,
    ):
        path.write_bytes(damaged)
        assert read_checkpoint(path, of) is None
    save_file({"weight": torch.zeros(2)}, path)
    assert read_checkpoint(path, of) is None

    assert paused.fits(seeded(Counting))
    assert not paused.fits(small_network())


@pytest.fixture
def trainer(digits):
    space = load_space("convnet")
    return TrainEvaluator(space.for_shapes(digits.shapes), digits, Recipe(**SMALL), device="cpu")


def smallest(space, count):
    drawn = [sample(space, random.Random(number)) for number in range(10)]
    return sorted(
        drawn,
        key=lambda architecture: costs(space.graph(architecture), space.shapes.input).multiply_adds,
    )[:count]


def test_the_trainer_keeps_the_contract_of_fidelities(trainer, tmp_path):
    check_evaluator(trainer, smallest(trainer.space, 2), tmp_path, fidelities=(0.25, 0.5))
    assert len(list(tmp_path.glob("resumed-*.safetensors"))) == 3
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors"}


def test_a_promotion_resumes_the_training_and_starts_over_if_the_checkpoint_is_lost(
    trainer, tmp_path
):
    trained, checkpoint = [], tmp_path / "paused.safetensors"
    listening = replace(trainer, on_epoch=lambda epoch, score: trained.append(epoch))
    (architecture,) = smallest(trainer.space, 1)

    def evaluate(fidelity):
        trained.clear()
        weights = tmp_path / "w.safetensors"
        observed = listening.evaluate(
            architecture, seed=1, fidelity=fidelity, weights=weights, checkpoint=checkpoint
        )
        assert isinstance(observed, Observation)
        return observed, load_file(weights), list(trained)

    first, _, epochs = evaluate(0.5)
    assert epochs == [1, 2]
    half = checkpoint.read_bytes()
    again, _, epochs = evaluate(0.5)
    assert (again, epochs) == (replace(first, seconds=again.seconds), []), (
        "nothing is left to train"
    )
    on, weights, epochs = evaluate(1.0)
    assert epochs == [3, 4]
    for damage in (half[:-3], b"", None):
        checkpoint.unlink() if damage is None else checkpoint.write_bytes(damage)
        over, again, epochs = evaluate(1.0)
        assert epochs == [1, 2, 3, 4]
        assert (over.score, over.curve) == (on.score, on.curve)
        assert all(torch.equal(weights[name], again[name]) for name in weights)
    checkpoint.write_bytes(half)
    assert evaluate(0.25)[2] == [1], "a state after more epochs cannot be used"


def test_a_training_with_half_the_batch_resumes_with_half_the_batch(trainer, tmp_path, monkeypatch):
    (architecture,), checkpoint, tried = smallest(trainer.space, 1), tmp_path / "c", []

    def too_large(module, task, recipe, **settings):
        tried.append((recipe.batch_size, settings["paused"] is not None))
        if recipe.batch_size == 128:
            raise MemoryError
        return train(module, task, recipe, **settings)

    straight = None
    for paths in ([None], [checkpoint, checkpoint]):
        monkeypatch.setattr(evaluator_module, "train", too_large)
        for fidelity, path in zip((0.5, 1.0)[-len(paths) :], paths, strict=True):
            observed = trainer.evaluate(architecture, seed=1, fidelity=fidelity, checkpoint=path)
        assert isinstance(observed, Observation)
        straight = straight or observed
        assert observed.curve == straight.curve
    assert tried == [(128, False), (64, False), (128, False), (64, False), (128, False), (64, True)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_cuda_resumes_up_to_rounding(digits, tmp_path):
    device, recipe = torch.device("cuda", 0), Recipe(**SMALL)
    straight = train(seeded(Counting), digits, recipe, seed=3, device=device)
    paused = train(seeded(Counting), digits, recipe, seed=3, device=device, until=2).paused
    assert paused is not None
    assert paused.tensors["random.cuda"].numel()
    write_checkpoint(paused, tmp_path / "c", "it")
    on = train(
        seeded(Counting, seed=9),
        digits,
        recipe,
        seed=3,
        device=device,
        paused=read_checkpoint(tmp_path / "c", "it"),
    )
    assert on.curve == pytest.approx(straight.curve, abs=0.05)


class Stateful(nn.Module):
    """A network with state that no checkpoint holds."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.body = kind, nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        self.steps, self.generator = 0, None
        if kind == "own generator":
            self.generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        if self.kind == "a count" and self.training:
            self.steps += 1
        if self.kind == "python" and self.training:
            x = x * random.random()
        if self.kind == "numpy" and self.training:
            x = x * float(numpy.random.rand())
        if self.generator is not None and self.training:
            x = x * torch.rand(1, generator=self.generator)
        return self.body(x)


@pytest.mark.parametrize("kind", ["none", "a count", "python", "numpy", "own generator"])
def test_a_training_pauses_only_with_all_of_its_state(digits, kind):
    recipe = Recipe(epochs=2, batch_size=256)
    paused = train(seeded(lambda: Stateful(kind)), digits, recipe, seed=3, device=CPU, until=1)
    assert (paused.paused is not None) == (kind == "none")
