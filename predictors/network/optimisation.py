"""Training of several networks at once: AdamW under a cosine schedule, on all graphs or on batches
of them.

Shapes: N training graphs, B graphs of a batch, K members.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from predictors.network.gnn import GraphNetwork
from predictors.network.layers import Tensors, one_thread, to_tensors
from predictors.network.losses import pairwise_logistic, squared_error
from predictors.reading.batch import Encoded

WARM_UP = 20
# Members are trained in so many parts, on as many cores as there are. Always the same number, so
# that results do not depend on the cores.
PARTS = 4
# Members that have fewer features than this together are trained in one part: what a step costs
# beside its arithmetic would be paid for every part.
FEATURES_OF_PARTS = 256
# In one batch: beyond, a step on deep networks would take gigabytes.
MOST_PAIRS_OF_NODES = 1 << 21


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        steps: optimiser steps; more where the training graphs are so many that each would be seen
            fewer than `epochs` times.
        epochs: times that each graph is seen at least.
        batch_size: graphs in a step; up to one and a half times as many are taken all at once.
        learning_rate: its maximum, after the warm-up.
        weight_decay: AdamW's, decoupled.
        ranking: weight of the pairwise loss beside the pointwise one.
    """

    steps: int = 300
    epochs: int = 80
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    ranking: float = 1.0


def train(
    network: GraphNetwork,
    encoded: Encoded,
    target_N: np.ndarray,
    left_out_NK: np.ndarray,
    hidden_K: np.ndarray,
    recipe: Recipe,
    seed: int,
) -> None:
    """Train all members in place.

    Args:
        left_out_NK: true where a member does not see the graph.
        hidden_K: the share of the nodes that each member does not see, others in every step.
    """
    count = network.sizes.members
    members = np.array_split(
        np.arange(count),
        min(PARTS, count) if count * network.sizes.width >= FEATURES_OF_PARTS else 1,
    )
    parts = [network.only(int(some[0]), int(some[-1]) + 1) for some in members]
    everything = _everything(encoded, network.device)
    jobs = [
        (
            part,
            encoded,
            everything,
            target_N,
            left_out_NK[:, some],
            hidden_K[some],
            recipe,
            [seed, number],
        )
        for number, (part, some) in enumerate(zip(parts, members, strict=True))
    ]
    workers = min(len(parts), os.cpu_count() or 1)
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        # Alone in the thread that asks: what another thread frees goes back to the system, and has
        # to be cleared anew for every step.
        each = map if workers == 1 else pool.map
        list(each(_train, *zip(*jobs, strict=True)))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.copy_(torch.cat([part.get_parameter(name) for part in parts]))


def _train(
    network: GraphNetwork,
    encoded: Encoded,
    everything: Tensors | None,
    target_N: np.ndarray,
    left_out_NK: np.ndarray,
    hidden_K: np.ndarray,
    recipe: Recipe,
    seed: list[int],
) -> None:
    device = network.device
    targets, seen, shares = (
        torch.from_numpy(array.astype(np.float32)).to(device)
        for array in (target_N, ~left_out_NK, hidden_K)
    )
    random = np.random.default_rng(seed)
    generator = torch.Generator(device).manual_seed(int(random.integers(2**63)))
    steps = max(recipe.steps, math.ceil(recipe.epochs * len(encoded) / recipe.batch_size))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    batches = _batches(encoded, everything, _batch_size(encoded, recipe.batch_size), random, device)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = (
                recipe.learning_rate
                * min(1.0, (step + 1) / WARM_UP)
                * 0.5
                * (1 + math.cos(math.pi * step / steps))
            )
        tensors, rows_B = next(batches)
        hidden_BPK = (
            torch.rand((*tensors.op_MP.shape, len(shares)), generator=generator, device=device)
            < shares
            if hidden_K.any()
            else None
        )
        mean_BK, target_B, seen_BK = network(tensors, hidden_BPK), targets[rows_B], seen[rows_B]
        loss_K = squared_error(mean_BK, target_B, seen_BK)
        if recipe.ranking > 0:
            loss_K = loss_K + recipe.ranking * pairwise_logistic(mean_BK, target_B, seen_BK)
        optimizer.zero_grad(set_to_none=True)
        loss_K.sum().backward()
        optimizer.step()


def _batch_size(encoded: Encoded, most: int) -> int:
    """As many graphs as fit: each takes the square of the largest one's nodes."""
    return max(2, min(most, len(encoded), MOST_PAIRS_OF_NODES // _pairs_of_nodes(encoded)))


def _pairs_of_nodes(encoded: Encoded) -> int:
    """The square of the largest graph's nodes: the numbers that each relation takes for every
    graph.
    """
    return (int((encoded.flat.last_M - encoded.flat.first_M).max()) + 1) ** 2


def _everything(encoded: Encoded, device: torch.device) -> Tensors | None:
    """All graphs as tensors, where they fit."""
    return (
        to_tensors(encoded, device)
        if _pairs_of_nodes(encoded) * len(encoded) <= 8 * MOST_PAIRS_OF_NODES
        else None
    )


def _batches(
    encoded: Encoded,
    everything: Tensors | None,
    size: int,
    random: np.random.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensors, Tensor]]:
    if everything is not None and len(encoded) <= size * 3 // 2:
        while True:
            yield everything, torch.arange(len(encoded), device=device)
    while True:
        order = random.permutation(len(encoded))
        for start in range(0, len(order) - size + 1, size):
            rows = np.sort(order[start : start + size])
            row_B = torch.from_numpy(rows).to(device)
            yield (
                to_tensors(encoded.take(rows), device)
                if everything is None
                else everything.take(row_B),
                row_B,
            )
