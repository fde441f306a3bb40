"""The zero-cost proxies, as pure functions of a module and a batch.

A proxy works on a copy of the module and restores the states of torch's random generators. A score
that is undefined is not finite: minus infinity if the argument of a logarithm is zero, otherwise
NaN. This happens for disconnected networks, whose outputs do not depend on their inputs.

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
from nas.training.devices import own_randomness
from spaces.structure import call, leaves, mapped

Proxy = Callable[[nn.Module, Batch], float]

# The names of torch's functions, without the underscore of an in-place form. The module ReLU6 calls
# hardtanh.
_RECTIFIERS = ("relu", "relu6", "leaky_relu", "rrelu", "prelu")
_SMOOTH_RECTIFIERS = ("elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus")
_SATURATING = ("hardtanh", "sigmoid", "hardsigmoid", "tanh", "softsign")
ACTIVATIONS = frozenset((*_RECTIFIERS, *_SMOOTH_RECTIFIERS, *_SATURATING))

# The offset of the eigenvalues in jacobian_covariance, as its authors set it.
_OFFSET = 1e-5


def parameters(module: nn.Module, batch: Batch) -> float:
    """The number of the module's parameters."""
    return float(sum(parameter.numel() for parameter in module.parameters()))


def multiply_adds(module: nn.Module, batch: Batch) -> float:
    """The multiply-adds of one sample, counted in the graph that describes the module.

    Raises:
        ValueError: the module cannot be run on such inputs.
    """
    from spaces.ops import costs
    from spaces.trace import describe

    shapes = mapped(lambda inputs: tuple(inputs.shape[1:]), batch.inputs)
    tokens = mapped(_tokens, batch.inputs)
    # On the meta device, since the module may lie on an accelerator.
    described = describe(copy.deepcopy(module).to("meta"), shapes, tokens)
    return float(costs(described, shapes).multiply_adds)


def synflow(module: nn.Module, batch: Batch) -> float:
    """SynFlow: log of the sum of |w dR/dw|, where R is the sum of the outputs for an input of ones.

    Source: Tanaka et al. 2020, arXiv:2006.05467, equation 2.

    Parameters and buffers are replaced by their absolute values, and the module is in evaluation
    mode. The sum goes over the weights, which are the parameters of two or more dimensions: no
    biases and no norms. Of the batch only the shape is used; tokens are all number 1. The
    computation is in float64, so a score above 709 is infinite.
    """
    network = copy.deepcopy(module).double().eval()
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.abs_()
    flow = _sum(_outputs(network, mapped(_one, batch.inputs), batch.seed))
    return _log(_saliency(_weight_gradients(network, flow)))


def gradient_norm(module: nn.Module, batch: Batch) -> float:
    """The sum over all weights of the Euclidean norm of the loss's gradient.

    Source: Abdelfattah et al. 2021, arXiv:2101.08134, section 3.1. Weights are the parameters of
    two or more dimensions. The module is in training mode.
    """
    return sum(float(gradient.norm()) for _, gradient in _loss_gradients(module, batch))


def snip(module: nn.Module, batch: Batch) -> float:
    """SNIP: the sum of |w dL/dw| over all weights, where L is the loss.

    Source: Lee et al. 2019, arXiv:1810.02340, summed as by Abdelfattah et al. 2021,
    arXiv:2101.08134. Weights are the parameters of two or more dimensions. The module is in
    training mode.
    """
    return _saliency(_loss_gradients(module, batch))


def naswot(module: nn.Module, batch: Batch) -> float:
    """NASWOT: log |det K|, where K (N, N) counts the units whose codes agree for two samples.

    Source: Mellor et al. 2021, arXiv:2006.04647, equation 2.

    The code of a unit is 1 if the input of its activation function is positive, else 0. For ReLU it
    says whether the unit is active, as in the paper. For the other functions of `ACTIVATIONS`,
    which have no such two states, it is the sign of the pre-activation. Calls of these functions
    are found anywhere, also inside torch's modules, but not inside multi-head attention. Calls
    whose first dimension is not the batch are left out. The module is in training mode.

    Returns:
        The score; minus infinity if K is singular to the precision of float64. This is so if two
        samples have the same code, if there are more samples than the units can distinguish, and
        for networks without activations.
    """
    network, codes = copy.deepcopy(module).train(), _Codes(len(batch))
    with torch.no_grad(), codes:
        _outputs(network, batch.inputs, batch.seed)
    eigenvalues = torch.linalg.eigvalsh(codes.kernel)
    if not eigenvalues[0] > eigenvalues[-1] * len(eigenvalues) * torch.finfo(torch.float64).eps:
        return -math.inf
    return float(eigenvalues.log().sum())


def jacobian_covariance(module: nn.Module, batch: Batch) -> float:
    """How little the gradients of the samples are correlated; higher is less.

    The score is - sum_i (log(s_i + k) + 1 / (s_i + k)) with k = 1e-5. The s_i are the eigenvalues
    of the correlation matrix (N, N) of the rows of the Jacobian (N, D), which are the gradients of
    the sum of the outputs with respect to each input. Of several inputs, tokens are left out. The
    module is in training mode.

    Source: Mellor et al. 2020, arXiv:2006.04647v1, as computed by Abdelfattah et al. 2021,
    arXiv:2101.08134.

    Raises:
        ValueError: the inputs are token numbers, which have no gradient.
    """
    network = copy.deepcopy(module).train()
    inputs = mapped(lambda tensor: tensor.detach().clone(), batch.inputs)
    learned = [tensor.requires_grad_() for tensor in leaves(inputs) if tensor.is_floating_point()]
    if not learned:
        raise ValueError(
            "jacobian_covariance needs inputs that have a gradient; this batch's are "
            f"{', '.join(str(tensor.dtype) for tensor in leaves(inputs))}: leave this proxy out"
        )
    rows = _gradients(_sum(_outputs(network, inputs, batch.seed)), learned)
    jacobian_ND = torch.cat([gradient.flatten(1) for gradient in rows], 1)
    correlation_NN = torch.corrcoef(jacobian_ND.double())
    if not bool(torch.isfinite(correlation_NN).all()):
        return math.nan
    # Rounding can make an eigenvalue negative, and its logarithm would be undefined.
    shifted = torch.linalg.eigvalsh(correlation_NN).clamp(min=0) + _OFFSET
    return float(-(shifted.log() + 1 / shifted).sum())


class _Codes(TorchFunctionMode):
    """Inside, the binary codes c (N, U) of each activation are added to the kernel (N, N).

    They add c c^T + (1 - c)(1 - c)^T.
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
            # Before the call, because it may change its input in place.
            self._add(args[0] if args else (kwargs or {}).get("input"))
        return func(*args, **(kwargs or {}))

    def _add(self, before: Any) -> None:
        if isinstance(before, Tensor) and before.ndim > 1 and len(before) == len(self.kernel):
            # float32 counts exactly up to 2^24 units of one activation.
            code_NU = (before > 0).flatten(1).float()
            other_NU = 1 - code_NU
            self.kernel += (code_NU @ code_NU.T + other_NU @ other_NU.T).double().cpu()


def _outputs(network: nn.Module, inputs: Any, seed: int) -> Any:
    with own_randomness(seed, leaves(inputs)[0].device):
        return call(network, inputs)


def _sum(outputs: Any) -> Tensor:
    """The sum of all outputs that are real numbers."""
    sums = [
        value.sum()
        for value in leaves(outputs)
        if isinstance(value, Tensor) and value.is_floating_point()
    ]
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum()


def _one(inputs: Tensor) -> Tensor:
    """One sample that is 1 everywhere, in float64 if it is not of tokens."""
    ones = torch.ones_like(inputs[:1])
    return ones.double() if ones.is_floating_point() else ones


def _tokens(inputs: Tensor) -> int | None:
    return None if inputs.is_floating_point() else int(inputs.max()) + 1


def _loss_gradients(module: nn.Module, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    network = copy.deepcopy(module).train()
    outputs = _outputs(network, batch.inputs, batch.seed)
    return _weight_gradients(network, batch.loss_of(outputs))


def _weight_gradients(network: nn.Module, value: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The trainable weights, each with the gradient of `value`."""
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
    """The gradient of `value` for each tensor; zeros for a tensor that it does not depend on."""
    if not tensors or not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in tensors]
    return list(torch.autograd.grad(value, tensors, allow_unused=True, materialize_grads=True))


def _saliency(weight_gradients: Sequence[tuple[Tensor, Tensor]]) -> float:
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in weight_gradients)


def _log(value: float) -> float:
    if value > 0:
        return math.log(value)
    return -math.inf if value == 0 else math.nan
