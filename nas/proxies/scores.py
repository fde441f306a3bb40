"""The proxies. Each is a pure function of a module and a batch: it works on a copy of the module,
and leaves torch's generators as they were.

What cannot be said of a network is not finite: minus infinity where a logarithm's argument is zero,
else not a number. That is so of dead networks, whose outputs do not depend on their inputs.

Shapes: N samples, U units of an activation, D numbers of an input.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nas.proxies.batch import Batch
from nas.training.loop import own_randomness

Proxy = Callable[[nn.Module, Batch], float]

# By the name of torch's function, without the underscore of its in-place form. ReLU6 is called as
# hardtanh.
ACTIVATIONS = frozenset(
    (
        *("relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "celu", "selu", "gelu"),
        *(
            "silu",
            "mish",
            "hardswish",
            "hardtanh",
            "softplus",
            "sigmoid",
            "hardsigmoid",
            "tanh",
            "softsign",
        ),
    )
)

# The offset of the eigenvalues in jacobian_covariance, as its authors set it.
_OFFSET = 1e-5


def parameters(module: nn.Module, batch: Batch) -> float:
    """How many parameters the module has."""
    return float(sum(parameter.numel() for parameter in module.parameters()))


def multiply_adds(module: nn.Module, batch: Batch) -> float:
    """The multiply-adds of one sample, counted in the module's traced graph by the vocabulary's
    rules.

    Raises:
        ValueError: the module cannot be traced.
    """
    from spaces.ops import costs
    from spaces.trace import trace

    shape = tuple(batch.inputs.shape[1:])
    return float(costs(trace(module, shape), shape).multiply_adds)


def synflow(module: nn.Module, batch: Batch) -> float:
    """The natural logarithm of sum |w dR/dw|, R the sum of the outputs for an input of ones. Tanaka
    et al. 2020, arXiv:2006.05467, equation 2.

    Parameters and buffers are replaced by their absolute values, norms and dropouts are in
    evaluation, and the sum goes over weights (parameters of two
    or more dimensions: no biases or norms). The numbers of the batch are not read, only its shape;
        tokens are all number 1. Computed in float64, which
    suffices for scores up to 709: beyond, it is infinite.
    """
    network = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.abs_()
    inputs = torch.ones_like(batch.inputs[:1])
    flow = _outputs(
        network, inputs.double() if inputs.is_floating_point() else inputs, batch.seed
    ).sum()
    return _log(
        sum(
            float((weight * gradient).abs().sum())
            for weight, gradient in _weight_gradients(network, flow)
        )
    )


def gradient_norm(module: nn.Module, batch: Batch) -> float:
    """The sum over weights of the Euclidean norm of the loss's gradient. Abdelfattah et al. 2021,
    arXiv:2101.08134, section 3.1.

    Weights are the parameters of two or more dimensions; norms and dropouts are in training.
    """
    return sum(float(gradient.norm()) for _, gradient in _loss_gradients(module, batch))


def snip(module: nn.Module, batch: Batch) -> float:
    """The sum |w dL/dw| over weights, L the loss. Lee et al. 2019, arXiv:1810.02340, summed as by
    Abdelfattah et al. 2021, arXiv:2101.08134.

    Weights are the parameters of two or more dimensions; norms and dropouts are in training.
    """
    return sum(
        float((weight * gradient).abs().sum())
        for weight, gradient in _loss_gradients(module, batch)
    )


def naswot(module: nn.Module, batch: Batch) -> float:
    """log |det K|, where K (N, N) counts the units whose binary codes agree for two samples. Mellor
    et al. 2021, arXiv:2006.04647, equation 2.

    A unit's code is 1 where the input of its activation function is positive, else 0. For ReLU this
    is whether it is active, as in the paper; for all others of `ACTIVATIONS`, which have no such on
    and off, it is the sign of the pre-activation. Functions are seen wherever they are called, also
    inside of modules of torch, but not inside multi-head attention; those whose first dimension is
    not the batch's are left out. Norms and dropouts are in training.

    Returns:
        Minus infinity where K is singular (to float64's precision: two samples have the same code,
        or there are more samples than units tell apart), which is so of networks without
        activations too.
    """
    network, codes = copy.deepcopy(module).train(), _Codes(len(batch.inputs))
    with torch.no_grad(), codes:
        _outputs(network, batch.inputs, batch.seed)
    eigenvalues = torch.linalg.eigvalsh(codes.kernel)
    if not eigenvalues[0] > eigenvalues[-1] * len(eigenvalues) * torch.finfo(torch.float64).eps:
        return -math.inf
    return float(eigenvalues.log().sum())


def jacobian_covariance(module: nn.Module, batch: Batch) -> float:
    """How little the samples' gradients are correlated: - sum_i (log(s_i + k) + 1 / (s_i + k)) with
    k = 1e-5.

    s_i are the eigenvalues of the correlation matrix (N, N) of the rows of the Jacobian (N, D), the
    gradients of the outputs' sum with respect to each input. Mellor et al. 2020,
    arXiv:2006.04647v1, as computed by Abdelfattah et al. 2021, arXiv:2101.08134. Norms and dropouts
    are in training.

    Raises:
        ValueError: the inputs are token numbers, which have no gradient.
    """
    if not batch.inputs.is_floating_point():
        raise ValueError(
            "jacobian_covariance needs inputs that have a gradient; this batch's are "
            f"{batch.inputs.dtype}: leave this proxy out"
        )
    network = copy.deepcopy(module).train()
    inputs = batch.inputs.detach().clone().requires_grad_()
    (jacobian_ND,) = _gradients(_outputs(network, inputs, batch.seed).sum(), [inputs])
    correlation_NN = torch.corrcoef(jacobian_ND.flatten(1).double())
    if not bool(torch.isfinite(correlation_NN).all()):
        return math.nan
    # The matrix has no negative eigenvalues but by rounding, which the logarithm would not forgive.
    shifted = torch.linalg.eigvalsh(correlation_NN).clamp(min=0) + _OFFSET
    return float(-(shifted.log() + 1 / shifted).sum())


class _Codes(TorchFunctionMode):
    """While it is entered, each activation's binary codes c (N, U) add c c^T + (1 - c)(1 - c)^T to
    the kernel (N, N).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(size, size, dtype=torch.float64)

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "").rstrip("_") in ACTIVATIONS:
            # Before the call, which may be in place.
            self._add(args[0] if args else (kwargs or {}).get("input"))
        return func(*args, **(kwargs or {}))

    def _add(self, before: Any) -> None:
        if isinstance(before, Tensor) and before.ndim > 1 and len(before) == len(self.kernel):
            # float32 counts exactly up to 2^24 units of one activation.
            code_NU = (before > 0).flatten(1).float()
            other_NU = 1 - code_NU
            self.kernel += (code_NU @ code_NU.T + other_NU @ other_NU.T).double().cpu()


def _outputs(network: nn.Module, inputs: Tensor, seed: int) -> Tensor:
    with own_randomness(seed, inputs.device):
        return network(inputs)


def _loss_gradients(module: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    network = copy.deepcopy(module).train()
    return _weight_gradients(
        network, batch.loss(_outputs(network, batch.inputs, batch.seed), batch.targets)
    )


def _weight_gradients(network: nn.Module, value: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The weights that are trained, each with the gradient of `value`."""
    weights = [
        parameter
        for parameter in network.parameters()
        if parameter.ndim > 1 and parameter.requires_grad
    ]
    gradients = _gradients(value, weights)
    return [
        (weight.detach(), gradient) for weight, gradient in zip(weights, gradients, strict=True)
    ]


def _gradients(value: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Zeros for what `value` does not depend on."""
    if not tensors or not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in tensors]
    return list(torch.autograd.grad(value, tensors, allow_unused=True, materialize_grads=True))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan
