"""The optimizers that a recipe can name: how each is constructed and how its learning rate scales.

Importing this module does not import torch. A new optimizer is one name in `OptimizerName` and one
entry in `OPTIMIZERS`; the import fails if the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from torch.optim import Optimizer

# The names that a configuration accepts. Its check and its JSON schema read this type.
OptimizerName = Literal["adamw", "sgd", "muon", "soap", "cosmos"]
# Parameters in the form of torch: dictionaries with the keys `params`, `weight_decay` and `hidden`,
# which says whether they are hidden matrices (`nas.training.parameter_groups`).
ParameterGroups = list[dict[str, Any]]


@dataclass(frozen=True)
class OptimizerRule:
    """How an optimizer is constructed, and how its learning rate follows the batch size.

    Attributes:
        construct: `construct(groups, learning_rate, momentum)` returns torch's optimizer.
        batch_exponent: the learning rate is proportional to the batch size to this power.
        splits: whether hidden matrices are groups of their own.
        package: what has to be installed beside torch; empty: nothing.
    """

    construct: Callable[[ParameterGroups, float, float], Optimizer]
    batch_exponent: float
    splits: bool = False
    package: str = ""


def _adamw(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019) with torch's default betas; it does not use `momentum`."""
    from torch.optim import AdamW

    return AdamW(groups, lr=learning_rate, fused=_can_fuse(groups))


def _sgd(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """SGD with Nesterov's momentum."""
    from torch.optim import SGD

    fused = _can_fuse(groups)
    return SGD(groups, lr=learning_rate, momentum=momentum, nesterov=True, fused=fused)


def _muon(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """Muon for hidden matrices, and AdamW for all else."""
    from nas.training.matrix_optimizer import Adam, MatrixOptimizer
    from nas.training.muon import Muon

    return MatrixOptimizer(groups, learning_rate, hidden=Muon(momentum), others=Adam())


def _cosmos(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """COSMOS for hidden matrices, and AdamW for all else; it does not use `momentum`."""
    from nas.training.cosmos import Cosmos
    from nas.training.matrix_optimizer import Adam, MatrixOptimizer

    return MatrixOptimizer(groups, learning_rate, hidden=Cosmos(), others=Adam())


def _soap(groups: ParameterGroups, learning_rate: float, momentum: float) -> Optimizer:
    """SOAP (Vyas et al. 2024) with its authors' settings; it does not use `momentum`.

    Its first step sets the preconditioners up and moves no weight.
    """
    from pytorch_optimizer import SOAP

    return SOAP(groups, lr=learning_rate)


def _can_fuse(groups: ParameterGroups) -> bool:
    """Whether torch has one kernel for all parameters: they are no complex numbers."""
    return not any(each.is_complex() for group in groups for each in group["params"])


# The rate of SGD scales linearly with the batch size (Goyal et al. 2017), that of AdamW with the
# square root. The others normalise their steps as AdamW does.
OPTIMIZERS: Mapping[OptimizerName, OptimizerRule] = {
    "adamw": OptimizerRule(_adamw, batch_exponent=0.5),
    "sgd": OptimizerRule(_sgd, batch_exponent=1.0),
    "muon": OptimizerRule(_muon, batch_exponent=0.5, splits=True),
    "soap": OptimizerRule(_soap, batch_exponent=0.5, package="pytorch_optimizer"),
    "cosmos": OptimizerRule(_cosmos, batch_exponent=0.5, splits=True),
}

assert tuple(OPTIMIZERS) == get_args(OptimizerName), "OptimizerName and OPTIMIZERS differ"


def check_installed(name: OptimizerName) -> None:
    """Refuses an optimizer whose package is missing.

    Raises:
        ValueError: it is not installed.
    """
    package = OPTIMIZERS[name].package
    if package and find_spec(package) is None:
        raise ValueError(
            f"the optimizer {name!r} needs the package {package.replace('_', '-')}, which is not "
            "installed: `pip install 'surrogate-nas[optim]'`, or take another optimizer"
        )
