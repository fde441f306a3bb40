"""An optimizer with one rule for the hidden matrices of a network and another for all else.

Shapes: M rows and K columns of a weight; a convolution's filters (M, C, H, W) are a matrix of
K = C * H * W columns.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

State = MutableMapping[str, Tensor]
# `rule(gradient, state, step)` is the direction that is taken from a weight, before the learning
# rate. It keeps tensors in `state`, which is empty at step 1.
Rule = Callable[[Tensor, State, int], Tensor]


@dataclass(frozen=True)
class Adam:
    """The direction of Adam (Kingma & Ba 2015)."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __call__(self, gradient: Tensor, state: State, step: int) -> Tensor:
        """The direction, of the gradient's shape."""
        if step == 1:
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(gradient) for _ in range(2))
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        scale = (square / (1 - self.beta2**step)).sqrt_().add_(self.eps)
        return (mean / (1 - self.beta1**step)).div_(scale)


class MatrixOptimizer(torch.optim.Optimizer):
    """Hidden matrices follow one rule, and all else another; weight decay is decoupled.

    Args:
        groups: dictionaries with `params` and `weight_decay`; those with `hidden` true
            have parameters of two or more dimensions.
        learning_rate: of all groups.
        hidden: the rule of hidden matrices; it gets gradients (M, K).
        others: the rule of all else; it gets gradients of the parameters' own shapes.
    """

    def __init__(
        self, groups: list[dict[str, Any]], learning_rate: float, *, hidden: Rule, others: Rule
    ) -> None:
        super().__init__(groups, {"lr": learning_rate, "weight_decay": 0.0, "hidden": False})
        self._rules = {True: hidden, False: others}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Moves all parameters that have a gradient; a closure is not taken."""
        assert closure is None
        for group in self.param_groups:
            rule, rate = self._rules[group["hidden"]], group["lr"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                weight, gradient = _real(parameter), _real(parameter.grad)
                state = self.state[parameter]
                # A tensor on the CPU, so that the host never waits for the device to read it.
                state["step"] = state.get("step", torch.zeros(())) + 1
                given = gradient.flatten(1) if group["hidden"] else gradient
                direction = rule(given, state, int(state["step"])).view(weight.shape)
                weight.mul_(1 - rate * group["weight_decay"]).sub_(direction, alpha=rate)


def _real(tensor: Tensor) -> Tensor:
    """The same numbers; complex ones as pairs of real ones."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
