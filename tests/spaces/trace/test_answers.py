"""A program that asks a tensor what it is takes the branch that it takes in training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spaces.ops import costs
from spaces.trace import describe, watch


class Asking(nn.Module):
    """Has a layer more if the answer is yes."""

    def __init__(self, answer: Callable[[Asking, Any], Any]) -> None:
        super().__init__()
        self.body, self.extra, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.answer, self.number = answer, nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x) + self.number
        return self.head(self.extra(x) if self.answer(self, x) else x)


def helper(x: object) -> bool:
    return type(x) is Tensor


@functools.singledispatch
def dispatched(x: object) -> bool:
    return False


@dispatched.register
def _(x: Tensor) -> bool:
    return True


def matched(x: object) -> bool:
    match x:
        case Tensor():
            return True
        case _:
            return False


ANSWERS: dict[str, Callable[[Asking, Any], Any]] = {
    "isinstance": lambda m, x: isinstance(x, torch.Tensor),
    "isinstance of a tuple": lambda m, x: isinstance(x, (int, Tensor)),
    "is_tensor": lambda m, x: torch.is_tensor(x),
    "type": lambda m, x: type(x) is torch.Tensor,
    "type equal": lambda m, x: type(x) == Tensor,  # noqa: E721
    "type in a helper": lambda m, x: helper(x),
    "type in a set": lambda m, x: type(x) in {Tensor, nn.Parameter},
    "issubclass": lambda m, x: issubclass(type(x), Tensor),
    "class": lambda m, x: x.__class__ is torch.Tensor,
    "singledispatch": lambda m, x: dispatched(x),
    "match": lambda m, x: matched(x),
    "no parameter": lambda m, x: not isinstance(x, nn.Parameter),
    "a parameter": lambda m, x: isinstance(m.number, nn.Parameter),
    "a parameter is a tensor": lambda m, x: isinstance(m.head.weight, Tensor),
    "dtype": lambda m, x: x.dtype == torch.float32,
    "dtype in": lambda m, x: x.dtype in (torch.float32, torch.float64),
    "dtype is not": lambda m, x: x.dtype is not torch.float16,
    "dtype of a comparison": lambda m, x: (x > 0).dtype == torch.bool,
    "dtype of an argmax": lambda m, x: x.argmax(1).dtype == torch.int64,
    "dtype of a cast": lambda m, x: x.double().dtype == torch.float64,
    "is_floating_point": lambda m, x: x.is_floating_point(),
    "torch.is_floating_point": lambda m, x: torch.is_floating_point(x),
    "not complex": lambda m, x: not x.is_complex() and not torch.is_complex(x),
    "element_size": lambda m, x: x.element_size() == 4,
    "type as text": lambda m, x: x.type() == "torch.FloatTensor",
    "device": lambda m, x: x.device == torch.device("cpu"),
    "device.type": lambda m, x: x.device.type == "cpu",
    "device as text": lambda m, x: str(x.device) == "cpu",
    "device of a weight": lambda m, x: x.device == m.head.weight.device,
    "is_cuda": lambda m, x: not x.is_cuda,
    "is_cpu": lambda m, x: x.is_cpu,
    "is_meta": lambda m, x: not x.is_meta,
    "get_device": lambda m, x: x.get_device() == -1,
    "requires_grad": lambda m, x: x.requires_grad,
    "requires_grad of a weight": lambda m, x: m.head.weight.requires_grad,
    "requires_grad of a frozen number": lambda m, x: not m.number.requires_grad,
    "grad_fn": lambda m, x: x.grad_fn is not None,
    "is_leaf": lambda m, x: not x.is_leaf,
    "is_grad_enabled": lambda m, x: torch.is_grad_enabled(),
    "is_inference": lambda m, x: not x.is_inference(),
    "is_tracing": lambda m, x: not torch.jit.is_tracing(),
    "is_scripting": lambda m, x: not torch.jit.is_scripting(),
    "is_compiling": lambda m, x: not torch.compiler.is_compiling(),
    "is_autocast_enabled": lambda m, x: not torch.is_autocast_enabled(),
    "ndim": lambda m, x: x.ndim == 2 and x.dim() == 2,
    "len": lambda m, x: len(x) > 0,
    "len of a dimension": lambda m, x: len(x[0]) == 8,
    "numel": lambda m, x: x.numel() > 0 and torch.numel(x) > 0,
    "nelement": lambda m, x: x.nelement() % 8 == 0,
    "is_contiguous": lambda m, x: x.is_contiguous(),
    "stride": lambda m, x: x.stride() == (8, 1),
    "layout": lambda m, x: x.layout == torch.strided,
    "is_sparse": lambda m, x: not x.is_sparse and not x.is_quantized,
    "hasattr": lambda m, x: hasattr(x, "shape") and not hasattr(x, "recorder"),
    "training": lambda m, x: m.training,
    "getattr training": lambda m, x: getattr(m, "training"),  # noqa: B009
    "training in vars": lambda m, x: vars(m)["training"],
    "training of a part": lambda m, x: m.head.training,
}


@pytest.mark.parametrize("tool", [describe, watch])
@pytest.mark.parametrize("answer", ANSWERS)
def test_the_description_is_of_the_branch_that_is_taken(answer, tool):
    with FlopCounterMode(display=False) as counter:
        Asking(ANSWERS[answer])(torch.rand(2, 8))
    assert counter.get_total_flops() == 2 * 2 * (64 + 64 + 24)  # The answer of a tensor is yes.
    with torch.device("meta"):
        module = Asking(ANSWERS[answer])
    counted = costs(tool(module, (8,)))
    assert counted.multiply_adds == 64 + 64 + 24
    assert counted.parameters == 72 + 72 + 27 + 1
    assert module.training


@pytest.mark.parametrize("answer", ["training", "getattr training", "training in vars"])
def test_in_evaluation_the_other_branch_is_described(answer):
    with torch.device("meta"):
        module = Asking(ANSWERS[answer]).eval()
    assert costs(describe(module, (8,))).multiply_adds == 64 + 24
    assert not module.training
    assert not module.head.training


def test_the_network_s_input_needs_no_gradient_whoever_asks():
    class Asked(Asking):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(x if x.requires_grad else self.extra(self.body(x))) + self.number

    with torch.no_grad():
        assert costs(describe(Asked(helper), (8,))).multiply_adds == 64 + 64 + 24


def test_tokens_are_whole_numbers():
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.extra, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            whole = x.dtype == torch.int64
            x = self.words(x)
            return self.head(self.extra(x) if whole and x.dtype == torch.float32 else x).mean(1)

    assert costs(describe(Reader(), (5,), 9)).multiply_adds == 5 * (16 + 8)
