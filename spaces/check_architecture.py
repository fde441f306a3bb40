"""The checks that one architecture of a space has to pass; each failure is a sentence."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any

from spaces.canonical import canonical_key, is_disconnected
from spaces.check_findings import Findings, Wrong
from spaces.choices import Architecture, Rejected
from spaces.details import without_details
from spaces.graph import Graph
from spaces.operators import crossover, domains, mutate
from spaces.ops import costs, infer_shapes
from spaces.ops.tokens import vocabulary
from spaces.space import SearchSpace, Shapes
from spaces.structure import call, is_shape, leaves, mapped, mismatch

if TYPE_CHECKING:
    from torch import nn

BATCH = 2


def check_replay(space: SearchSpace, architecture: Architecture, graph: Graph) -> None:
    """The program returns the same graph when it is run again with the same answers."""
    try:
        again = space.replayed(architecture)
    except (ValueError, Rejected) as error:
        raise Wrong(
            "the program asks other questions when it is run again with the same answers, so it "
            f"depends on something else too: {error}"
        ) from error
    if again != graph:
        raise Wrong(
            "the program returned another graph when it was run again with the same answers: let "
            "it depend on nothing but `choose` "
            f"(no random numbers, no counters of its own); {_difference(graph, again)}"
        )


def check_round_trips(architecture: Architecture, graph: Graph) -> None:
    """The architecture and its graph stay the same when written as JSON and read back."""
    read = Architecture.from_json(architecture.to_json())
    if read != architecture or read.key != architecture.key:
        raise Wrong(f"the architecture is another one when it is read back from JSON: {read}")
    read_graph = Graph.from_json(graph.to_json())
    if read_graph != graph or canonical_key(read_graph) != canonical_key(graph):
        raise Wrong(
            "the graph is another one when it is read back from JSON; "
            f"{_difference(graph, read_graph)}"
        )


def check_module(
    space: SearchSpace, architecture: Architecture, graph: Graph, findings: Findings, seed: int
) -> None:
    """The torch module has as many parameters as the graph counts, and can be trained.

    Its outputs are finite and have the right shape, and their gradient reaches every parameter.
    The findings receive the costs and the times.
    """
    from spaces.randomness import fixed_randomness

    network = space.network_graph(graph)
    counted = costs(network, space.shapes.input)
    findings.costs.append(counted)
    with fixed_randomness(seed + 1):
        started = time.perf_counter()
        module = space.build(architecture)
        findings.build_seconds.append(time.perf_counter() - started)
        if space.makes_modules(architecture):
            _check_alike(space, module, graph)
        built = sum(parameter.numel() for parameter in module.parameters())
        if counted.parameters != built:
            raise Wrong(
                f"the graph counts {counted.parameters} parameters and the module has {built}"
            )
        started = time.perf_counter()
        inputs = _random_inputs(network, space.shapes)
        _step(module.train(), inputs, space.shapes, learns=not is_disconnected(graph))
        findings.step_seconds.append(time.perf_counter() - started)


def _check_alike(space: SearchSpace, module: nn.Module, graph: Graph) -> None:
    """The module that is trained is the one that is described, whatever the random numbers."""
    from spaces.trace import describe

    built = describe(module, space.shapes.input, space.shapes.vocabularies)
    if without_details(built) != without_details(graph):
        raise Wrong(
            "the module that is trained is another one than the module that is described: let the "
            "program draw no random numbers but the weights, and keep nothing from an earlier run; "
            f"{_difference(without_details(graph), without_details(built))}"
        )


def check_variation(
    space: SearchSpace, architecture: Architecture, other: Architecture, random: Random
) -> None:
    """A mutation and a crossover are architectures of the space, and their graphs are networks."""
    if all(domain.size == 1 for domain in domains(space, architecture).values()):
        return
    for what, child in (
        ("mutation", mutate(space, architecture, random)),
        ("crossover", crossover(space, architecture, other, random)),
    ):
        try:
            graph = space.graph(child)
            if space.builds:
                infer_shapes(space.network_graph(graph), space.shapes.input)
        except ValueError as error:
            raise Wrong(f"a {what} of it is no network ({child}): {error}") from error


def _step(module: nn.Module, inputs: Any, shapes: Shapes, *, learns: bool) -> None:
    """A forward and a backward pass, in which nothing may be wrong.

    The loss is a sum with random factors, because the plain sum of a softmax has no gradient.
    `learns` is false for a disconnected network, which gets no gradient.
    """
    import torch

    returned = call(module, inputs)
    if isinstance(returned, torch.Tensor) and is_shape(shapes.output):
        if tuple(returned.shape) != (BATCH, *shapes.output):
            raise Wrong(
                f"the module gives {tuple(returned.shape)} for a batch of {BATCH}, not "
                f"{(BATCH, *shapes.output)}"
            )
    else:
        # In training it may return more than in evaluation.
        with torch.no_grad():
            wrong = mismatch(call(module.eval(), inputs), shapes.output)
        if wrong:
            raise Wrong(
                f"in evaluation the module gives {wrong}, and the data want {shapes.output}"
            )
    tensors = [item for item in leaves(returned) if isinstance(item, torch.Tensor)]
    outputs = [item for item in tensors if item.is_floating_point() or item.is_complex()]
    if not all(bool(torch.isfinite(item).all()) for item in outputs):
        raise Wrong(
            "the outputs for random inputs are infinite or not a number: look for divisions, "
            "logarithms and roots, or normalise"
        )
    parameters = dict(module.named_parameters())
    if not parameters:
        raise Wrong("the network has no parameters, so there is nothing to train")
    if not learns:
        return
    if not any(item.requires_grad for item in outputs):
        raise Wrong("the outputs do not depend on any parameter, so nothing can be trained")
    learned = [item for item in outputs if item.requires_grad]
    torch.stack([(item * torch.randn_like(item)).sum().real for item in learned]).sum().backward()
    missing = [name for name, parameter in parameters.items() if parameter.grad is None]
    # The user's own module may freeze parts, or run them without gradients.
    if missing and (hasattr(module, "labels") or len(missing) == len(parameters)):
        raise Wrong(
            f"{len(missing)} of {len(parameters)} parameters get no gradient, first "
            f"{missing[0]}: is a value detached or multiplied away?"
        )
    wild = [
        name
        for name, parameter in parameters.items()
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    if wild:
        raise Wrong(f"the gradient of {wild[0]} is infinite or not a number for random inputs")


def _random_inputs(network: Graph, shapes: Shapes) -> Any:
    """A batch of normally distributed numbers, or of token numbers if an embedding reads them."""
    import torch

    def batch(shape: tuple[int, ...], tokens: int | None) -> torch.Tensor:
        size = (BATCH, *shape)
        return torch.randn(size) if tokens is None else torch.randint(tokens, size)

    tokens = shapes.vocabularies if shapes.several else vocabulary(network)
    return mapped(batch, shapes.input, tokens, leaf=is_shape)


def _difference(first: Graph, second: Graph) -> str:
    for one, other in zip(first.nodes, second.nodes, strict=False):
        if one != other:
            return f"first {one}, then {other}"
    return (
        f"first {len(first.nodes)} nodes and {len(first.edges)} edges, then {len(second.nodes)} "
        f"and {len(second.edges)}"
    )
