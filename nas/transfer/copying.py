"""The weights that a network takes over from another: which tensors, and which part of each.

share = overlap(donor_graph, child_graph, "ordered")
tensors = correspondence(donor_graph, child_graph)
state = inherited(module.state_dict(), donor_state, tensors, "ordered", seed=0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor, nn

from nas.seeds import derive
from nas.transfer.matching import counterparts, labels
from nas.transfer.settings import Rule
from spaces.build import members_of
from spaces.graph import Graph
from spaces.ops import whole_shapes
from spaces.ops.shapes import Shape


@dataclass(frozen=True)
class Holding:
    """A tensor of a network's state.

    Attributes:
        name: its name in the state_dict.
        shape: its sizes.
        trained: true for a parameter, false for a running statistic.
        window: true for a convolution, where the sizes from the third on are those of the kernel.
    """

    name: str
    shape: Shape
    trained: bool
    window: bool


@dataclass(frozen=True)
class Inheritance:
    """A tensor of the child, and the tensor of the donor from which it may be copied."""

    child: Holding
    donor: Holding


def overlap(donor: Graph, child: Graph, rule: Rule, input_shape: Shape | None = None) -> float:
    """The share of the child's trained tensors that would be copied, 0 to 1.

    A tensor that is copied in part counts with its copied share. As in FlexiBERT all tensors count
    equally, whatever their sizes: in a small network for texts the embedding alone has most of the
    weights. No network is built.

    Args:
        donor, child: graphs of primitive operations (`SearchSpace.network_graph`).
        rule: see `TransferSettings`.
        input_shape: as in `spaces.build.build`.
    """
    held_by_node = _holdings(child, labels(child), input_shape).values()
    trained = len({each.name for held in held_by_node for each in held if each.trained})
    copied = [
        copied_share(each, rule)
        for each in correspondence(donor, child, input_shape)
        if each.child.trained
    ]
    return math.fsum(copied) / trained if trained else 0.0


def correspondence(
    donor: Graph, child: Graph, input_shape: Shape | None = None
) -> tuple[Inheritance, ...]:
    """The tensors of the child that can be copied, with those of the donor.

    The node of the child must have a counterpart with a tensor of the same name and the same number
    of dimensions. Constants (the operation `buffer`) and counters are not copied.
    """
    given = _holdings(donor, labels(donor), input_shape)
    own = _holdings(child, labels(child), input_shape)
    result = dict[str, Inheritance]()
    for number, other in counterparts(donor, child).items():
        for mine, theirs in product(own.get(number, ()), given.get(other, ())):
            if _own_name(mine) == _own_name(theirs) and len(mine.shape) == len(theirs.shape):
                # For nodes with shared weights the first match counts.
                result.setdefault(mine.name, Inheritance(mine, theirs))
    return tuple(result.values())


def in_own_names(
    tensors: tuple[Inheritance, ...], donor: Graph, child: Graph, input_shape: Shape | None = None
) -> tuple[Inheritance, ...]:
    """The same tensors by the names that they have in the users' own modules.

    A node that was traced from a module has the module's dotted path as its label. The names of
    `correspondence` are those of the class that is generated from the graph.

    Args:
        tensors: the result of `correspondence(donor, child, input_shape)`.
        donor, child: graphs of traced modules.
        input_shape: as in `correspondence`.
    """
    theirs, own = _own_paths(donor, input_shape), _own_paths(child, input_shape)
    return tuple(
        Inheritance(_renamed(each.child, own), _renamed(each.donor, theirs)) for each in tensors
    )


def _own_paths(graph: Graph, input_shape: Shape | None) -> Mapping[str, str]:
    """The dotted path in the traced module of each member of the generated class."""
    members = members_of(graph, whole_shapes(graph, input_shape))
    return {member.name: graph.nodes[member.nodes[0]].label for member in members}


def _renamed(holding: Holding, paths: Mapping[str, str]) -> Holding:
    member, _, tensor = holding.name.partition(".")
    return replace(holding, name=".".join(filter(None, (paths[member], tensor))))


def copied_share(each: Inheritance, rule: Rule) -> float:
    """The share of the child's tensor that is copied from the donor."""
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
    """The child's state with the tensors copied from the donor; both arguments stay unchanged.

    All rules copy tensors of equal sizes. They differ for the others:

    - `exact` leaves them fresh.
    - `ordered` copies the leading slice that both tensors have along each dimension. The rest stays
      fresh.
    - `projection` multiplies each dimension whose size changes from a to b by a random matrix
      (b, a) with N(0, 1 / b). All such dimensions use the same matrix, so the outputs of one layer
      and the inputs of the next stay in the same coordinates: with h' = P h and W' = W Pᵀ,
      W' h' ≈ W h. Vectors (biases, norms) are not projected but stay fresh, because the variances
      of a norm could become negative.

    `ordered` and `projection` align the kernels of convolutions at their centres, since a leading
    slice would shift the image. Unlike FlexiBERT 2.0, attention heads are not copied one by one.

    Args:
        fresh: state_dict of the child.
        donor: state_dict of the donor, whose graph was an argument of `correspondence`.
        tensors: the result of `correspondence`.
        rule: see `TransferSettings`.
        seed: seed of the projections.

    Raises:
        ValueError: the donor's state does not have these tensors.
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
    """The part of the child's tensor that is overwritten, and the part of the donor's copied."""
    own, theirs = [], []
    for dim, (size, other) in enumerate(zip(child.shape, origin, strict=True)):
        count, middle = min(size, other), child.window and dim >= 2
        starts = ((size - count) // 2, (other - count) // 2) if middle else (0, 0)
        own.append(slice(starts[0], starts[0] + count))
        theirs.append(slice(starts[1], starts[1] + count))
    return tuple(own), tuple(theirs)


def _projected(tensor: Tensor, dim: int, size: int, seed: int) -> Tensor:
    """The tensor with this dimension projected to the size."""
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
    """The tensors of the network by the indices of the nodes that use them.

    The labels are an argument for the cache only.
    """
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
    """Name, sizes and whether it is trained, for each floating-point tensor of a constructor.

    The constructor is run as in `build`, but on the meta device, which allocates no memory.
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
    """The name of the tensor within its module."""
    return holding.name.partition(".")[2]
