"""The networks compute what the papers say: each operation against plain loops with the same
weights.

Letters as in `spaces.flexibert.encoder`: T tokens, H the width of a layer, N heads of an operation,
E the width of a head.
"""

from __future__ import annotations

import math
from itertools import groupby
from random import Random
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from spaces.build import build
from spaces.flexibert import OPERATIONS, Layer, describe, mixers, network
from spaces.load import load_space
from spaces.operators import sample
from spaces.ops import costs
from spaces.space import Shapes
from spaces.trace import trace

LENGTH, VOCABULARY, CLASSES = 6, 11, 3
TEXTS = Shapes((LENGTH,), (CLASSES,), vocabulary=VOCABULARY)
EACH_TOKEN = Shapes((LENGTH,), (LENGTH, VOCABULARY), vocabulary=VOCABULARY)
# The first text fills its place, the second is padded, the third is padding alone.
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
def test_a_network_is_the_loops(name, shapes):
    module = built(LAYERS[name], shapes)
    state = module.state_dict()
    expected = torch.stack(
        [by_loops(state, LAYERS[name], tokens_T, whole=shapes is TEXTS) for tokens_T in TOKENS_BT]
    )
    assert torch.allclose(module(TOKENS_BT), expected, atol=1e-6), (
        (module(TOKENS_BT) - expected).abs().max()
    )
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
    ("operation", "hears"),
    [("sa_sdp", False), ("sa_wma", False), ("l_dft", True), ("l_dct", True), ("c_5", True)],
)
def test_attention_leaves_padding_out_and_the_others_do_not(operation, hears):
    """What stands for padding is changed, and nobody else hears of it; transforms and convolutions
    do, as in the authors' code.
    """
    module = built((Layer(8, (operation,) * 2, (12,)),) * 2, EACH_TOKEN)
    before = module(TOKENS_BT)[1, :4]
    with torch.no_grad():
        module.embedding_tokens.weight[0] = torch.arange(8.0)
    assert torch.allclose(module(TOKENS_BT)[1, :4], before, atol=1e-9) is not hears


@pytest.mark.parametrize("operation", ["sa_sdp", "sa_wma"])
def test_the_mean_leaves_padding_out(operation):
    module = built((Layer(8, (operation,) * 2, (12,)),), TEXTS)
    before = module(TOKENS_BT)
    with torch.no_grad():
        module.embedding_tokens.weight[0] = torch.arange(8.0)
    assert torch.allclose(module(TOKENS_BT)[1], before[1], atol=1e-9)


@pytest.mark.parametrize("operation", ["sa_sdp", "sa_wma", "l_dft", "l_dct", "c_5"])
def test_every_place_hears_of_every_other_but_of_convolutions_only_near_ones(operation):
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
    # A number that is added to every key moves every score alike, so softmax does not hear of it.
    still = [
        item
        for item, parameter in parameters.items()
        if parameter.grad is None or not parameter.grad.abs().max() > 1e-12
    ]
    assert [item for item in still if not ("sa_" in item and item.endswith("key.bias"))] == []
    counted = costs(network(describe(LAYERS[name]), TEXTS), TEXTS.input)
    assert counted.parameters == sum(parameter.numel() for parameter in parameters.values())


def test_the_matrix_between_starts_between_its_bounds():
    module = built((Layer(64, ("sa_wma",) * 2, (12,)),), TEXTS)
    weights_EE = module.state_dict()["layers_0_sa_wma_between"]
    assert weights_EE.shape == (32, 32)
    assert 0.09 < weights_EE.abs().max() <= 0.1


def test_a_transform_in_front_of_attention_keeps_its_size():
    """Orthonormal: the transform of a vector of length 1 has at most length 1, and the cosine
    transform exactly that.
    """
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
    """Measures that look into the module alone find about the same in it."""
    layers = tuple(
        Layer(8, (operation,) * 2, (12,))
        for operation in ("sa_sdp", "sa_wma", "l_dft", "l_dct", "c_3")
    )
    module = built(layers, TEXTS).float()
    traced, described = (
        costs(trace(module, (LENGTH,)), (LENGTH,)),
        costs(network(describe(layers), TEXTS), (LENGTH,)),
    )
    assert traced.parameters == described.parameters
    assert traced.multiply_adds == pytest.approx(described.multiply_adds, rel=0.05)


def test_fifty_tiny_networks_take_a_step():
    space, random = (
        load_space("flexibert_tiny").for_shapes(Shapes((40,), (2,), vocabulary=4000)),
        Random(0),
    )
    torch.manual_seed(0)
    for _ in range(50):
        module = space.build(sample(space, random))
        module(torch.randint(4000, (4, 40))).square().sum().backward()
        assert all(
            parameter.grad is not None and parameter.grad.isfinite().all()
            for parameter in module.parameters()
        )


# ---- the same by loops
# ----------------------------------------------------------------------------------------------


def by_loops(state, layers, tokens_T, *, whole, farthest=mixers.FARTHEST):
    """The scores of one text."""
    value_TH = norm(state, "embedding_norm", state["embedding_tokens.weight"][tokens_T])
    real = [place for place, token in enumerate(tokens_T.tolist()) if token != 0]
    for number, layer in enumerate(layers):
        if layer.hidden != value_TH.shape[1]:
            value_TH = linear(state, f"layers_{number}_projection", value_TH)
        value_TH = layer_by_loops(state, f"layers_{number}", layer, value_TH, real, farthest)
    if whole:
        value_TH = sum((value_TH[place] for place in real), torch.zeros_like(value_TH[0])) / max(
            1, len(real)
        )
    return linear(state, "head", value_TH)


def layer_by_loops(state, label, layer, value_TH, real, farthest):
    size, columns = layer.hidden // len(layer.operations), []
    for operation, same in groupby(layer.operations):
        heads, taken = len(list(same)), sum(part.shape[1] for part in columns)
        prefix = f"{label}_{operation}"
        if operation.startswith("c"):
            columns.append(convolution_by_loops(state, prefix, value_TH, heads, int(operation[2:])))
            continue
        mixed = attention_by_loops(state, prefix, value_TH, heads, real, farthest)
        if operation.startswith("l"):
            mixed = (
                mixed
                + transform_by_loops(value_TH, cosine=operation == "l_dct")[
                    :, taken : taken + heads * size
                ]
            )
        columns.append(mixed)
    value_TH = norm(
        state,
        f"{label}_heads_norm",
        value_TH + linear(state, f"{label}_heads", torch.cat(columns, 1)),
    )
    inner = value_TH
    for place, features in enumerate(layer.feed_forward):
        inner = F.gelu(linear(state, f"{label}_feed_forward_{place}", inner))
        assert inner.shape[1] == features
    return norm(
        state,
        f"{label}_feed_forward_norm",
        value_TH + linear(state, f"{label}_feed_forward_last", inner),
    )


def attention_by_loops(state, prefix, value_TH, heads, real, farthest):
    query, mixed = (
        linear(state, f"{prefix}_query", value_TH),
        linear(state, f"{prefix}_value", value_TH),
    )
    key = linear(state, f"{prefix}_key", value_TH) if f"{prefix}_key.weight" in state else None
    between, vectors = state.get(f"{prefix}_between"), state[f"{prefix}_distances.weight"]
    size, result = query.shape[1] // heads, torch.zeros_like(query)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for place in range(len(query)):
            scores = []
            heard = real or range(len(query))
            for other in heard:
                distance = max(-farthest, min(farthest, other - place)) + (len(vectors) - 1) // 2
                score = query[place, own] @ vectors[distance]
                if key is not None:
                    asked = query[place, own] if between is None else query[place, own] @ between
                    score = score + asked @ key[other, own]
                scores.append(score / math.sqrt(size))
            # A text of padding alone hears all of it alike.
            weights = torch.stack(scores).mul(bool(real)).softmax(0)
            result[place, own] = sum(
                weight * mixed[other, own] for weight, other in zip(weights, heard, strict=True)
            )
    return result


def transform_by_loops(value_TH, *, cosine):
    length, width = value_TH.shape
    result = torch.zeros_like(value_TH)
    for row in range(length):
        for column in range(width):
            total = 0.0
            for place in range(length):
                for feature in range(width):
                    if cosine:
                        wave = math.cos(math.pi * row * (place + 0.5) / length) * math.cos(
                            math.pi * column * (feature + 0.5) / width
                        )
                        wave *= math.sqrt((2 if row else 1) / length * (2 if column else 1) / width)
                    else:
                        wave = math.cos(
                            2 * math.pi * (row * place / length + column * feature / width)
                        ) / math.sqrt(length * width)
                    total += float(value_TH[place, feature]) * wave
            result[row, column] = total
    return result


def convolution_by_loops(state, prefix, value_TH, heads, taps):
    query, mixed = (
        linear(state, f"{prefix}_query", value_TH),
        linear(state, f"{prefix}_value", value_TH),
    )
    length, size, result = len(query), query.shape[1] // heads, torch.zeros_like(query)
    near = [
        [
            (tap, place + tap - taps // 2)
            for tap in range(taps)
            if 0 <= place + tap - taps // 2 < length
        ]
        for place in range(length)
    ]
    for place in range(length):
        span = sum(
            state[f"{prefix}_span.weight"][:, 0, tap] * value_TH[other]
            for tap, other in near[place]
        )
        key = state[f"{prefix}_key.weight"][:, :, 0] @ span + state[f"{prefix}_key.bias"]
        logits = linear(state, f"{prefix}_weights", query[place] * key)
        for head in range(heads):
            own, weights = (
                slice(head * size, (head + 1) * size),
                logits[head * taps : (head + 1) * taps].softmax(0),
            )
            result[place, own] = sum(weights[tap] * mixed[other, own] for tap, other in near[place])
    return result


def linear(state, name, value):
    return value @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(state, name, value):
    centred = value - value.mean(-1, keepdim=True)
    return (
        centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * state[f"{name}.weight"]
        + state[f"{name}.bias"]
    )
