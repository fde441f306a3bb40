r"""The networks of BOSHNAS (Tuli et al. 2022) and their training: one for mean and noise, a teacher
that is unsure, a student that says how unsure it is.

All members are trained side by side: those that predict, and one for each fold that never sees it.
How long they are trained the folds' members say, by their error on what they left out, so no label
that stops a training was trained on.

Shapes: N training rows, M rows, K members, S subnetworks of a teacher, D numbers of an embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from predictors.boshnas.npn import NaturalNetwork
from predictors.network.layers import MemberLinear
from predictors.network.losses import squared_error

WARM_UP = 20
# Steps between two looks at what was left out, and looks without a lower error after which a
# training ends.
LOOK, PATIENCE = 10, 8
# Rows of a step, at most.
BATCH = 512
# Of the variances in a likelihood: that of a label that is known well.
LEAST_VARIANCE = 1e-3
# Rows that a student learns from for each row with a label, and how far out they lie, in shares of
# the way between two of these.
INVENTED, BEYOND = 4, 1.5


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: AdamW under a cosine schedule, over the steps at most."""

    steps: int
    learning_rate: float
    weight_decay: float


class Softplus(nn.Module):
    """Linear maps with softplus between them, and one output, for each member. Softplus, because a
    climb along the inputs asks for second derivatives.
    """

    def __init__(
        self, members: int, inputs: int, widths: Sequence[int], generator: torch.Generator
    ) -> None:
        super().__init__()
        sizes = (inputs, *widths, 1)
        self.layers = nn.ModuleList(
            MemberLinear(members, before, after, generator) for before, after in pairwise(sizes)
        )

    def forward(self, x: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """(K, N) the answers to (N, D); hidden units are multiplied by the masks, which are
        broadcast to (K, N, H).
        """
        for number, layer in enumerate(self.layers):
            if number:
                x = nn.functional.softplus(x)
                x = x * masks[number - 1] if masks else x
            x = layer(x)
        return x[..., 0]


def masks(
    members: int, widths: Sequence[int], rows: int, dropout: float, generator: torch.Generator
) -> list[Tensor]:
    """Dropout's factors on the hidden units (K, rows, H): 0, or as much more than 1 as keeps the
    mean.
    """
    return [
        (torch.rand(members, rows, width, generator=generator) >= dropout) / (1 - dropout)
        for width in widths
    ]


@dataclass(frozen=True)
class Teacher:
    """A network with dropout, and S of its subnetworks for each member: always the same ones, so
    their spread is a function of the place alone.

    A hidden unit is absent from a subnetwork for all rows (Gal and Ghahramani 2016).
    """

    network: Softplus
    masks: tuple[Tensor, ...]

    def moments(self, x_MD: Tensor) -> tuple[Tensor, Tensor]:
        """(K, M) the mean and the standard deviation of the subnetworks' answers."""
        answers = torch.stack(
            [
                self.network(x_MD, [mask[:, number : number + 1] for mask in self.masks])
                for number in range(self.masks[0].shape[1])
            ]
        )
        return answers.mean(0), answers.std(0)


def natural(
    members: int,
    widths: Sequence[int],
    activation: str,
    x_ND: Tensor,
    y_N: Tensor,
    absent_NK: Tensor,
    recipe: Recipe,
    seed: int,
) -> NaturalNetwork:
    """A trained natural-parameter network: its members' Gaussians are as likely as can be, each
    residual weighed by its deviation.

    The weight (Seitzer et al. 2022, beta 1/2) keeps a member from calling noise what it could
    learn. The published loss weighs the squared residual by ten, and so reports a variance ten
    times too large.
    """
    generator = torch.Generator().manual_seed(seed)
    network = NaturalNetwork(members, x_ND.shape[1], widths, activation, generator)

    def loss(rows: Tensor) -> Tensor:
        mean_KB, variance_KB = network(x_ND[rows])
        likelihood_KB = _likelihood(mean_KB, variance_KB, y_N[rows])
        return _mean(
            likelihood_KB * (variance_KB.detach() + LEAST_VARIANCE).sqrt(), ~absent_NK[rows]
        )

    def judge() -> float | None:
        mean_KN, variance_KN = network(x_ND)
        return _left_out(_likelihood(mean_KN, variance_KN, y_N), absent_NK)

    _train(network, loss, judge, len(y_N), recipe, generator)
    return network


def taught(
    members: int,
    widths: Sequence[int],
    dropout: float,
    samples: int,
    x_ND: Tensor,
    y_N: Tensor,
    absent_NK: Tensor,
    recipe: Recipe,
    seed: int,
) -> Teacher:
    """A trained teacher: the squared error under dropout is as small as can be."""
    generator = torch.Generator().manual_seed(seed)
    network = Softplus(members, x_ND.shape[1], widths, generator)

    def loss(rows: Tensor) -> Tensor:
        answer_KB = network(x_ND[rows], masks(members, widths, len(rows), dropout, generator))
        return squared_error(answer_KB.T, y_N[rows], (~absent_NK[rows]).float())

    _train(
        network,
        loss,
        lambda: _left_out((network(x_ND) - y_N) ** 2, absent_NK),
        len(y_N),
        recipe,
        generator,
    )
    return Teacher(network, tuple(masks(members, widths, samples, dropout, generator)))


def distilled(
    teacher: Teacher, widths: Sequence[int], x_ND: Tensor, recipe: Recipe, seed: int
) -> Softplus:
    """A trained student: the softplus of its answer is the standard deviation of its teacher's
    subnetworks, without a subnetwork.

    What a teacher says costs no label, so the student asks about invented rows too, between and
    beyond those with one: a search climbs to such places.
    """
    generator = torch.Generator().manual_seed(seed)
    members = len(teacher.masks[0])
    network = Softplus(members, x_ND.shape[1], widths, generator)
    first, second = torch.randint(len(x_ND), (2, INVENTED * len(x_ND)), generator=generator)
    share = BEYOND * torch.rand(len(first), 1, generator=generator)
    x_MD = torch.cat([x_ND, x_ND[first] + share * (x_ND[second] - x_ND[first])])
    with torch.no_grad():
        deviation_KM = teacher.moments(x_MD)[1]
        typical = deviation_KM.mean()

    def loss(rows: Tensor) -> Tensor:
        return (
            ((nn.functional.softplus(network(x_MD[rows])) - deviation_KM[:, rows]) / typical) ** 2
        ).mean(1)

    _train(network, loss, None, len(x_MD), recipe, generator)
    return network


def _likelihood(mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
    variance = variance + LEAST_VARIANCE
    return 0.5 * ((mean - y) ** 2 / variance + torch.log(variance))


def _mean(each_KB: Tensor, counts_BK: Tensor) -> Tensor:
    return (each_KB * counts_BK.T).sum(1) / counts_BK.sum(0).clamp_min(1)


def _left_out(each_KN: Tensor, absent_NK: Tensor) -> float | None:
    """The mean over what the members left out; None where none leaves any out."""
    return float((each_KN * absent_NK.T).sum() / absent_NK.sum()) if absent_NK.any() else None


def _train(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    judge: Callable[[], float | None] | None,
    count: int,
    recipe: Recipe,
    generator: torch.Generator,
) -> None:
    """Train in place down the sum of the members' losses, and leave the weights of the look at
    which the judge gave the lowest number.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    lowest, best, since = math.inf, None, 0
    for step, rows in zip(range(recipe.steps), _batches(count, generator), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = (
                recipe.learning_rate
                * min(1.0, (step + 1) / WARM_UP)
                * 0.5
                * (1 + math.cos(math.pi * step / recipe.steps))
            )
        optimizer.zero_grad(set_to_none=True)
        loss(rows).sum().backward()
        optimizer.step()
        if judge is None or (step + 1) % LOOK:
            continue
        with torch.no_grad():
            judged = judge()
        if judged is None:
            continue
        since += 1
        if judged < lowest:
            lowest, since, best = (
                judged,
                0,
                {name: weight.clone() for name, weight in network.state_dict().items()},
            )
        if since == PATIENCE:
            break
    if best is not None:
        network.load_state_dict(best)
    network.requires_grad_(False)


def _batches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """All rows, or in batches of equal size, in a new order each time."""
    if count <= BATCH:
        while True:
            yield torch.arange(count)
    while True:
        yield from torch.randperm(count, generator=generator).split(
            math.ceil(count / math.ceil(count / BATCH))
        )


def tensors(
    x_ND: np.ndarray, y_N: np.ndarray, absent_NK: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, targets and who leaves out what, as the functions above take them."""
    return (
        torch.from_numpy(x_ND.astype(np.float32)),
        torch.from_numpy(y_N.astype(np.float32)),
        torch.from_numpy(absent_NK),
    )
