"""The class generated from a graph, with the weights of the user's own module, proved equal to it.

It is what an export as a Python file holds, if it behaves as the module does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from nas.export.behaviour import behaviour, first_difference
from nas.export.verify import TOLERANCE
from spaces.build import build
from spaces.graph import Graph
from spaces.trace import copy_state


class NotEqualError(Exception):
    """No class can be generated that behaves as the module; the message says why."""


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
        NotEqualError: the class would differ from the module in its outputs, in its outputs or
            gradients in training, or in its state after a step.
    """
    expected = behaviour(make(), example)
    try:
        built = _generated(make(), graph, input_shape)
        given = _in_own_names(behaviour(built, example), built)
        built = _generated(make(), graph, input_shape)
    except Exception as error:  # A class of a graph that is not faithful may fail in any way.
        raise NotEqualError(str(error).strip() or type(error).__name__) from error
    difference = first_difference(_compared(expected, given), given, TOLERANCE)
    if difference is not None:
        raise NotEqualError(f"it would not behave as your module does: {difference}")
    return built


def _generated(own: nn.Module, graph: Graph, input_shape: tuple[int, ...]) -> nn.Module:
    built = build(graph, input_shape)
    copy_state(own, built)
    return built


def _compared(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The expected behaviour without tensors of the module that its outputs do not depend on.

    These have no counterpart in the generated class.
    """
    held = {name.partition(": ")[2] for name in given if name.startswith("value: ")}
    return {
        name: tensor
        for name, tensor in expected.items()
        if not name.startswith(("gradient: ", "value: ")) or name.partition(": ")[2] in held
    }


def _in_own_names(observed: Mapping[str, Tensor], built: nn.Module) -> dict[str, Tensor]:
    """The behaviour of the generated class, with the names of the user's own tensors."""
    labels: Mapping[str, str] = built.labels  # type: ignore[assignment]
    named = {}
    for name, tensor in observed.items():
        part, _, place = name.partition(": ")
        if part in ("gradient", "value"):
            member, _, rest = place.partition(".")
            place = ".".join(filter(None, (labels[member], rest)))
        named[f"{part}: {place}"] = tensor
    return named
