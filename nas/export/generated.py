"""The class generated from a graph, with the weights of the user's own module, proved equal to it.

An export as a Python file is that class. It is made only if it behaves as the module does, in
evaluation and in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from nas.export.verify import TOLERANCE, ExportError
from spaces.build import build
from spaces.graph import Graph
from spaces.trace import copy_state

_STEP = 0.1


def generated(
    make: Callable[[], nn.Module], graph: Graph, input_shape: tuple[int, ...], example: Tensor
) -> nn.Module:
    """The instance of the generated class that stands for the user's module.

    Args:
        make: a new instance of the user's module with its trained weights, at each call.
        graph: traced from the module.
        input_shape: without the batch.
        example: a batch of at least two inputs.

    Raises:
        ExportError: the class would differ from the module in its outputs, in its outputs or
            gradients in training, or in its state after a step.
    """
    try:
        own, built = make(), build(graph, input_shape)
        copy_state(own, built)
        difference = _difference(own, built, example)
    except ValueError as error:
        difference = str(error)
    if difference is not None:
        raise ExportError(
            "the Python file that can be generated for this network would not behave as your "
            f"module does ({difference}), so it was not written: export the module itself, with "
            "--format pt2 or --format onnx"
        )
    own, built = make(), build(graph, input_shape)
    copy_state(own, built)
    return built


@torch.enable_grad()
def _difference(own: nn.Module, built: nn.Module, example: Tensor) -> str | None:
    """What differs first, in a few words; None if nothing does. Changes both modules."""
    with torch.no_grad():
        if not _close(own.eval()(example), built.eval()(example)):
            return "other outputs in evaluation"
    outputs = []
    for module in (own, built):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            outputs.append(module.train()(example))
    if not _close(outputs[0].detach(), outputs[1].detach()):
        return "other outputs in training"
    for module, given in zip((own, built), outputs, strict=True):
        if given.requires_grad:
            weights = torch.linspace(-1, 1, given.numel()).reshape(given.shape)
            (given * weights).sum().backward()
        module.eval()
    pairs = list(_pairs(own, built))
    for name, one, other in pairs:
        if (one.grad is None) != (other.grad is None):
            return f"{name} has a gradient in one of them only"
        if one.grad is not None and other.grad is not None and not _close(one.grad, other.grad):
            return f"another gradient of {name}"
        with torch.no_grad():
            for tensor in (one, other):
                if tensor.grad is not None:
                    tensor.sub_(tensor.grad, alpha=_STEP)
    for name, one, other in pairs:
        if not _close(one.detach(), other.detach()):
            return f"another value of {name} after a training step"
    return None


def _pairs(own: nn.Module, built: nn.Module) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each tensor of the user's module with its counterpart in the generated class."""
    theirs = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    for name, tensor in {**dict(built.named_parameters()), **dict(built.named_buffers())}.items():
        member, _, rest = name.partition(".")
        path = ".".join(filter(None, (built.labels[member], rest)))  # type: ignore[index]
        yield path, theirs[path], tensor


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether no element differs by more than the tolerance of exports, in which NaN equals NaN."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
