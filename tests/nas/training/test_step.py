"""A step: unchanged without options, and in parts the step of the whole batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.seeds import derive
from nas.tasks import load_task
from nas.tasks.task import Split, Task
from nas.tasks.token_scores import IGNORED
from nas.training.loop import train
from nas.training.mixing import Mixed
from nas.training.recipe import Recipe, batch_bounds
from nas.training.step import parts_of
from spaces import Shapes
from tests.nas.training.networks import CPU, linear_task, seeded, small_network


def weights(module):
    return torch.cat([each.detach().flatten().double() for each in module.state_dict().values()])


def test_a_training_without_options_is_the_loop_written_out_bit_for_bit():
    task, recipe = load_task("digits"), Recipe(epochs=2, channels_last=False)
    ours, module = (seeded(lambda: small_network(dropout=0.2)) for _ in range(2))
    train(ours, task, recipe, seed=5, device=CPU)

    decayed, others = (
        [each for each in module.parameters() if (each.ndim >= 2) is many] for many in (True, False)
    )
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        fused=True,
    )
    order_of = torch.Generator().manual_seed(derive(5, "order"))
    bounds = batch_bounds(len(task.train), 128)
    warm, step = len(bounds), 0
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(derive(5, "module"))
        for _ in range(2):
            module.train()
            order = torch.randperm(len(task.train), generator=order_of)
            for first, end in bounds:
                share = 0.5 * (1 + math.cos(math.pi * (step - warm) / warm))
                share = (step + 1) / (warm + 1) if step < warm else share
                for group in optimizer.param_groups:
                    group["lr"] = 2e-3 * share
                inputs, targets = task.train.rows(order[first:end])
                loss = functional.cross_entropy(module(task.prepare(inputs)), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
    assert torch.equal(weights(ours), weights(module))


def token_task():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, (24, 6), generator=generator)
    targets = tokens.roll(1, 1).masked_fill(torch.rand(24, 6, generator=generator) < 0.5, IGNORED)
    # Some parts have no target at all.
    targets[:14] = IGNORED
    split = Split(tokens, targets)
    return Task(
        "tokens",
        *(split, split, split),
        Shapes((6,), (6, 5), vocabulary=5),
        loss="token_cross_entropy",
        metric="token_accuracy",
    )


TASKS = {
    "mse": (linear_task, lambda: nn.Linear(3, 1)),
    "classes": (lambda: linear_task(loss="cross_entropy"), lambda: nn.Linear(3, 2)),
    "tokens": (token_task, lambda: nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5))),
}


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd", "gradient_clip": 0.1},
        {"label_smoothing": 0.1, "class_weights": "balanced", "mixup": 1.0},
    ],
    ids=["plain", "clipped", "weighted and mixed"],
)
def test_a_batch_in_parts_has_the_step_of_the_whole(kind, changes):
    make, network = TASKS[kind]
    if "mixup" in changes and kind != "classes":
        changes = {"mixup": 1.0} if kind == "mse" else {"label_smoothing": 0.1}
    common = {"epochs": 3, "batch_size": 24, "learning_rate": 0.05, "warmup_epochs": 0, **changes}
    made = []
    for count in (1, 3, 5):
        module = seeded(network)
        train(module, make(), Recipe(**common, accumulate=count), seed=0, device=CPU)
        made.append(weights(module))
    assert torch.isfinite(made[0]).all()
    assert not torch.allclose(made[0], weights(seeded(network)), atol=1e-3)
    torch.testing.assert_close(made[1], made[0], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(made[2], made[0], atol=2e-4, rtol=1e-3)


def test_parts_have_two_samples_and_hold_all():
    inputs = torch.arange(11)
    for count, expected in ((1, [11]), (3, [3, 4, 4]), (9, [2, 2, 2, 2, 3])):
        parts = list(parts_of(inputs, {"a": inputs + 1}, count))
        assert [len(part) for part, _ in parts] == expected
        assert torch.equal(torch.cat([part for part, _ in parts]), inputs)
        assert all(torch.equal(targets["a"], part + 1) for part, targets in parts)
    mixed = [part for _, part in parts_of(inputs, Mixed(inputs, inputs + 1, 0.25), 2)]
    assert [(len(each.first), each.second[0].item(), each.share) for each in mixed] == [
        (5, 1, 0.25),
        (6, 6, 0.25),
    ]


def test_fewer_samples_are_in_memory_at_once():
    seen = []

    class Watching(nn.Linear):
        def forward(self, inputs):
            seen.append(len(inputs))
            return super().forward(inputs)

    recipe = Recipe(epochs=1, batch_size=32, accumulate=4)
    train(seeded(lambda: Watching(3, 1)), linear_task(64), recipe, seed=0, device=CPU)
    assert max(seen) == 8
