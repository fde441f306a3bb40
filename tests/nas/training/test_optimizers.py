"""Muon, COSMOS and SOAP: what they equal in their limits, and what they do not depend on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.tasks import load_task
from nas.training import optimizers
from nas.training.cosmos import Cosmos
from nas.training.loop import train
from nas.training.matrix_optimizer import Adam, MatrixOptimizer
from nas.training.muon import Muon, orthogonalised
from nas.training.optimizers import OPTIMIZERS
from nas.training.parameter_groups import make_optimizer
from nas.training.recipe import Recipe
from tests.nas.training.networks import CPU, seeded, small_network


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def directions(rule, gradients):
    state = {}
    return [rule(gradient, state, step) for step, gradient in enumerate(gradients, start=1)]


def scaled(matrix):
    return matrix / matrix.norm()


GRADIENTS = [drawn(6, 4, seed=seed) for seed in range(8)]


def steps(make, gradients_of, start, count):
    """The weights after some steps of an optimizer on one parameter."""
    weight = nn.Parameter(start.clone())
    optimizer = make([{"params": [weight], "weight_decay": 0.0, "hidden": True}])
    for number in range(count):
        weight.grad = gradients_of(weight.detach(), number)
        optimizer.step()
    return weight.detach()


def test_what_is_no_matrix_is_torch_s_adamw():
    ours, theirs = (
        [nn.Parameter(drawn(5)), nn.Parameter(torch.complex(drawn(3, 2), drawn(3, 2, seed=1)))]
        for _ in range(2)
    )
    groups = [{"params": ours, "weight_decay": 0.1}]
    own = MatrixOptimizer(groups, 0.05, hidden=Muon(), others=Adam())
    reference = torch.optim.AdamW(theirs, lr=0.05, weight_decay=0.1)
    for seed in range(5):
        for each in (ours, theirs):
            each[0].grad = drawn(5, seed=seed)
            each[1].grad = torch.complex(drawn(3, 2, seed=seed), drawn(3, 2, seed=seed + 9))
        own.step()
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_newton_schulz_makes_singular_values_equal_and_keeps_the_spaces():
    for shape in ((6, 4), (4, 6), (5, 5)):
        left, values, right = torch.linalg.svd(drawn(*shape), full_matrices=False)
        found = orthogonalised(drawn(*shape))
        inside = left.T @ found @ right.T
        assert torch.linalg.matrix_norm(inside - torch.diag(inside.diagonal())) < 1e-4
        assert ((inside.diagonal() > 0.6) & (inside.diagonal() < 1.3)).all()
        assert values.max() / values.min() > 2


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="needs a torch that has Muon")
def test_on_a_matrix_muon_is_torch_s():
    ours = steps(
        lambda groups: MatrixOptimizer(groups, 0.1, hidden=Muon(0.95), others=Adam()),
        lambda weight, number: GRADIENTS[number],
        drawn(6, 4, seed=20),
        6,
    )
    weight = nn.Parameter(drawn(6, 4, seed=20))
    reference = torch.optim.Muon(
        [weight], lr=0.1, weight_decay=0.0, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for gradient in GRADIENTS[:6]:
        weight.grad = gradient.clone()
        reference.step()
    # Torch iterates in bfloat16.
    torch.testing.assert_close(ours, weight.detach(), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("name", ["muon", "cosmos"])
def test_filters_are_one_matrix_whatever_their_layout(name):
    """A step on filters, in either memory layout, is the step on the matrix of their rows."""
    filters, gradient = drawn(6, 4, 3, 3), drawn(6, 4, 3, 3, seed=1)
    moved = []
    for given, change in (
        (filters, gradient),
        (filters.contiguous(memory_format=torch.channels_last), gradient),
        (filters.flatten(1), gradient.flatten(1)),
    ):
        weight = nn.Parameter(given.clone())
        groups = [{"params": [weight], "weight_decay": 0.0, "hidden": True}]
        optimizer = OPTIMIZERS[name].construct(groups, 0.1, 0.9)
        weight.grad = change.clone()
        optimizer.step()
        moved.append(weight.detach().flatten(1))
    torch.testing.assert_close(moved[0], moved[1])
    torch.testing.assert_close(moved[0], moved[2])
    assert not torch.allclose(moved[0], filters.flatten(1))


def test_hidden_matrices_have_the_rule_and_all_else_has_adamw():
    network = nn.Sequential(
        nn.Embedding(7, 4),
        nn.Conv1d(5, 8, 3),
        nn.Conv1d(8, 8, 2, groups=8),
        nn.BatchNorm1d(8),
        nn.Linear(4, 1),
        nn.Linear(6, 3),
    )
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = make_optimizer(network, Recipe(optimizer="muon")).param_groups
    hidden = {
        names[id(parameter)] for group in groups for parameter in group["params"] if group["hidden"]
    }
    assert hidden == {"1.weight", "2.weight"}
    assert sum(len(group["params"]) for group in groups) == len(names)
    only_a_head = make_optimizer(nn.Linear(3, 2), Recipe(optimizer="cosmos")).param_groups
    assert not any(group["hidden"] for group in only_a_head)


def test_cosmos_without_an_eigenspace_is_muon():
    ours = directions(Cosmos(rank=0, ratio=0.2), GRADIENTS)
    theirs = directions(Muon(momentum=0.9), GRADIENTS)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(scaled(mine), scaled(other))
        assert mine.square().mean().sqrt().item() == pytest.approx(0.2)


def test_cosmos_with_all_of_the_space_is_soap_of_one_side():
    """Its directions are Adam's in the basis that it follows, and nothing is left for Muon."""
    state, adam_state, rule = {}, {}, Cosmos(beta1=0.0)
    for step, gradient in enumerate(GRADIENTS, start=1):
        found = rule(gradient, state, step)
        basis = state["basis"]
        assert basis.shape == (4, 4)
        torch.testing.assert_close(basis.T @ basis, torch.eye(4))
        # Adam's own momentum would be in the older bases, so both go without.
        seen = Adam(beta1=0.0)(gradient @ basis, adam_state, step)
        torch.testing.assert_close(scaled(found), scaled(seen @ basis.T), atol=1e-5, rtol=1e-4)


def test_cosmos_in_the_usual_basis_is_adam():
    """Gradients that are diagonal have the coordinates as their eigenvectors."""
    sizes = torch.tensor([5.0, 4.0, 3.0, 2.0])
    gradients = [torch.diag(sizes * (1 + 0.1 * drawn(4, seed=seed))) for seed in range(8)]
    ours = directions(Cosmos(beta1=0.0), gradients)
    theirs = directions(Adam(beta1=0.0), gradients)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(scaled(mine), scaled(other), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rank", [0, 2, 4])
def test_cosmos_does_not_depend_on_the_basis_of_the_columns(rank):
    turn = torch.linalg.qr(drawn(4, 4, seed=40)).Q
    for plain, turned in zip(
        directions(Cosmos(rank), GRADIENTS),
        directions(Cosmos(rank), [gradient @ turn for gradient in GRADIENTS]),
        strict=True,
    ):
        torch.testing.assert_close(plain @ turn, turned, atol=2e-4, rtol=2e-3)


def test_cosmos_follows_the_leading_eigenspace():
    weights = torch.linalg.qr(drawn(12, 12, seed=1)).Q
    sizes = torch.tensor([9.0, 7.0] + [0.5] * 10)
    gradients = [drawn(20, 12, seed=seed) * sizes @ weights.T for seed in range(40)]
    state, rule = {}, Cosmos(rank=2)
    for step, gradient in enumerate(gradients, start=1):
        rule(gradient, state, step)
    inside = weights[:, :2].T @ state["basis"]
    assert torch.linalg.svdvals(inside).min() > 0.99
    mean = sum(
        0.001 * 0.999 ** (39 - number) * gradient.T @ gradient
        for number, gradient in enumerate(gradients)
    )
    expected = torch.linalg.eigvalsh(mean)[-2:]
    torch.testing.assert_close(
        torch.linalg.eigvalsh(state["spectrum"]), expected, atol=0, rtol=0.05
    )


@pytest.mark.parametrize(("rows", "columns", "rank"), [(6, 4, 64), (4, 6, 64), (20, 9, 3)])
def test_the_state_of_cosmos_has_the_size_that_it_says(rows, columns, rank):
    state = {}
    Cosmos(rank)(drawn(rows, columns), state, 1)
    kept = min(rank, rows, columns)
    assert sum(each.numel() for each in state.values()) == (
        rows * columns + columns * kept + kept**2 + rows * kept
    )


def test_nothing_is_divided_by_a_gradient_of_zero():
    for rule in (Muon(), Cosmos(), Cosmos(rank=0), Cosmos(rank=2), Adam()):
        zeros = torch.zeros(6, 4)
        for direction in directions(rule, [zeros, zeros, GRADIENTS[0], zeros]):
            assert torch.isfinite(direction).all()


def soap(groups):
    return OPTIMIZERS["soap"].construct(groups, 0.01, 0.9)


def test_soap_in_the_usual_basis_is_adam_after_a_step_that_only_looks():
    sizes = torch.tensor([5.0, 4.0, 3.0, 2.0])
    gradients = [torch.diag(sizes * (1 + 0.1 * drawn(4, seed=seed))) for seed in range(25)]
    start = drawn(4, 4, seed=30)
    ours = steps(soap, lambda weight, number: gradients[number], start, 25)
    theirs = steps(
        lambda groups: torch.optim.Adam(
            [groups[0]["params"][0]], lr=0.01, betas=(0.95, 0.95), eps=1e-8
        ),
        lambda weight, number: gradients[number + 1],
        start,
        24,
    )
    torch.testing.assert_close(ours.diagonal(), theirs.diagonal(), atol=1e-4, rtol=1e-4)
    assert torch.equal(steps(soap, lambda weight, number: gradients[0], start, 1), start)


def test_soap_does_not_depend_on_the_basis():
    left, right = (torch.linalg.qr(drawn(4, 4, seed=seed)).Q for seed in (50, 51))
    target, scales = drawn(4, 4, seed=52), torch.linspace(1, 3, 4)

    def slope(weight, number):
        return (weight - target) * scales + 0.1 * GRADIENTS[number % 8][:4]

    start = drawn(4, 4, seed=53)
    plain = steps(soap, slope, start, 30)
    turned = steps(
        soap,
        lambda weight, number: left @ slope(left.T @ weight @ right.T, number) @ right,
        left @ start @ right,
        30,
    )
    torch.testing.assert_close(left @ plain @ right, turned, atol=1e-3, rtol=1e-3)
    assert (plain - start).norm() > 0.5


@pytest.mark.parametrize("optimizer", ["muon", "soap", "cosmos"])
def test_the_optimizers_learn_the_digits(optimizer):
    recipe = Recipe(epochs=3, batch_size=64, optimizer=optimizer, learning_rate=0.01)
    trained = train(seeded(small_network), load_task("digits"), recipe, seed=0, device=CPU)
    assert trained.validation > 0.75


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(optimizers, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"'soap' needs .* pytorch-optimizer.*nas\[optim\]"):
        make_optimizer(nn.Linear(2, 1), Recipe(optimizer="soap"))
    assert math.isfinite(make_optimizer(nn.Linear(2, 1), Recipe()).param_groups[0]["lr"])
