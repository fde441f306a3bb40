"""The networks of FlexiBERT, computed by plain loops from the parameters of a built module.

Letters as in `spaces.flexibert.encoder`: T tokens, H the width of a layer.
"""

from __future__ import annotations

import math
from itertools import groupby

import torch
from torch.nn import functional as F

from spaces.flexibert import mixers


def by_loops(state, layers, tokens_T, *, whole, farthest=mixers.FARTHEST):
    """The scores of one text, or of each of its tokens if not `whole`."""
    value_TH = norm(state, "embedding_norm", state["embedding_tokens.weight"][tokens_T])
    real = [place for place, token in enumerate(tokens_T.tolist()) if token != 0]
    for number, layer in enumerate(layers):
        if layer.hidden != value_TH.shape[1]:
            value_TH = linear(state, f"layers_{number}_projection", value_TH)
        value_TH = layer_by_loops(state, f"layers_{number}", layer, value_TH, real, farthest)
    if whole:
        total = sum((value_TH[place] for place in real), torch.zeros_like(value_TH[0]))
        value_TH = total / max(1, len(real))
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
            transformed = transform_by_loops(value_TH, cosine=operation == "l_dct")
            mixed = mixed + transformed[:, taken : taken + heads * size]
        columns.append(mixed)
    joined = linear(state, f"{label}_heads", torch.cat(columns, 1))
    value_TH = norm(state, f"{label}_heads_norm", value_TH + joined)
    inner = value_TH
    for place, features in enumerate(layer.feed_forward):
        inner = F.gelu(linear(state, f"{label}_feed_forward_{place}", inner))
        assert inner.shape[1] == features
    inner = linear(state, f"{label}_feed_forward_last", inner)
    return norm(state, f"{label}_feed_forward_norm", value_TH + inner)


def attention_by_loops(state, prefix, value_TH, heads, real, farthest):
    query = linear(state, f"{prefix}_query", value_TH)
    mixed = linear(state, f"{prefix}_value", value_TH)
    key = linear(state, f"{prefix}_key", value_TH) if f"{prefix}_key.weight" in state else None
    between, vectors = state.get(f"{prefix}_between"), state[f"{prefix}_distances.weight"]
    size, result = query.shape[1] // heads, torch.zeros_like(query)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        for place in range(len(query)):
            scores = []
            attended = real or range(len(query))
            for other in attended:
                distance = max(-farthest, min(farthest, other - place)) + (len(vectors) - 1) // 2
                score = query[place, own] @ vectors[distance]
                if key is not None:
                    weighted = query[place, own]
                    weighted = weighted if between is None else weighted @ between
                    score = score + weighted @ key[other, own]
                scores.append(score / math.sqrt(size))
            # In a text of padding alone, all tokens have the same weight.
            weights = torch.stack(scores).mul(bool(real)).softmax(0)
            result[place, own] = sum(
                weight * mixed[other, own] for weight, other in zip(weights, attended, strict=True)
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
                        wave = math.cos(math.pi * row * (place + 0.5) / length)
                        wave *= math.cos(math.pi * column * (feature + 0.5) / width)
                        wave *= math.sqrt((2 if row else 1) / length * (2 if column else 1) / width)
                    else:
                        turns = row * place / length + column * feature / width
                        wave = math.cos(2 * math.pi * turns) / math.sqrt(length * width)
                    total += float(value_TH[place, feature]) * wave
            result[row, column] = total
    return result


def convolution_by_loops(state, prefix, value_TH, heads, taps):
    query = linear(state, f"{prefix}_query", value_TH)
    mixed = linear(state, f"{prefix}_value", value_TH)
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
            own = slice(head * size, (head + 1) * size)
            weights = logits[head * taps : (head + 1) * taps].softmax(0)
            result[place, own] = sum(weights[tap] * mixed[other, own] for tap, other in near[place])
    return result


def linear(state, name, value):
    return value @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(state, name, value):
    centred = value - value.mean(-1, keepdim=True)
    deviation = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return centred / deviation * state[f"{name}.weight"] + state[f"{name}.bias"]
