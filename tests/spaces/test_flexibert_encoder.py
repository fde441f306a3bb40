"""The networks compute what the papers say: plain loops with the same weights give the same.

Letters as in `spaces.flexibert.encoder`: B texts, T tokens, H the width of a layer, E the width of
a head.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch

from spaces.build import build
from spaces.flexibert import OPERATIONS, Layer, describe, mixers, network
from spaces.load import load_space
from spaces.operators import sample
from spaces.ops import costs
from spaces.space import Shapes
from spaces.trace import trace
from tests.spaces.flexibert_by_loops import by_loops

LENGTH, VOCABULARY, CLASSES = 6, 11, 3
TEXTS = Shapes((LENGTH,), (CLASSES,), vocabulary=VOCABULARY)
EACH_TOKEN = Shapes((LENGTH,), (LENGTH, VOCABULARY), vocabulary=VOCABULARY)
# The first text has full length, the second is padded, the third is padding alone.
TOKENS_BT = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 0, 0], [0, 0, 0, 0, 0, 0]])

LAYERS = {
    **{operation: (Layer(8, (operation,) * 2, (12,)),) for operation in (*OPERATIONS, "c_3")},
    "one head": (Layer(8, ("sa_wma",), (12,)),),
    "mixed": (Layer(8, ("c_3", "l_dct", "l_dft", "sa_sdp"), (12,)),),
    "mixed twice": (
        Layer(12, ("c_5", "l_dft", "l_dft", "sa_wma", "sa_wma", "sa_wma"), (12, 8, 10)),
    ),
    "a width that heads do not divide": (Layer(8, ("l_dct", "l_dft", "l_dft"), (12,)),),
    "two widths": (
        Layer(8, ("l_dft",) * 2, (12, 10)),
        Layer(12, ("l_dct",) * 3, (6,)),
        Layer(12, ("sa_sdp",) * 2, (6,)),
    ),
}


def built(layers, shapes, seed=0) -> Any:
    torch.manual_seed(seed)
    return build(network(describe(layers, mixed=True), shapes), shapes.input).double().eval()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shapes", [TEXTS, EACH_TOKEN], ids=["classes", "tokens"])
def test_a_network_computes_what_the_loops_compute(name, shapes):
    module = built(LAYERS[name], shapes)
    state = module.state_dict()
    expected = torch.stack(
        [by_loops(state, LAYERS[name], tokens_T, whole=shapes is TEXTS) for tokens_T in TOKENS_BT]
    )
    difference = (module(TOKENS_BT) - expected).abs().max()
    assert torch.allclose(module(TOKENS_BT), expected, atol=1e-6), difference
    assert torch.isfinite(expected).all()


@pytest.mark.parametrize("operation", ["sa_sdp", "l_dct"])
def test_distances_are_bounded(operation, monkeypatch):
    monkeypatch.setattr(mixers, "FARTHEST", 2)
    layers = (Layer(8, (operation,) * 2, (12,)),)
    module = built(layers, TEXTS)
    state = module.state_dict()
    assert state[f"layers_0_{operation}_distances.weight"].shape == (5, 4)
    expected = torch.stack(
        [by_loops(state, layers, tokens_T, whole=True, farthest=2) for tokens_T in TOKENS_BT]
    )
    assert torch.allclose(module(TOKENS_BT), expected, atol=1e-6)


def test_a_single_token_is_a_text():
    layers = tuple(Layer(8, (operation,) * 2, (12,)) for operation in OPERATIONS)
    module = built(layers, Shapes((1,), (CLASSES,), vocabulary=VOCABULARY))
    assert module(torch.tensor([[4], [0]])).isfinite().all()


@pytest.mark.parametrize(
    ("operation", "reads_padding"),
    [("sa_sdp", False), ("sa_wma", False), ("l_dft", True), ("l_dct", True), ("c_5", True)],
)
def test_attention_ignores_padding_and_the_others_do_not(operation, reads_padding):
    """A change of the padding's embedding changes other tokens only by transforms and convolutions.

    That is so in the authors' code too.
    """
    module = built((Layer(8, (operation,) * 2, (12,)),) * 2, EACH_TOKEN)
    before = module(TOKENS_BT)[1, :4]
    with torch.no_grad():
        module.embedding_tokens.weight[0] = torch.arange(8.0)
    assert torch.allclose(module(TOKENS_BT)[1, :4], before, atol=1e-9) is not reads_padding


@pytest.mark.parametrize("operation", ["sa_sdp", "sa_wma"])
def test_the_mean_ignores_padding(operation):
    module = built((Layer(8, (operation,) * 2, (12,)),), TEXTS)
    before = module(TOKENS_BT)
    with torch.no_grad():
        module.embedding_tokens.weight[0] = torch.arange(8.0)
    assert torch.allclose(module(TOKENS_BT)[1], before[1], atol=1e-9)


@pytest.mark.parametrize("operation", ["sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5"])
def test_every_token_depends_on_every_other_and_on_near_ones_by_convolutions(operation):
    module = built((Layer(8, (operation,) * 2, (12,)),), EACH_TOKEN)
    changed = TOKENS_BT[:1].clone()
    changed[0, -1] = 8
    moved = (module(TOKENS_BT[:1]) - module(changed)).abs().amax(2)[0] > 1e-9
    assert moved.tolist() == [operation != "c_5"] * 3 + [True] * 3


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_reach_every_parameter_and_all_are_counted(name):
    module = built(LAYERS[name], TEXTS).train()
    parameters = dict(module.named_parameters())
    module(TOKENS_BT).square().sum().backward()
    # The bias of the keys moves all scores of a query by the same number, which softmax ignores.
    still = [
        item
        for item, parameter in parameters.items()
        if parameter.grad is None or not parameter.grad.abs().max() > 1e-12
    ]
    assert [item for item in still if not ("sa_" in item and item.endswith("key.bias"))] == []
    counted = costs(network(describe(LAYERS[name]), TEXTS), TEXTS.input)
    assert counted.parameters == sum(parameter.numel() for parameter in parameters.values())


def test_the_matrix_between_query_and_key_starts_within_its_bounds():
    module = built((Layer(64, ("sa_wma",) * 2, (12,)),), TEXTS)
    weights_EE = module.state_dict()["layers_0_sa_wma_between"]
    assert weights_EE.shape == (32, 32)
    assert 0.09 < weights_EE.abs().max() <= 0.1


def test_the_cosine_transform_is_orthonormal():
    module = built((Layer(8, ("l_dct",) * 2, (12,)),), TEXTS)
    cosine_TT, cosine_HH = (module.state_dict()[f"cosine_{size}"] for size in (LENGTH, 8))
    for matrix in (cosine_TT, cosine_HH):
        assert torch.allclose(
            matrix @ matrix.T, torch.eye(len(matrix), dtype=matrix.dtype), atol=1e-6
        )


@pytest.mark.parametrize("mixed", [False, True])
def test_a_layer_of_one_operation_is_the_same_in_both_forms(mixed):
    layers = (Layer(8, ("l_dft",) * 2, (12,)), Layer(8, ("c_5",) * 4, (12, 12)))
    assert network(describe(layers, mixed=mixed), TEXTS) == network(describe(layers), TEXTS)


def test_a_network_is_counted_when_it_is_traced():
    """Measures that read only the module find about the same costs."""
    layers = tuple(
        Layer(8, (operation,) * 2, (12,))
        for operation in ("sa_sdp", "sa_wma", "l_dft", "l_dct", "c_3")
    )
    module = built(layers, TEXTS).float()
    traced = costs(trace(module, (LENGTH,)), (LENGTH,))
    described = costs(network(describe(layers), TEXTS), (LENGTH,))
    assert traced.parameters == described.parameters
    assert traced.multiply_adds == pytest.approx(described.multiply_adds, rel=0.05)


def test_fifty_tiny_networks_take_a_step():
    shapes, random = Shapes((40,), (2,), vocabulary=4000), Random(0)
    space = load_space("flexibert_tiny").for_shapes(shapes)
    torch.manual_seed(0)
    for _ in range(50):
        module = space.build(sample(space, random))
        module(torch.randint(4000, (4, 40))).square().sum().backward()
        assert all(
            parameter.grad is not None and parameter.grad.isfinite().all()
            for parameter in module.parameters()
        )
