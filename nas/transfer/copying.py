"""What a network takes over of another one's weights: which tensors, how much of each, and with
what sizes.

share = overlap(donor_graph, child_graph, "ordered")
state = inherited(module.state_dict(), donor_state, correspondence(donor_graph, child_graph),
"ordered", seed=0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from nas.seeds import derive
from nas.transfer.matching import counterparts, labels
from nas.transfer.settings import Rule
from spaces.build import members_of
from spaces.graph import Graph
from spaces.ops import whole_shapes
from spaces.ops.shape_rules import Shape


@dataclass(frozen=True)
class Holding:
    """A tensor of a network's state.

    Attributes:
        name: in the state_dict.
        shape: its sizes.
        trained: it is a parameter, and no running statistic.
        window: of a convolution: its sizes from the third on are the places under a window.
    """

    name: str
    shape: Shape
    trained: bool
    window: bool


@dataclass(frozen=True)
class Inheritance:
    """A tensor of the child, and that of the donor which it may take its numbers from."""

    child: Holding
    donor: Holding


def overlap(donor: Graph, child: Graph, rule: Rule, input_shape: Shape | None = None) -> float:
    """The share of the child's trained tensors that would be copied, 0 to 1; a tensor that is
    copied in part counts by its share. Builds no network.

    Tensors are counted, as in FlexiBERT, not numbers: of a small network for texts the embedding
        alone holds most of the numbers.

    Args:
        donor, child: graphs of primitive operations (`SearchSpace.network_graph`).
        input_shape: as in `spaces.build.build`.
    """
    trained = len(
        {
            holding.name
            for held in _holdings(child, labels(child), input_shape).values()
            for holding in held
            if holding.trained
        }
    )
    copied = [
        copied_share(each, rule)
        for each in correspondence(donor, child, input_shape)
        if each.child.trained
    ]
    return math.fsum(copied) / trained if trained else 0.0


def correspondence(
    donor: Graph, child: Graph, input_shape: Shape | None = None
) -> tuple[Inheritance, ...]:
    """The tensors of the child whose node has a counterpart that holds a tensor of the same name
    and of as many dimensions.

    Constants of the network (the operation `buffer`) and counters stay as they are made.
    """
    given, own = (
        _holdings(donor, labels(donor), input_shape),
        _holdings(child, labels(child), input_shape),
    )
    result = dict[str, Inheritance]()
    for number, other in counterparts(donor, child).items():
        for holding, origin in (
            (mine, theirs) for mine in own.get(number, ()) for theirs in given.get(other, ())
        ):
            if _own_name(holding) == _own_name(origin) and len(holding.shape) == len(origin.shape):
                # Of nodes that share their weights the first decides.
                result.setdefault(holding.name, Inheritance(holding, origin))
    return tuple(result.values())


def copied_share(each: Inheritance, rule: Rule) -> float:
    """The share of the child's tensor whose numbers come from the donor."""
    sizes = list(zip(each.child.shape, each.donor.shape, strict=True))
    if all(size == origin for size, origin in sizes):
        return 1.0
    if rule == "exact" or (rule == "projection" and len(sizes) < 2):
        return 0.0
    counted = sizes if rule == "ordered" else sizes[2:] if each.child.window else []
    return math.prod(min(size, origin) / size for size, origin in counted)


@torch.no_grad()
def inherited(
    fresh: Mapping[str, Tensor],
    donor: Mapping[str, Tensor],
    tensors: tuple[Inheritance, ...],
    rule: Rule,
    *,
    seed: int,
) -> dict[str, Tensor]:
    """The child's state with what the rule takes over of the donor's. Neither of the two is
    changed.

    Tensors of equal sizes are copied by every rule. Of others, by `ordered` the leading slice along
    each dimension that both have, the rest is fresh; by `projection` each dimension whose size
    differs, from a to b, is multiplied by a matrix (b, a) of N(0, 1 / b), the same one for all
    dimensions that change from a to b, so that what one layer gives and the next takes stay in the
    same coordinates: for h' = P h and W' = W Pᵀ it is W' h' ≈ W h. Vectors (biases, norms) are not
    projected, since a norm's variances would become negative: they are fresh. The windows of
    convolutions are laid with
    their middles upon each other, by both rules: a leading slice would shift the image. Heads are
        not told apart, as FlexiBERT 2.0's are.

    Args:
        fresh, donor: state_dicts; the donor's is of the network that `tensors` were found for.
        tensors: `correspondence`.
        seed: of the projections.

    Raises:
        ValueError: the donor's state has not these tensors.
    """
    state = {name: tensor.clone() for name, tensor in fresh.items()}
    for each in tensors:
        origin = donor.get(each.donor.name)
        if origin is None or tuple(origin.shape) != each.donor.shape:
            has = "no such tensor" if origin is None else f"the sizes {tuple(origin.shape)}"
            raise ValueError(
                f"the weights to begin with should have {each.donor.name} of sizes "
                f"{each.donor.shape}, and have {has}: the space has changed"
            )
        if not copied_share(each, rule):
            continue
        if rule == "projection":
            for dim in range(min(origin.ndim, 2) if each.child.window else origin.ndim):
                origin = _projected(origin, dim, each.child.shape[dim], seed)
        own, theirs = _common(each.child, tuple(origin.shape))
        state[each.child.name][own] = origin[theirs].to(state[each.child.name])
    return state


def _common(child: Holding, origin: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where in the child's tensor, and of which part of the donor's, the numbers are copied."""
    own, theirs = [], []
    for dim, (size, other) in enumerate(zip(child.shape, origin, strict=True)):
        count, middle = min(size, other), child.window and dim >= 2
        starts = ((size - count) // 2, (other - count) // 2) if middle else (0, 0)
        own.append(slice(starts[0], starts[0] + count))
        theirs.append(slice(starts[1], starts[1] + count))
    return tuple(own), tuple(theirs)


def _projected(tensor: Tensor, dim: int, size: int, seed: int) -> Tensor:
    before = tensor.shape[dim]
    if before == size:
        return tensor
    generator = torch.Generator().manual_seed(derive(seed, f"projection to {size}", before))
    matrix = torch.randn(size, before, generator=generator) / math.sqrt(size)
    return (tensor.movedim(dim, -1) @ matrix.T).movedim(-1, dim)


@lru_cache(maxsize=4096)
def _holdings(
    graph: Graph, of: tuple[str, ...], input_shape: Shape | None
) -> Mapping[int, tuple[Holding, ...]]:
    """The state of the network by the numbers of the nodes that use it."""
    result = dict[int, tuple[Holding, ...]]()
    for member in members_of(graph, whole_shapes(graph, input_shape)):
        if not member.is_buffer:
            window = graph.nodes[member.nodes[0]].op.startswith("conv")
            held = tuple(
                Holding(f"{member.name}.{name}" if name else member.name, shape, trained, window)
                for name, shape, trained in _state(member.constructor)
            )
            result |= dict.fromkeys(member.nodes, held)
    return result


@lru_cache(maxsize=4096)
def _state(constructor: str) -> tuple[tuple[str, Shape, bool], ...]:
    """Name, sizes, and whether it is trained, of each tensor of numbers (not of counters) that the
    text makes: run as `build` runs it, but without memory.
    """
    with torch.device("meta"):
        made = eval(constructor, {"torch": torch, "nn": nn})
    if isinstance(made, Tensor):
        return (("", tuple(made.shape), True),)
    trained = {name for name, _ in made.named_parameters()}
    return tuple(
        (name, tuple(tensor.shape), name in trained)
        for name, tensor in made.state_dict().items()
        if tensor.is_floating_point()
    )


def _own_name(holding: Holding) -> str:
    """The name within its module."""
    return holding.name.partition(".")[2]
