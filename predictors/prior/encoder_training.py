"""How the graph network of the prior is trained on published tables.

As `encoder`, this module imports torch-geometric: import it where a network is trained.

Shapes: N graphs of a table, M graphs in a step, X inputs of a node, K heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from predictors.network.layers import one_thread
from predictors.prior.encoder import Encoder, Sizes, Steps, Trained, batch_of, steps_of
from predictors.prior.kinds import KINDS
from predictors.prior.networks import Networks


@dataclass(frozen=True)
class Training:
    """How a network is trained; the defaults are for tables of thousands of graphs.

    Attributes:
        graphs: of each table, drawn anew for each pass. With 0 the weights stay as they are drawn.
        passes: over these graphs.
        batch_size: graphs of one table in a step.
        learning_rate: at its highest. It rises over the first 30 steps and falls as a cosine.
        weight_decay: of AdamW.
        hidden: the share of the inputs that are 0 in a step, for all its graphs.
    """

    graphs: int = 600
    passes: int = 1
    batch_size: int = 40
    learning_rate: float = 2e-3
    weight_decay: float = 3e-2
    hidden: float = 0.0


def ranking_and_regression(found_M: Tensor, wanted_M: Tensor) -> Tensor:
    """The mean logistic loss of the pairs, and half the squared error about the found mean.

    Args:
        found_M: predictions.
        wanted_M: normal scores. Pairs that are nearer than 0.1 are not ordered.
    """
    better_MM = wanted_M[:, None] - wanted_M > 0.1
    ahead = (found_M[:, None] - found_M)[better_MM]
    ranking = nn.functional.softplus(-ahead).mean() if len(ahead) else found_M.sum() * 0
    return ranking + 0.5 * ((found_M - found_M.mean() - wanted_M) ** 2).mean()


def train(
    module: nn.Module,
    tables: Sequence[tuple[Networks, np.ndarray]],
    steps: Steps,
    how: Training,
    random: np.random.Generator,
) -> None:
    """Train the parameters of the module that need a gradient.

    Args:
        module: predicts (M, K) of a batch; column k is trained on table k. If it has one column,
            that is trained on all tables.
        tables: networks and their labels; higher is better.
        steps: how the module reads nodes.
        how: the optimisation.
        random: draws graphs, their order, and hidden inputs.
    """
    jobs: list[tuple[int, np.ndarray]] = []
    for _ in range(how.passes):
        some: list[tuple[int, np.ndarray]] = []
        for place, (_, label_N) in enumerate(tables):
            row_N = random.permutation(np.flatnonzero(np.isfinite(label_N)))[: how.graphs]
            parts = np.array_split(row_N, max(1, len(row_N) // how.batch_size))
            some += [(place, rows) for rows in parts if len(rows) > 1]
        jobs += [some[place] for place in random.permutation(len(some))]
    free = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(free, lr=1.0, weight_decay=how.weight_decay)

    def rate(step: int) -> float:
        return min(1, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * step / len(jobs)))

    with one_thread():
        for step, (place, rows) in enumerate(jobs):
            networks, label_N = tables[place]
            batch = batch_of(networks.take(rows), steps)
            shown_X = torch.from_numpy(random.random(batch.input_NX.shape[1]) >= how.hidden)
            found_MK = module(replace(batch, input_NX=batch.input_NX * shown_X))
            wanted_M = torch.from_numpy(normal_scores(label_N[rows])).float()
            loss = ranking_and_regression(
                found_MK[:, place if found_MK.shape[1] > 1 else 0], wanted_M
            )
            for group in optimiser.param_groups:
                group["lr"] = how.learning_rate * rate(step)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(free, 1.0)
            optimiser.step()


def normal_scores(label_N: np.ndarray) -> np.ndarray:
    """(N,) the quantile of a normal distribution at the rank of each label; equal ones share it."""
    order, label_N = np.sort(label_N), np.asarray(label_N)
    rank_N = np.searchsorted(order, label_N) + np.searchsorted(order, label_N, side="right")
    return np.sqrt(2) * torch.erfinv(torch.from_numpy(rank_N / len(label_N) - 1)).numpy()


def pretrain(
    tables: Sequence[tuple[Networks, np.ndarray]],
    how: Training,
    seed: int,
    *,
    width: int = 24,
    layers: int = 3,
    each: int = 6,
) -> Trained:
    """A network with one head for each table, trained on all of them.

    The same tables and seed give the same weights.

    Args:
        tables: networks and their labels; higher is better.
        how: the optimisation.
        seed: of weights and batches.
        width, layers: see `Sizes`.
        each: steps for each number of a node.
    """
    random = np.random.default_rng(seed)
    shown = [networks.take(random.permutation(len(networks))[:300]) for networks, _ in tables]
    steps = steps_of(np.concatenate([networks.node_NF for networks in shown]), each)
    sizes = Sizes(len(KINDS) + len(steps), width, layers, len(tables))
    network = Encoder(sizes, torch.Generator().manual_seed(seed))
    train(network, tables, steps, how, random)
    return Trained(network, steps)
