"""The training of BOSHNAS' networks: mean and noise, a teacher with dropout, and its student.

BOSHNAS: Tuli et al. 2022. The student learns the standard deviation of the teacher's predictions
under dropout, which is the epistemic uncertainty.

All members are trained at once: those that predict, and for each fold one member that is trained
without it. Training stops early by the error of the folds' members on their held-out rows, so no
label that stops a training is used in it.

Shapes: N training rows, M rows, B rows of a batch, K members, S subnetworks of a teacher, D numbers
of an embedding, H hidden units.
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
# Steps between two evaluations of the held-out error, and the number of evaluations without a lower
# error after which a training ends.
EVALUATE_EVERY, PATIENCE = 10, 8
# The largest number of rows in a step.
BATCH = 512
# Added to the variances in a likelihood: the variance of an almost exact label.
LEAST_VARIANCE = 1e-3
# For each labelled row, a student is trained on this number of synthetic rows. Each is on the line
# from one labelled row through another, at most this multiple of their distance from the first.
SYNTHETIC, EXTRAPOLATION = 4, 1.5


@dataclass(frozen=True)
class Distillation:
    """The settings with which a network is trained: AdamW under a cosine schedule.

    Attributes:
        steps: the largest number of steps.
        learning_rate: the largest learning rate.
        weight_decay: decoupled weight decay.
    """

    steps: int
    learning_rate: float
    weight_decay: float


class SoftplusNetwork(nn.Module):
    """A multilayer perceptron with softplus and one output, for each member.

    It uses softplus because second-order ascent on the inputs needs second derivatives.
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
        """(K, N) the outputs for (N, D).

        The hidden units are multiplied by the masks, which are broadcast to (K, N, H).
        """
        for number, layer in enumerate(self.layers):
            if number:
                x = nn.functional.softplus(x)
                x = x * masks[number - 1] if masks else x
            x = layer(x)
        return x[..., 0]


def dropout_masks(
    members: int, widths: Sequence[int], rows: int, dropout: float, generator: torch.Generator
) -> list[Tensor]:
    """For each hidden layer, dropout's factors (K, rows, H): 0, or 1 / (1 - dropout)."""
    return [
        (torch.rand(members, rows, width, generator=generator) >= dropout) / (1 - dropout)
        for width in widths
    ]


@dataclass(frozen=True)
class Teacher:
    """A network trained with dropout, and S fixed subnetworks of it for each member.

    Because the subnetworks are fixed, their standard deviation is a function of the input alone. A
    unit that a subnetwork drops is dropped for all rows (Gal and Ghahramani 2016).
    """

    network: SoftplusNetwork
    masks: tuple[Tensor, ...]

    def moments(self, x_MD: Tensor) -> tuple[Tensor, Tensor]:
        """(K, M) the mean and the standard deviation of the subnetworks' outputs."""
        outputs = [
            self.network(x_MD, [mask[:, number : number + 1] for mask in self.masks])
            for number in range(self.masks[0].shape[1])
        ]
        output_SKM = torch.stack(outputs)
        return output_SKM.mean(0), output_SKM.std(0)


def train_natural(
    members: int,
    widths: Sequence[int],
    activation: str,
    x_ND: Tensor,
    y_N: Tensor,
    absent_NK: Tensor,
    distillation: Distillation,
    seed: int,
) -> NaturalNetwork:
    """A natural-parameter network, trained on the negative log-likelihood of its Gaussians.

    The loss of each row is weighted by the predicted standard deviation (Seitzer et al. 2022 with
    beta = 1/2). This keeps the network from explaining a learnable function as noise. The published
    loss multiplies the squared residual by ten, and so predicts a variance ten times too large.

    Args:
        absent_NK: true if the row is held out from the training of the member.
    """
    generator = torch.Generator().manual_seed(seed)
    network = NaturalNetwork(members, x_ND.shape[1], widths, activation, generator)

    def loss(rows: Tensor) -> Tensor:
        mean_KB, variance_KB = network(x_ND[rows])
        likelihood_KB = _likelihood(mean_KB, variance_KB, y_N[rows])
        deviation_KB = (variance_KB.detach() + LEAST_VARIANCE).sqrt()
        return _mean(likelihood_KB * deviation_KB, ~absent_NK[rows])

    def held_out_loss() -> float | None:
        mean_KN, variance_KN = network(x_ND)
        return _held_out(_likelihood(mean_KN, variance_KN, y_N), absent_NK)

    _train(network, loss, held_out_loss, len(y_N), distillation, generator)
    return network


def train_teacher(
    members: int,
    widths: Sequence[int],
    dropout: float,
    samples: int,
    x_ND: Tensor,
    y_N: Tensor,
    absent_NK: Tensor,
    distillation: Distillation,
    seed: int,
) -> Teacher:
    """A teacher, trained on the squared error under dropout, with `samples` fixed subnetworks.

    Args:
        absent_NK: true if the row is held out from the training of the member.
    """
    generator = torch.Generator().manual_seed(seed)
    network = SoftplusNetwork(members, x_ND.shape[1], widths, generator)

    def loss(rows: Tensor) -> Tensor:
        masks = dropout_masks(members, widths, len(rows), dropout, generator)
        return squared_error(network(x_ND[rows], masks).T, y_N[rows], (~absent_NK[rows]).float())

    def held_out_loss() -> float | None:
        return _held_out((network(x_ND) - y_N) ** 2, absent_NK)

    _train(network, loss, held_out_loss, len(y_N), distillation, generator)
    return Teacher(network, tuple(dropout_masks(members, widths, samples, dropout, generator)))


def train_student(
    teacher: Teacher, widths: Sequence[int], x_ND: Tensor, distillation: Distillation, seed: int
) -> SoftplusNetwork:
    """A student: the softplus of its output is the standard deviation of the teacher's subnetworks.

    The teacher's predictions need no labels, so the student is trained on synthetic rows too, which
    interpolate and extrapolate the labelled rows. Gradient ascent reaches such inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    members = len(teacher.masks[0])
    network = SoftplusNetwork(members, x_ND.shape[1], widths, generator)
    first, second = torch.randint(len(x_ND), (2, SYNTHETIC * len(x_ND)), generator=generator)
    share = EXTRAPOLATION * torch.rand(len(first), 1, generator=generator)
    x_MD = torch.cat([x_ND, x_ND[first] + share * (x_ND[second] - x_ND[first])])
    with torch.no_grad():
        deviation_KM = teacher.moments(x_MD)[1]
        typical = deviation_KM.mean()

    def loss(rows: Tensor) -> Tensor:
        predicted_KB = nn.functional.softplus(network(x_MD[rows]))
        return (((predicted_KB - deviation_KM[:, rows]) / typical) ** 2).mean(1)

    _train(network, loss, None, len(x_MD), distillation, generator)
    return network


def _likelihood(mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
    """The negative log-likelihood of a Gaussian, up to a constant."""
    variance = variance + LEAST_VARIANCE
    return 0.5 * ((mean - y) ** 2 / variance + torch.log(variance))


def _mean(each_KB: Tensor, counts_BK: Tensor) -> Tensor:
    """(K,) the mean over the rows that count for each member."""
    return (each_KB * counts_BK.T).sum(1) / counts_BK.sum(0).clamp_min(1)


def _held_out(each_KN: Tensor, absent_NK: Tensor) -> float | None:
    """The mean over the held-out rows of all members; None if no row is held out."""
    return float((each_KN * absent_NK.T).sum() / absent_NK.sum()) if absent_NK.any() else None


def _train(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    held_out_loss: Callable[[], float | None] | None,
    count: int,
    distillation: Distillation,
    generator: torch.Generator,
) -> None:
    """Train in place on the sum of the members' losses, and freeze the network.

    If there is a held-out loss, the training stops early, and the weights with the lowest held-out
    loss are kept.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=distillation.learning_rate,
        weight_decay=distillation.weight_decay,
        fused=True,
    )
    lowest, best, since = math.inf, None, 0
    for step, rows in zip(range(distillation.steps), _batches(count, generator), strict=False):
        warm_up = min(1.0, (step + 1) / WARM_UP)
        cosine = 1 + math.cos(math.pi * step / distillation.steps)
        for group in optimizer.param_groups:
            group["lr"] = distillation.learning_rate * warm_up * 0.5 * cosine
        optimizer.zero_grad(set_to_none=True)
        loss(rows).sum().backward()
        optimizer.step()
        if held_out_loss is None or (step + 1) % EVALUATE_EVERY:
            continue
        with torch.no_grad():
            held_out = held_out_loss()
        if held_out is None:
            continue
        since += 1
        if held_out < lowest:
            lowest, since = held_out, 0
            best = {name: weight.clone() for name, weight in network.state_dict().items()}
        if since == PATIENCE:
            break
    if best is not None:
        network.load_state_dict(best)
    network.requires_grad_(False)


def _batches(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """All rows if they fit in one batch, else batches of equal size in a new order each epoch."""
    if count <= BATCH:
        while True:
            yield torch.arange(count)
    while True:
        size = math.ceil(count / math.ceil(count / BATCH))
        yield from torch.randperm(count, generator=generator).split(size)


def tensors(
    x_ND: np.ndarray, y_N: np.ndarray, absent_NK: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, targets and held-out rows as the tensors that the functions above take."""
    return (
        torch.from_numpy(x_ND.astype(np.float32)),
        torch.from_numpy(y_N.astype(np.float32)),
        torch.from_numpy(absent_NK),
    )
