"""Training and scoring of networks with several inputs, or that return several tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.tasks.task import Split, Task
from nas.tasks.token_scores import Mean
from nas.training.loop import train
from nas.training.recipe import Recipe
from nas.training.scoring import NotFinite, evaluate_split
from spaces import Shapes
from tests.nas.training.networks import CPU, seeded

RECIPE = Recipe(epochs=8, batch_size=16, optimizer="adamw", learning_rate=0.03, warmup_epochs=0.0)


@dataclass
class Heads:
    main: Tensor
    auxiliary: Tensor | None = None


class Two(nn.Module):
    """`returns` makes what the network returns of its outputs, in training and in evaluation."""

    def __init__(self, returns=lambda outputs, training: outputs) -> None:
        super().__init__()
        self.first, self.second, self.returns = nn.Linear(3, 4), nn.Linear(2, 4), returns
        self.head = nn.Linear(8, 2)

    def forward(self, a: Tensor, b: Tensor) -> Any:
        hidden = torch.cat([self.first(a), self.second(b)], 1).relu()
        return self.returns(self.head(hidden), self.training)


class AsOne(nn.Module):
    """The same network of one input."""

    def __init__(self) -> None:
        super().__init__()
        self.two = Two()

    def forward(self, x: Tensor) -> Tensor:
        return self.two(x[:, :3], x[:, 3:])


def task(structure: str = "dict", **changes) -> Task:
    """Whether the first number of the first input exceeds that of the second."""
    inputs = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    a, b = inputs[:, :3].contiguous(), inputs[:, 3:].contiguous()
    labels = (a[:, 0] > b[:, 0]).long()
    given = {"dict": {"b": b, "a": a}, "tuple": (a, b), "one": inputs}[structure]
    shape = {"dict": {"a": (3,), "b": (2,)}, "tuple": ((3,), (2,)), "one": (5,)}[structure]
    split = Split(given, labels)
    settings = {"shapes": Shapes(shape, (2,)), **changes}
    return Task("two", split, split, split, **settings)


@pytest.mark.parametrize("structure", ["dict", "tuple"])
def test_two_inputs_train_as_their_concatenation_does(structure: str) -> None:
    expected = train(seeded(AsOne), task("one"), RECIPE, seed=1, device=CPU)
    given = train(seeded(Two), task(structure), RECIPE, seed=1, device=CPU)
    assert given.curve == pytest.approx(expected.curve)
    assert given.validation > 0.7


def test_functions_of_the_task_get_all_inputs() -> None:
    seen = []

    def augment(inputs, generator):
        seen.append(("augment", sorted(inputs)))
        return {**inputs, "a": inputs["a"] + 0 * torch.rand(1, generator=generator)}

    def corrupt(inputs, targets, generator):
        seen.append(("corrupt", sorted(inputs)))
        return inputs, targets

    def check(module, inputs):
        seen.append(("check", sorted(inputs)))

    made = task(augment=augment, corrupt=corrupt, check=check)
    train(seeded(Two), made, Recipe(epochs=1, batch_size=60), seed=0, device=CPU)
    assert seen == [(kind, ["a", "b"]) for kind in ("check", "augment", "corrupt")]


def heads_in_training(outputs: Tensor, training: bool) -> Any:
    return Heads(outputs, outputs * 2) if training else outputs


def loss_of_heads(outputs: Heads, targets: Tensor) -> Tensor:
    assert isinstance(outputs, Heads)
    assert outputs.auxiliary is not None
    main, auxiliary = (
        functional.cross_entropy(each, targets) for each in (outputs.main, outputs.auxiliary)
    )
    return main + 0.3 * auxiliary


def test_auxiliary_heads_are_for_the_loss_alone() -> None:
    module = seeded(lambda: Two(heads_in_training))
    trained = train(module, task(loss=loss_of_heads), RECIPE, seed=0, device=CPU)
    assert trained.validation > 0.7


def test_a_metric_gets_all_tensors_of_the_whole_split() -> None:
    seen: dict[str, Any] = {}

    def metric(outputs, targets) -> float:
        seen.update(outputs)
        return (outputs["logits"].argmax(1) == targets).double().mean().item()

    def returns(outputs: Tensor, training: bool) -> Any:
        return {"logits": outputs.half(), "penalty": outputs.sum(), "parts": [outputs], "no": None}

    module = Two(returns)
    made = task(loss=lambda outputs, targets: outputs["logits"].sum(), metric=metric)
    evaluate_split(module, made.validation, made, 25, CPU)
    assert seen["logits"].shape == (60, 2)
    assert seen["logits"].dtype == torch.float32
    assert seen["penalty"].shape == (3,), "one number for each of the three batches"
    assert seen["parts"][0].shape == (60, 2)
    assert seen["no"] is None


def test_a_metric_by_batches_gets_them_too() -> None:
    def parts(outputs, targets) -> tuple[Tensor, Tensor]:
        right = (outputs[0].argmax(1) == targets["label"]).double().sum()
        return right, torch.tensor(len(targets["label"]), dtype=torch.float64)

    made = task(loss=lambda outputs, targets: outputs[0].sum(), metric=Mean(parts))
    split = Split(made.validation.inputs, {"label": made.validation.targets})
    module = Two(lambda outputs, training: (outputs, outputs))
    score = evaluate_split(module, split, made, 25, CPU)
    rows = module.eval()(**made.validation.inputs)[0].argmax(1) == made.validation.targets
    assert score == pytest.approx(rows.double().mean().item())


def refused_by(module: nn.Module, made: Task) -> list[Tensor]:
    """The weights before and after a training that is refused."""
    before = [parameter.detach().clone() for parameter in module.parameters()]
    with pytest.raises(ValueError, match=r"give the task a (loss|metric) of your own"):
        train(module, made, RECIPE, seed=0, device=CPU)
    return [after - old for after, old in zip(module.parameters(), before, strict=True)]


@pytest.mark.parametrize(
    ("returns", "changes"),
    [
        (lambda outputs, training: (outputs, outputs), {}),
        (heads_in_training, {}),
        (
            lambda outputs, training: outputs if training else {"logits": outputs},
            {"loss": functional.cross_entropy},
        ),
    ],
)
def test_a_named_loss_or_metric_refuses_several_tensors_before_training(returns, changes) -> None:
    differences = refused_by(Two(returns), task(**changes))
    assert all(bool((difference == 0).all()) for difference in differences)


def test_outputs_are_compared_with_several_shapes_before_training() -> None:
    def returns(outputs: Tensor, training: bool) -> Any:
        return {"main": outputs, "other": outputs}

    def made(output) -> Task:
        return task(
            loss=lambda outputs, targets: functional.cross_entropy(outputs["main"], targets),
            metric=lambda outputs, targets: 0.5,
            shapes=Shapes({"a": (3,), "b": (2,)}, output),
        )

    recipe = Recipe(epochs=1, batch_size=30)
    with pytest.raises(ValueError, match=r"the network gives other of shape \(2,\)"):
        train(Two(returns), made({"main": (2,), "other": (3,)}), recipe, seed=0, device=CPU)
    with pytest.raises(ValueError, match="the network gives the outputs main, other"):
        train(Two(returns), made({"main": (2,)}), recipe, seed=0, device=CPU)
    fitting = made({"main": (2,), "other": (2,)})
    assert train(Two(returns), fitting, recipe, seed=0, device=CPU).validation == 0.5


def test_a_module_that_cannot_be_copied_is_refused_at_its_first_score() -> None:
    class Computed(Two):
        def __init__(self) -> None:
            super().__init__(lambda outputs, training: outputs if training else (outputs, 1))
            self.scaled = self.first.weight * 2  # A tensor that is computed has no deep copy.

    with pytest.raises(ValueError, match="the metric 'accuracy' of the task 'two' takes"):
        train(Computed(), task(), RECIPE, seed=0, device=CPU)


def test_any_output_that_is_not_finite_is_an_error() -> None:
    made = task(loss=lambda outputs, targets: outputs[0].sum(), metric=lambda *_: 1.0)
    module = Two(lambda outputs, training: (outputs, outputs / 0))
    with pytest.raises(NotFinite):
        evaluate_split(module, made.validation, made, 30, CPU)
