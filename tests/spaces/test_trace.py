"""Traced modules: the twin that is built computes the same, counts are right, and what cannot be
traced says where and why.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spaces import GraphBuilder, SearchSpace, Shapes
from spaces.build import build, source
from spaces.choices import Rejected
from spaces.graph import Graph
from spaces.operators import domains, mutate, sample, sample_graph
from spaces.ops import costs, infer_shapes
from spaces.trace import copy_state, trace


class Residual(nn.Module):
    def __init__(self, inner, outer, stride):
        super().__init__()
        self.conv1, self.norm1 = (
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outer),
        )
        self.conv2, self.norm2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
        self.act = nn.ReLU(inplace=True)
        self.shortcut = (
            nn.Identity()
            if stride == 1
            else nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inner, outer, 1))
        )

    def forward(self, x):
        y = self.norm2(self.conv2(self.act(self.norm1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.act(y)


class ResidualNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.blocks = nn.ModuleList([Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 16, 1)])
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.stem(x), inplace=True)
        for block in self.blocks:
            x = block(x)
        return self.head(F.adaptive_avg_pool2d(x, (1, 1)).view(x.size(0), -1))


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 1),
            nn.Hardswish(),
            nn.Conv2d(12, 12, 5, 2, 2, groups=12, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.Conv2d(12, 12, 1),
        )
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.norm = nn.GroupNorm(3, 3)

    def forward(self, x):
        x = self.layers(x)
        gate = torch.sigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        b, c, h, w = x.shape
        x = (x * gate).view(b, 4, c // 4, h, w).transpose(1, 2).contiguous().view(b, -1, h, w)
        return self.norm(self.shuffle(x)).amax(dim=[2, 3])


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * 16 * 16, 20),
            nn.BatchNorm1d(20),
            nn.GELU(),
            nn.Linear(20, 20, bias=False),
            nn.PReLU(),
            nn.LayerNorm(20),
        )
        self.out = nn.Linear(20, 3)

    def forward(self, x):
        return (
            2
            - self.out(self.net(x)) / 3
            + 1.5 * torch.tanh(self.out(self.net[1:](x.flatten(1)))) ** 2
            - 0.5
        )


class OwnAttention(nn.Module):
    """The form in which most published vision transformers write it."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        attention = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(b, n, c))


class FusedAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.register_buffer("mask", torch.tril(torch.ones(1, 1, 32, 32)))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = (
            part.view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = torch.matmul(q, k.mT).masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        y = y + F.softmax(scores, dim=-1) @ v
        return self.proj(y.transpose(1, 2).contiguous().view(b, t, c))


class TorchAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        return y


class VisionTransformer(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 17, 16))
        self.norms = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(16), nn.LayerNorm(16, eps=1e-6)])
        self.attention = attention(16, 4)
        self.mlp = nn.Sequential(
            nn.Linear(16, 32), nn.GELU("tanh"), nn.Dropout(0.0), nn.Linear(32, 16)
        )
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.places
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x)[:, 0])


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 12, 3, padding=1)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.merge, self.out = nn.Conv2d(24, 6, 3, padding=1), nn.Conv2d(6, 3, 1)
        self.norm = nn.InstanceNorm2d(6, affine=True)

    def forward(self, x):
        one = F.leaky_relu(self.down1(x), 0.2)
        two = F.elu(self.down2(F.max_pool2d(one, 2)))
        up = F.interpolate(two, size=one.shape[-2:], mode="nearest")
        x = self.norm(self.merge(torch.cat([one, self.up(two), self.upsample(two)], 1)))
        x = self.out(F.pad(x, (1, 0, 1, 0))[..., 1:, 1:])
        return x - up.mean(1, keepdim=True)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.gamma = nn.Parameter(torch.full((3, 1, 1), 0.3))
        self.register_buffer("offset", torch.randn(3, 16, 16))

    def forward(self, x):
        for _ in range(3):
            x = x + self.gamma * self.norm(self.conv(x)) + self.offset
        first, second = x.chunk(2, dim=2)
        return torch.stack([first, second], dim=1).sum(1).std(dim=(1, 2))


class Encoder(nn.Module):
    def __init__(self, norm_first=False):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 24, 0.0, batch_first=True, norm_first=norm_first)
        self.embed = nn.Linear(48, 16)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.scale = nn.Hardshrink(0.1)

    def forward(self, x):
        x = self.encoder(self.embed(x.view(x.shape[0], 16, 48)))
        return torch.clamp(self.scale(torch.roll(x, 1, 2)), min=-1).max(dim=1)[0]


class Weighted(nn.Module):
    """Convolutions whose weights are computed, and a linear layer by function."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.matrix = nn.Parameter(torch.randn(2, 4))
        self.bias = nn.Parameter(torch.randn(2))

    def forward(self, x):
        x = F.conv2d(x, self.weight - self.weight.mean(dim=1, keepdim=True), padding=1)
        return F.linear(x.mean((-2, -1)), self.matrix, bias=self.bias)


MODULES = {
    "residual": ResidualNet,
    "separable": Separable,
    "perceptron": Perceptron,
    "own attention": lambda: VisionTransformer(OwnAttention),
    "fused attention": lambda: VisionTransformer(FusedAttention),
    "torch attention": lambda: VisionTransformer(TorchAttention),
    "unet": UNet,
    "shared": Shared,
    "encoder": Encoder,
    "encoder, norm first": lambda: Encoder(norm_first=True),
    "weighted": Weighted,
}


@pytest.mark.parametrize("name", MODULES)
def test_the_twin_computes_what_the_module_computes(name):
    torch.manual_seed(0)
    module, inputs = MODULES[name](), torch.randn(3, 3, 16, 16)
    graph = trace(module, (3, 16, 16))
    assert Graph.from_json(graph.to_json()) == graph
    twin = build(graph)
    copy_state(module, twin)
    with torch.no_grad():
        torch.testing.assert_close(twin(inputs), module(inputs), rtol=1e-6, atol=1e-6)
        module.eval(), twin.eval()
        expected = module(inputs)
        torch.testing.assert_close(twin(inputs), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(twin(inputs[:1]), module(inputs[:1]), rtol=1e-5, atol=1e-5)
    assert infer_shapes(graph)[-1] == expected.shape[1:]
    assert costs(trace(twin, (3, 16, 16))).parameters == costs(graph).parameters


@pytest.mark.parametrize("name", MODULES)
def test_the_counts_are_those_of_the_module(name):
    module = MODULES[name]()
    counted = costs(trace(module, (3, 16, 16)))
    assert counted.parameters == sum(parameter.numel() for parameter in module.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module.to("meta")(torch.empty(2, 3, 16, 16, device="meta"))
    assert 2 * 2 * counted.multiply_adds == counter.get_total_flops()


class Faulty(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.program, self.conv, self.linear = forward, nn.Conv2d(3, 8, 3), nn.Linear(4, 4)
        self.loose = [nn.Conv2d(3, 8, 3)]
        self.lstm = nn.LSTM(4, 4)
        self.hooked = nn.Conv2d(3, 8, 3)
        self.hooked.register_forward_hook(lambda module, inputs, output: output * 2)
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x):
        return self.program(self, x)


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
def test_what_cannot_be_traced_is_told_with_the_users_line(name):
    program, sentence = FAULTS[name]
    with pytest.raises(ValueError, match=sentence) as error:
        trace(Faulty(program), (3, 16, 16))
    if name not in ("two outputs", "no tensor"):
        assert f"{__file__}:{program.__code__.co_firstlineno}" in str(error.value)
        assert f'"{name}": (lambda' in str(error.value)
    assert error.value.__cause__ is not None


def test_a_traced_graph_equals_the_one_written_by_hand():
    module = nn.Sequential(
        nn.Conv2d(3, 8, (3, 3), stride=(2, 2), padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8, 5),
        nn.Softmax(dim=-1),
    )
    builder = GraphBuilder()
    x = builder.input((3, 16, 16))
    x = builder.node("conv2d", x, out_channels=8, kernel_size=3, stride=2, padding=1, bias=False)
    x = builder.node("relu", builder.node("batch_norm2d", x))
    x = builder.node("conv2d", x, out_channels=8, kernel_size=3, groups="in_channels")
    x = builder.node(
        "adaptive_avg_pool2d", builder.node("max_pool2d", x, kernel_size=2), output_size=1
    )
    x = builder.node("dropout", builder.node("flatten", x), p=0.2)
    x = builder.node("softmax", builder.node("linear", x, out_features=5), dim=-1)
    graph = trace(module, (3, 16, 16))
    assert graph == builder.output(x)
    assert [node.label for node in graph.nodes[1:-1]] == [str(number) for number in range(10)]


def test_three_ways_to_call_a_function_are_one_operation():
    def traced(program):
        return trace(Faulty(program), (3, 16, 16))

    graphs = [
        traced(lambda m, x: nn.functional.relu(x)),
        traced(lambda m, x: x.relu()),
        traced(lambda m, x: torch.relu(x)),
        traced(lambda m, x: x.relu_()),
    ]
    assert all(graph == graphs[0] for graph in graphs)
    sums = [
        traced(lambda m, x: x + x.tanh()),
        traced(lambda m, x: torch.add(x, x.tanh())),
        traced(lambda m, x: x.add(x.tanh())),
    ]
    assert all(graph == sums[0] for graph in sums)
    flat = [
        traced(lambda m, x: x.flatten(1)),
        traced(lambda m, x: x.view(x.size(0), -1)),
        traced(lambda m, x: x.reshape(-1, 3 * 16 * 16)),
    ]
    assert all(graph == flat[0] for graph in flat)


def test_operations_in_place_change_the_value_that_others_hold():
    def program(m, x):
        y = kept = x * 2
        y += 1
        copied = y.clone()
        F.relu(y, inplace=True)
        return kept + copied

    inputs = torch.randn(2, 3, 4, 4)
    assert torch.equal(build(trace(Faulty(program), (3, 4, 4)))(inputs), program(None, inputs))


def test_shapes_are_numbers_that_may_decide():
    def program(m, x):
        (b, c, h, w), rank = x.shape, x.ndim
        assert (c, h, w, rank, x.size(-1), x.shape[2:].numel(), x.dim()) == (
            3,
            16,
            16,
            4,
            16,
            256,
            4,
        )
        return m.conv(x).reshape(b, -1) if c == 3 and b == x.shape[0] else x

    assert [node.op for node in trace(Faulty(program), (3, 16, 16)).nodes] == [
        "input",
        "conv2d",
        "flatten",
        "output",
    ]


def test_functions_take_their_arguments_by_name_and_powers_by_tensor():
    def program(m, x):
        pooled = torch.mean(input=F.relu(input=x), dim=(2, 3))
        return (
            2**pooled
            + pooled ** torch.sigmoid(input=pooled)
            + torch.add(input=pooled, other=pooled, alpha=0.5)
        )

    inputs = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(
        build(trace(Faulty(program), (3, 4, 4)))(inputs), program(None, inputs)
    )


class Modal(nn.Module):
    def __init__(self, program):
        super().__init__()
        self.program, self.drop, self.share, self.linear = (
            program,
            nn.Dropout(0.5),
            0.5,
            nn.Linear(4, 4),
        )

    def forward(self, x):
        return self.program(self.linear(x), self, self.training)


@pytest.mark.parametrize(
    "program",
    [
        lambda x, m, training: F.dropout(x, 0.5, training=training),
        lambda x, m, training: m.drop(x) if training else x,
        lambda x, m, training: F.scaled_dot_product_attention(
            x, x, x, dropout_p=m.share if training else 0.0
        ),
    ],
)
def test_dropout_may_depend_on_the_mode(program):
    module = Modal(program)
    twin = build(trace(module, (6, 4)))
    copy_state(module, twin)
    inputs = torch.randn(3, 6, 4)
    for mode in (True, False):
        module.train(mode), twin.train(mode)
        torch.manual_seed(0)
        expected = module(inputs)
        torch.manual_seed(0)
        torch.testing.assert_close(twin(inputs), expected)


@pytest.mark.parametrize("mode", [True, False])
def test_a_module_that_computes_something_else_in_evaluation_is_refused(mode):
    module = Modal(lambda x, m, training: x if training else x.softmax(-1)).train(mode)
    module.drop.eval()
    with pytest.raises(
        ValueError, match=r"something else in evaluation.*test_trace\.py:\d+, Modal\.forward"
    ):
        trace(module, (6, 4))
    assert (module.training, module.drop.training) == (mode, False)


def test_a_refused_change_leaves_the_module_as_it_was():
    module = Faulty(lambda m, x: setattr(m, "steps", m.steps + 1) or x)
    with pytest.raises(ValueError, match="steps is changed in forward"):
        trace(module, (3, 16, 16))
    assert torch.equal(module.steps, torch.zeros(1))


def test_a_module_that_needs_numbers_while_it_is_made_is_told_so():
    from spaces import SearchSpace, Shapes

    def define(choose):
        rates = [rate.item() for rate in torch.linspace(0, 0.1, choose.integer("depth", 2, 3))]
        return nn.Sequential(nn.Flatten(), nn.Dropout(rates[-1]), nn.Linear(48, 2))

    space = SearchSpace("rates", define, Shapes((3, 4, 4), (2,)))
    with pytest.raises(ValueError, match=r"'define' asks for a tensor's numbers.*plain Python"):
        sample_graph(space, Random(0))


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


def test_modules_used_twice_share_their_weights():
    text = source(trace(Shared(), (3, 16, 16)))
    assert text.count("nn.Conv2d") == 1
    assert text.count("self.conv(") == 3


def test_tied_weights_are_refused():
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    module[1].weight = module[0].weight
    with pytest.raises(ValueError, match="tied"):
        trace(module, (4,))


def test_copying_state_is_strict():
    class Wide(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.one = nn.Linear(4, width)

        def forward(self, x):
            return self.one(x)

    twin = build(trace(Wide(8), (4,)))
    with pytest.raises(
        ValueError,
        match=r"one: weight should have the shape \(8, 4\), the original has the shape \(9, 4\)",
    ):
        copy_state(Wide(9), twin)
    with pytest.raises(ValueError, match="nothing of that name"):
        copy_state(nn.Linear(4, 8), twin)
    with pytest.raises(ValueError, match="made by spaces"):
        copy_state(Wide(8), Wide(8))


def test_a_module_of_torch_alone_is_a_network():
    module = nn.Linear(4, 2)
    twin = build(trace(module, (4,)))
    copy_state(module, twin)
    inputs = torch.randn(3, 4)
    assert torch.equal(twin(inputs), module(inputs))


def test_sequences_of_numbers_are_embedded():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(11, 8), nn.Linear(8, 2)
            self.places = nn.Embedding(6, 8)
            self.register_buffer("order", torch.arange(6))

        def forward(self, x):
            return self.head((self.words(x) + self.places(self.order)).mean(1))

    module, inputs = Reader(), torch.randint(11, (3, 6))
    twin = build(trace(module, (6,)))
    copy_state(module, twin)
    assert torch.equal(twin(inputs), module(inputs))


def test_a_module_that_an_operator_made_is_not_made_again_for_its_graph_and_questions():
    runs = 0

    def define(choose, shapes):
        nonlocal runs
        runs += 1
        widths = [choose.one_of(f"width{number}", [4, 8, 16]) for number in range(3)]
        return nn.Sequential(
            *(
                nn.Linear(inner, outer)
                for inner, outer in pairwise([*shapes.input, *widths, *shapes.output])
            )
        )

    space = SearchSpace("perceptrons", define, shapes=Shapes((5,), (2,)))
    parent = sample(space, Random(0))
    graph, questions = space.graph(parent), domains(space, parent)
    assert runs == 2  # The sampler keeps no domains.
    child = mutate(space, parent, Random(1))
    assert space.graph(child) != graph
    assert dict(domains(space, child)) == dict(questions)
    assert runs == 3
    assert space.replayed(child) == space.graph(child)
    assert runs == 4
