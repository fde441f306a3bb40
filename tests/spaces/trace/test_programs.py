"""What torch can run is described, with the counts of torch, and built as it is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spaces import Architecture, SearchSpace, Shapes
from spaces.garbage import without_garbage_collection
from spaces.ops import costs
from spaces.trace import describe, trace, watch

ONLY = Architecture("own", ())


class Program(nn.Module):
    """Runs a function of itself and the input."""

    def __init__(self, program: Callable[..., Any], part: Any = None) -> None:
        super().__init__()
        self.body, self.fc, self.program = nn.Linear(8, 8), nn.Linear(8, 3), program
        self.part = part() if callable(part) else part

    def forward(self, x: Tensor) -> Tensor:
        return self.program(self, x)


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.sign(x)

    @staticmethod
    def backward(ctx, *gradients):
        return gradients[0]


class Spectral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 4, 5, dtype=torch.cfloat) / 8)

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.einsum("bix,iox->box", torch.fft.rfft(x)[:, None], self.weight)
        return torch.fft.irfft(mixed, n=8).mean(1)


class Frozen(nn.Module):
    """Keeps its norm in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


def without_gradient(m: Program, x: Tensor) -> Tensor:
    with torch.no_grad():
        hidden = m.body(x)
    return m.fc(hidden)


def without_recording(m: Program, x: Tensor) -> Tensor:
    with torch.inference_mode():
        hidden = m.body(x)
    return m.fc(hidden.clone())


def written_by_parts(m: Program, x: Tensor) -> Tensor:
    made = x.new_zeros(x.shape)
    made[:, :4] = m.body(x)[:, 4:]
    made[:, 4:].add_(x[:, :4])
    return m.fc(made)


def made_on_the_cpu(m: Program, x: Tensor) -> Tensor:
    steps = torch.arange(8)
    return m.fc(x * torch.linspace(0, 1, 8) + steps / 8)


def counted(m: Program, x: Tensor) -> Tensor:
    for share in torch.linspace(0, 1, 3).tolist():
        x = m.body(x) * share
    return m.fc(x)


def hooked() -> nn.Module:
    layer = nn.Linear(8, 8)
    layer.register_forward_hook(lambda module, given, output: output * 2)
    return layer


PROGRAMS: dict[str, tuple[Callable[..., Any], Any]] = {
    "no_grad": (without_gradient, None),
    "inference_mode": (without_recording, None),
    "a custom function": (lambda m, x: m.fc(Straight.apply(m.body(x))), None),
    "a train() of one's own": (lambda m, x: m.fc(m.part(m.body(x))), Frozen),
    "complex weights": (lambda m, x: m.fc(m.part(m.body(x))), Spectral),
    "x.unfold": (lambda m, x: m.fc(m.body(x).unfold(1, 1, 1).flatten(1)), None),
    "x.unfold twice": (
        lambda m, x: m.fc(m.body(x).view(-1, 2, 4).unfold(1, 2, 2).unfold(2, 2, 2).flatten(1)),
        None,
    ),
    "x.where": (lambda m, x: m.fc(x.where(x > 0, 0.1 * x)), None),
    "torch.where": (lambda m, x: m.fc(torch.where(x > 0, m.body(x), 0.1 * x)), None),
    "1 / (1 + exp(-x))": (lambda m, x: m.fc(1 / (1 + torch.exp(-x))), None),
    "std": (lambda m, x: m.fc(x / (x.std(-1, keepdim=True) + 1e-6)), None),
    "var": (lambda m, x: m.fc(x / (x.var(-1, keepdim=True, unbiased=False) + 1e-6)), None),
    "argmax": (lambda m, x: m.fc(F.one_hot(torch.argmax(x, dim=1), 8).float()), None),
    "prod": (lambda m, x: m.fc(x) + x.prod(1, keepdim=True), None),
    "flip": (lambda m, x: m.fc(x.flip(1)), None),
    "repeat_interleave": (lambda m, x: m.fc(x.repeat_interleave(2, dim=1)[:, :8]), None),
    "% and //": (lambda m, x: m.fc(x % 2 + x // 2), None),
    "sort": (lambda m, x: m.fc(m.body(x).sort(1)[0]), None),
    "topk and gather": (lambda m, x: m.fc(x.gather(1, x.topk(8, 1)[1])), None),
    "RMSNorm": (lambda m, x: m.fc(m.part(x)), lambda: nn.RMSNorm(8)),
    "GRUCell": (lambda m, x: m.fc(m.part(x, torch.zeros_like(x))), lambda: nn.GRUCell(8, 8)),
    "Bilinear": (lambda m, x: m.fc(m.part(x, x)), lambda: nn.Bilinear(8, 8, 8)),
    "F.embedding": (
        lambda m, x: m.fc(F.embedding((x > 0).long(), m.part.weight).mean(1)),
        lambda: nn.Embedding(2, 8),
    ),
    "a subclass of a norm": (
        lambda m, x: m.fc(m.part(x)),
        lambda: type("MyNorm", (nn.BatchNorm1d,), {})(8),
    ),
    "fft": (lambda m, x: m.fc(torch.fft.fft(x).real), None),
    "a number of numpy": (lambda m, x: m.fc(x * numpy.float32(0.5)), None),
    "sizes of numpy": (
        lambda m, x: m.fc(m.part(x.unsqueeze(1)).squeeze(1)),
        lambda: nn.Conv1d(1, 1, numpy.int64(3), padding=numpy.int64(1)),  # type: ignore[arg-type]
    ),
    "LazyLinear": (lambda m, x: m.fc(m.part(x)), lambda: nn.LazyLinear(8)),
    "softmax of a type": (lambda m, x: m.fc(F.softmax(x, -1, dtype=torch.float32)), None),
    "half precision": (lambda m, x: m.fc(m.body(x).half().float()), None),
    "weight norm": (
        lambda m, x: m.fc(m.part(x)),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)),
    ),
    "a tied weight": (lambda m, x: m.fc(F.linear(m.body(x), m.body.weight)), None),
    "writes to parts": (written_by_parts, None),
    "tensors of the CPU": (made_on_the_cpu, None),
    "numbers in forward": (counted, None),
    "a hook": (
        lambda m, x: m.fc(m.part(x)),
        hooked,
    ),
    "masks": (
        lambda m, x: m.fc(
            m.part(x[:, None], x[:, None], x[:, None], is_causal=True, attn_mask=torch.zeros(1, 1))[
                0
            ][:, 0]
        ),
        lambda: nn.MultiheadAttention(8, 2, batch_first=True),
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_described_with_the_counts_of_torch_and_built_as_it_is(name):
    space = SearchSpace("own", lambda choose: Program(*PROGRAMS[name]), Shapes((8,), (3,)))
    graph = space.graph(ONLY)
    torch.manual_seed(0)
    built = space.build(ONLY)
    torch.manual_seed(0)
    bare = Program(*PROGRAMS[name])
    if name == "LazyLinear":  # The space's module has drawn its weights already.
        bare(torch.zeros(2, 8))
    inputs = torch.randn(2, 8)
    outputs = []
    with FlopCounterMode(display=False) as counter:
        for module in (bare, built):
            torch.manual_seed(1)
            outputs.append(module(inputs))
    assert torch.equal(*outputs)
    counted_here = costs(graph)
    assert counted_here.parameters == sum(item.numel() for item in bare.parameters())
    assert 2 * 2 * 2 * counted_here.multiply_adds == counter.get_total_flops()


def test_describing_leaves_modes_as_they_were():
    module = Program(*PROGRAMS["a train() of one's own"]).train()
    describe(module, (8,))
    assert [part.training for part in module.modules()].count(False) == 1
    assert not module.part.norm.training


@pytest.mark.parametrize("tool", [trace, watch])
def test_a_described_module_is_freed_without_garbage_collection(tool):
    freed = list[weakref.ref]()
    with without_garbage_collection():
        for _ in range(3):
            module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).to("meta")
            freed.append(weakref.ref(own := nn.Linear(8, 8)))
            module.function = lambda x, own=own: x
            del own
            freed.append(weakref.ref(module))
            tool(module, (8,))
            del module
        # Hooks of torch may hold the last one.
        assert [reference() for reference in freed[:-2]] == [None] * 4


def test_a_generator_of_the_module_s_own_does_not_tell_networks_apart():
    def noisy(m: Program, x: Tensor) -> Tensor:
        return m.fc(torch.bernoulli(m.body(x).sigmoid(), generator=m.part))

    # Both are alive, so that their addresses differ.
    modules = [Program(noisy, torch.Generator().manual_seed(0)) for _ in range(2)]
    assert watch(modules[0], (8,)) == watch(modules[1], (8,))


def test_the_device_of_the_module_makes_no_difference():
    for name in ("writes to parts", "sort", "no_grad", "numbers in forward"):
        program = PROGRAMS[name]
        with torch.device("meta"):
            bare = Program(*program)
        assert describe(Program(*program), (8,)) == describe(bare, (8,))
