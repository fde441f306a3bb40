"""Training of several graph networks at once: AdamW under a cosine schedule.

Shapes: N training graphs, B graphs of a batch, P padded node positions, K members.
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
# The members are trained in this number of parts, which run in parallel on the available cores. The
# number does not depend on the cores, so the results do not either.
PARTS = 4
# If all members together have fewer features than this, they are trained in one part. With more
# parts the overhead of a step, which each part has, would outweigh its arithmetic.
FEATURES_OF_PARTS = 256
# The largest number of pairs of nodes in one batch. With more, a step on deep networks would take
# gigabytes.
MOST_PAIRS_OF_NODES = 1 << 21


@dataclass(frozen=True)
class Optimisation:
    """The settings with which the graph networks are trained.

    Attributes:
        steps: optimiser steps. There are more if `steps` would be fewer than `epochs` epochs.
        epochs: the least number of passes over the training graphs.
        batch_size: graphs in a step. If there are at most 1.5 times as many training graphs, each
            step uses all of them.
        learning_rate: the largest learning rate, reached after the warm-up.
        weight_decay: decoupled weight decay of AdamW.
        ranking: weight of the pairwise loss relative to the pointwise one.
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
    optimisation: Optimisation,
    seed: int,
) -> None:
    """Train all members in place.

    Args:
        target_N: the targets, in normal scores.
        left_out_NK: true if the graph is held out from the training of the member.
        hidden_K: the share of the nodes that is hidden from each member, at random in each step.
    """
    count = network.sizes.members
    num_parts = min(PARTS, count) if count * network.sizes.width >= FEATURES_OF_PARTS else 1
    members = np.array_split(np.arange(count), num_parts)
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
            optimisation,
            [seed, number],
        )
        for number, (part, some) in enumerate(zip(parts, members, strict=True))
    ]
    workers = min(len(parts), os.cpu_count() or 1)
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        # A single worker computes in this thread. Memory that another thread frees is returned to
        # the operating system, and has to be zeroed again for every step.
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
    optimisation: Optimisation,
    seed: list[int],
) -> None:
    device = network.device
    targets, seen, shares = (
        torch.from_numpy(array.astype(np.float32)).to(device)
        for array in (target_N, ~left_out_NK, hidden_K)
    )
    random = np.random.default_rng(seed)
    generator = torch.Generator(device).manual_seed(int(random.integers(2**63)))
    epochs = optimisation.epochs * len(encoded) / optimisation.batch_size
    steps = max(optimisation.steps, math.ceil(epochs))
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=optimisation.learning_rate,
        weight_decay=optimisation.weight_decay,
        fused=True,
    )
    batch_size = _batch_size(encoded, optimisation.batch_size)
    batches = _batches(encoded, everything, batch_size, random, device)
    for step in range(steps):
        warm_up, cosine = min(1.0, (step + 1) / WARM_UP), 1 + math.cos(math.pi * step / steps)
        for group in optimizer.param_groups:
            group["lr"] = optimisation.learning_rate * warm_up * 0.5 * cosine
        tensors, rows_B = next(batches)
        hidden_BPK = None
        if hidden_K.any():
            shape = (*tensors.op_MP.shape, len(shares))
            hidden_BPK = torch.rand(shape, generator=generator, device=device) < shares
        mean_BK, target_B, seen_BK = network(tensors, hidden_BPK), targets[rows_B], seen[rows_B]
        loss_K = squared_error(mean_BK, target_B, seen_BK)
        if optimisation.ranking > 0:
            loss_K = loss_K + optimisation.ranking * pairwise_logistic(mean_BK, target_B, seen_BK)
        optimizer.zero_grad(set_to_none=True)
        loss_K.sum().backward()
        optimizer.step()


def _batch_size(encoded: Encoded, most: int) -> int:
    """The number of graphs in a batch: at most `most`, and at most as many as fit in memory."""
    return max(2, min(most, len(encoded), MOST_PAIRS_OF_NODES // _pairs_of_nodes(encoded)))


def _pairs_of_nodes(encoded: Encoded) -> int:
    """The square of the largest graph's number of nodes.

    A dense relation holds this many numbers for each graph.
    """
    return (int((encoded.flat.last_M - encoded.flat.first_M).max()) + 1) ** 2


def _everything(encoded: Encoded, device: torch.device) -> Tensors | None:
    """All graphs as tensors; None if they do not fit in memory."""
    if _pairs_of_nodes(encoded) * len(encoded) > 8 * MOST_PAIRS_OF_NODES:
        return None
    return to_tensors(encoded, device)


def _batches(
    encoded: Encoded,
    everything: Tensors | None,
    size: int,
    random: np.random.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensors, Tensor]]:
    """Batches of graphs with the indices of their graphs, without end."""
    if everything is not None and len(encoded) <= size * 3 // 2:
        while True:
            yield everything, torch.arange(len(encoded), device=device)
    while True:
        order = random.permutation(len(encoded))
        for start in range(0, len(order) - size + 1, size):
            rows = np.sort(order[start : start + size])
            row_B = torch.from_numpy(rows).to(device)
            if everything is None:
                yield to_tensors(encoded.take(rows), device), row_B
            else:
                yield everything.take(row_B), row_B
