"""Which parameters of a network are decayed, which are hidden matrices, and their optimizer."""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

from nas.training.optimizers import OPTIMIZERS, ParameterGroups, check_installed
from nas.training.recipe import Recipe


def make_optimizer(module: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer; only weights of two or more dimensions have weight decay.

    Biases and the parameters of norms have one dimension, so they are not decayed.

    Raises:
        ValueError: the module has no parameters to train, or the optimizer is not installed.
    """
    rule = OPTIMIZERS[recipe.optimizer]
    check_installed(recipe.optimizer)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(
            "the network has no parameters to train; its space should give every architecture at "
            "least a head"
        )
    decayed = [parameter for parameter in parameters if parameter.ndim >= 2]
    others = [parameter for parameter in parameters if parameter.ndim < 2]
    groups: ParameterGroups = []
    if rule.splits:
        hidden = _hidden_matrices(module)
        matrices = [parameter for parameter in decayed if parameter in hidden]
        decayed = [parameter for parameter in decayed if parameter not in hidden]
        groups.append({"params": matrices, "weight_decay": recipe.weight_decay, "hidden": True})
    groups.append({"params": decayed, "weight_decay": recipe.weight_decay})
    groups.append({"params": others, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    return rule.construct(groups, recipe.learning_rate, recipe.momentum)


def _hidden_matrices(module: nn.Module) -> set[nn.Parameter]:
    """The weights whose singular values mean something, as Muon's authors choose them.

    They are those of two or more dimensions, without embeddings, whose rows are used one by one,
    without the head, which is the network's last such weight, and without weights that are a single
    row or column as a matrix.
    """
    weights = [each for each in module.parameters() if each.ndim >= 2 and each.requires_grad]
    embeddings = {
        parameter
        for part in module.modules()
        if isinstance(part, nn.Embedding | nn.EmbeddingBag)
        for parameter in part.parameters()
    }
    return {
        weight
        for weight in weights[:-1]
        if weight not in embeddings
        and not weight.is_complex()
        and min(len(weight), weight[0].numel()) >= 2
    }
