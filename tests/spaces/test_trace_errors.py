"""A module that cannot be traced raises an error that says where and why, and stays usable."""

from __future__ import annotations

import linecache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from spaces.choices import Rejected
from spaces.trace import trace
from tests.spaces.traced_modules import Faulty

FAULTS = {
    "if on a tensor": (lambda m, x: x if x.sum((1, 2, 3)) > 0 else -x, "decide by `choose`"),
    "a number from a tensor": (
        lambda m, x: x * int(x.amax((1, 2, 3))),
        "int\\(tensor\\) needs the numbers",
    ),
    "item": (lambda m, x: x * x.mean((1, 2, 3)).item(), "tensor.item\\(\\)"),
    "batch arithmetic": (
        lambda m, x: x.view(x.shape[0] * 2, -1),
        "batch size was used as a number",
    ),
    "batch comparison": (lambda m, x: x if x.shape[0] > 1 else -x, "every batch size"),
    "mixed batch": (lambda m, x: x.flatten(0, 1), "merge the batch"),
    "mean over all": (lambda m, x: x.mean(), "without dim mixes the samples"),
    "reduced batch": (lambda m, x: x.sum(0), "batch dimension"),
    "sample picked": (lambda m, x: x[0], "samples of the batch"),
    "wrong channels": (
        lambda m, x: m.conv(m.conv(x)),
        "in_channels=3 and gets a tensor of the shape \\(8, 14, 14\\)",
    ),
    "wrong features": (lambda m, x: m.linear(x), "in_features=4 and gets"),
    "different shapes": (lambda m, x: x + x[:, :2], "cannot be broadcast"),
    "two outputs": (lambda m, x: (x, x), "returned tuple"),
    "no tensor": (lambda m, x: 3, "returned int"),
    "a tensor made in forward": (lambda m, x: x + torch.ones(16), "register_buffer"),
    "unregistered": (lambda m, x: m.loose[0](x), "nn.ModuleList"),
    "many outputs": (lambda m, x: m.lstm(x[:, 0]), "nn.LSTM"),
    "assignment": (lambda m, x: x.__setitem__(0, 1), "torch.cat"),
    "index tensor": (lambda m, x: x[x > 0], "whole numbers, slices"),
    "own error": (lambda m, x: [][x.shape[1]], "IndexError: list index out of range"),
    "no such method": (lambda m, x: x.rleu(), "no attribute 'rleu'"),
    "no mixture": (lambda m, x: torch.fft.fft(x, dim=0), "cannot take"),
    "type": (lambda m, x: x.to(torch.float16), "data type"),
    "recurrent": (lambda m, x: m.lstm(x[:, 0])[0], "recurrent layer.*nn.Conv1d"),
    "new tensor": (
        lambda m, x: x * x.new_empty((1,)),
        "new_empty has no place in the vocabulary: .*register_buffer",
    ),
    "a counter": (lambda m, x: x + m.steps.add_(1), "steps is changed in forward"),
    "an assigned counter": (
        lambda m, x: setattr(m, "steps", m.steps + 1) or x,
        "steps is changed in forward",
    ),
    "a changed parameter": (
        lambda m, x: x + m.conv.bias.mul_(2)[:3, None, None],
        "conv.bias is changed in forward",
    ),
    "a hook": (lambda m, x: m.hooked(x), "forward hooks"),
    "samples that attend": (
        lambda m, x: F.scaled_dot_product_attention(*[x[:, 0].transpose(0, 1)] * 3),
        "attend to each other",
    ),
    "rolled over samples": (lambda m, x: torch.roll(x, 1), "without 'dims' it mixes the samples"),
    "stale view": (lambda m, x: (lambda y: F.relu_(y) + x)(x[:, :, 1:]), "in place through a view"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_error_shows_the_users_line(name):
    program, sentence = FAULTS[name]
    with pytest.raises(ValueError, match=sentence) as error:
        trace(Faulty(program), (3, 16, 16))
    if name not in ("two outputs", "no tensor"):
        line = program.__code__.co_firstlineno
        assert f"{__file__}:{line}" in str(error.value)
        assert linecache.getline(__file__, line).strip() in str(error.value)
    assert error.value.__cause__ is not None


def test_a_refused_change_leaves_the_module_as_it_was():
    module = Faulty(lambda m, x: setattr(m, "steps", m.steps + 1) or x)
    with pytest.raises(ValueError, match="steps is changed in forward"):
        trace(module, (3, 16, 16))
    assert torch.equal(module.steps, torch.zeros(1))


def test_a_rejected_choice_passes_through():
    def program(m, x):
        raise Rejected("too deep")

    with pytest.raises(Rejected):
        trace(Faulty(program), (3, 16, 16))


def test_after_a_failed_trace_modules_work_as_before():
    module = Faulty(lambda m, x: m.conv(x))
    with pytest.raises(ValueError, match="in_channels=3"):
        trace(module, (4, 16, 16))
    assert module(torch.zeros(2, 3, 16, 16)).shape == (2, 8, 14, 14)
    assert isinstance(module.conv.weight, nn.Parameter)


def test_tied_weights_are_refused():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    with pytest.raises(ValueError, match="tied"):
        trace(module, (4,))
