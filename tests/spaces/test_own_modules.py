"""Where a program returns a module, that very module is built; its graph only describes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spaces import Architecture, Chooser, SearchSpace, Shapes
from spaces.canonical import canonical_key
from spaces.ops import costs
from spaces.trace import describe, watch

ONLY = Architecture("own", ())


def space_of(make: Callable[[], nn.Module], shape: tuple[int, ...] = (8,)) -> SearchSpace:
    def define(choose: Chooser, shapes: Shapes) -> nn.Module:
        return make()

    return SearchSpace("own", define, Shapes(shape, (3,)))


def built(make: Callable[[], nn.Module], shape: tuple[int, ...] = (8,)) -> nn.Module:
    torch.manual_seed(0)
    return space_of(make, shape).build(ONLY)


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 3)


class WithoutGradient(TwoLayers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            hidden = self.body(x)
        return self.head(hidden)


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, *gradients):
        return -gradients[0]


class Reversed(TwoLayers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(Reversal.apply(self.body(x)))


class FrozenNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(x))


class Spectral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 5, dtype=torch.cfloat))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.fft.irfft(torch.fft.rfft(x) * self.weight[0], n=8))


def doubled_in_training(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return x * 2 if module.training else x


class ReadsItsMode(TwoLayers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(doubled_in_training(self, x))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x)[0][:, -1])


class BranchesOnNumbers(TwoLayers):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.body(x)
        if hidden.sum() > 1e9:
            hidden = hidden * 2
        return self.head(hidden)


class HasAnUnusedPart(TwoLayers):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


def test_a_part_without_gradient_keeps_none() -> None:
    module = built(WithoutGradient)
    module(torch.randn(4, 8)).sum().backward()
    assert isinstance(module, WithoutGradient)
    assert module.body.weight.grad is None
    assert module.head.weight.grad is not None


def test_a_custom_backward_stays() -> None:
    module, inputs = built(Reversed), torch.randn(4, 8)
    module(inputs).sum().backward()
    assert isinstance(module, Reversed)
    expected = -(module.head.weight.sum(0)[:, None] * inputs.sum(0)).detach()
    torch.testing.assert_close(module.body.weight.grad, expected)


def test_a_method_train_of_ones_own_is_called() -> None:
    module = built(FrozenNorm)
    module.train()(torch.randn(16, 8) + 3)
    assert isinstance(module, FrozenNorm)
    assert torch.equal(module.norm.running_mean, torch.zeros(8))  # type: ignore[arg-type]


def test_a_complex_parameter_stays_complex() -> None:
    module = built(Spectral)
    assert isinstance(module, Spectral)
    assert module.weight.dtype == torch.complex64


def test_a_helper_that_reads_the_mode_is_heeded() -> None:
    module, inputs = built(ReadsItsMode), torch.randn(4, 8)
    assert isinstance(module, ReadsItsMode)
    torch.testing.assert_close(module.eval()(inputs), module.head(inputs))
    torch.testing.assert_close(module.train()(inputs), module.head(inputs * 2))


@pytest.mark.parametrize(
    ("make", "shape"),
    [(Recurrent, (10, 4)), (BranchesOnNumbers, (8,)), (HasAnUnusedPart, (8,)), (Spectral, (8,))],
)
def test_what_cannot_be_traced_is_described_with_exact_costs(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    space, module = space_of(make, shape), make()
    counted = costs(space.graph(ONLY), shape)
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(2, *shape))
    counted_by_torch = counter.get_total_flops() // 4
    if make is Recurrent:
        # Torch's counter does not see into the kernel of an LSTM: four gates in ten steps.
        counted_by_torch += 10 * 4 * 6 * (4 + 6)
    assert counted.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert counted.multiply_adds == counted_by_torch


def test_a_recurrent_layer_is_one_node() -> None:
    graph = watch(Recurrent(), (10, 4))
    assert [node.op for node in graph.nodes] == [
        "input",
        "observed:nn.LSTM",
        "observed:nn.Linear",
        "output",
    ]
    assert graph.nodes[1].label == "layer"


def test_operations_that_the_description_leaves_out_tell_networks_apart() -> None:
    class Rolled(nn.Module):
        def __init__(self, places: int) -> None:
            super().__init__()
            self.layer, self.places = nn.GRU(4, 3, batch_first=True), places

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.roll(self.places, 1))[0][:, -1]

    keys = {canonical_key(watch(Rolled(places), (10, 4))) for places in (1, 2, 1)}
    assert len(keys) == 2


def test_tokens_are_watched_as_numbers_of_tokens() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.layer = nn.Embedding(50, 4), nn.GRU(4, 3, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.words(x))[0][:, -1]

    graph = watch(Tagger(), (10,), 50)
    assert costs(graph, (10,)).parameters == 50 * 4 + 3 * 3 * (4 + 3) + 2 * 3 * 3


def test_a_module_that_cannot_run_is_refused_with_its_own_line() -> None:
    class Wrong(TwoLayers):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.body(x)[:, :5])

    with pytest.raises(ValueError, match=r"Wrong cannot be traced.*test_own_modules\.py"):
        space_of(Wrong).graph(ONLY)


class Packed(nn.Module):
    """An LSTM over packed sequences, whose lengths are the same."""

    def __init__(self, kind: type[nn.Module] = nn.LSTM) -> None:
        super().__init__()
        self.layer, self.head = kind(2, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lengths = torch.full((len(x),), x.shape[1])
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0], batch_first=True)
        return self.head(states[:, -1])


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_packed_sequences_cost_what_others_cost(kind: type[nn.Module], gates: int) -> None:
    graph = describe(Packed(kind), (30, 2))
    assert costs(graph).multiply_adds == gates * 16 * (2 + 16) * 30 + 16 * 3


def test_the_error_names_the_line_that_torch_cannot_run() -> None:
    class Typo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(2, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states, _ = self.layer(x)
            return states.last()

    with pytest.raises(ValueError, match=r"states\.last\(\)\s+AttributeError.*'last'") as told:
        describe(Typo(), (30, 2))
    assert "recurrent layer" not in str(told.value)
