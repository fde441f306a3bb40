"""The optimizers that a recipe can name: how each is constructed and how its learning rate scales.

Importing this module does not import torch. A new optimizer is one name in `OptimizerName` and one
entry in `OPTIMIZERS`; the import fails if the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from torch.optim import Optimizer

# The names that a configuration accepts. Its check and its JSON schema read this type.
OptimizerName = Literal["adamw", "sgd"]
# Parameters in the form of torch: dictionaries with the keys `params` and `weight_decay`.
ParameterGroups = list[dict[str, Any]]


@dataclass(frozen=True)
class OptimizerRule:
    """How an optimizer is constructed, and how its learning rate follows the batch size.

    Attributes:
        construct: `construct(groups, learning_rate, momentum)` returns torch's optimizer.
        batch_exponent: the learning rate is proportional to the batch size to this power.
    """

    construct: Callable[[ParameterGroups, float, float], Optimizer]
    batch_exponent: float


def _adamw(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019) with torch's default betas; it does not use `momentum`."""
    from torch.optim import AdamW

    return AdamW(groups, lr=learning_rate, fused=_can_fuse(groups))


def _sgd(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """SGD with Nesterov's momentum."""
    from torch.optim import SGD

    fused = _can_fuse(groups)
    return SGD(groups, lr=learning_rate, momentum=momentum, nesterov=True, fused=fused)


def _can_fuse(groups: ParameterGroups) -> bool:
    """Whether torch has one kernel for all parameters: they are no complex numbers."""
    return not any(each.is_complex() for group in groups for each in group["params"])


# The rate of SGD scales linearly with the batch size (Goyal et al. 2017), that of AdamW with the
# square root.
OPTIMIZERS: Mapping[OptimizerName, OptimizerRule] = {
    "adamw": OptimizerRule(_adamw, batch_exponent=0.5),
    "sgd": OptimizerRule(_sgd, batch_exponent=1.0),
}

assert tuple(OPTIMIZERS) == get_args(OptimizerName), "OptimizerName and OPTIMIZERS differ"
