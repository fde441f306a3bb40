"""A coarse graph of any module: it runs once, and every operation that torch dispatches is seen.

    graph = watch(module, (3, 32, 32))       module may be on the meta device

`trace` gives a finer graph, from which the network can be built, but cannot follow every program.
Here whatever torch can run is described. The operations of a torch.nn module become one node.
Operations that only move numbers are left out, and an operation without multiply-adds joins the
only operation that it follows. Numbers of parameters and multiply-adds are exact.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from spaces.choices import Rejected
from spaces.graph import OUTPUT, Edge, Graph, Node, node
from spaces.ops.observed import PREFIX
from spaces.ops.shapes import BATCH, Shape

# Samples in the observed batch: a batch norm in training needs two.
_SAMPLES = 2

# Operations that only move, view or copy numbers.
_MOVES = frozenset(
    (
        *("view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select"),
        *("unsqueeze", "squeeze", "clone", "detach", "alias", "unbind", "split", "chunk"),
        *("split_with_sizes", "as_strided", "_to_copy", "contiguous", "reshape", "copy_", "narrow"),
        *("unfold", "flip", "roll", "lift_fresh", "squeeze_", "unsqueeze_", "detach_"),
    )
)


def watch(module: nn.Module, input_shape: Shape, vocabulary: int | None = None) -> Graph:
    """The graph of the operations that `module` runs in its present mode.

    Args:
        module: any module of PyTorch that takes one tensor.
        input_shape: of one sample, without the batch.
        vocabulary: the number of different tokens, if the inputs are tokens.

    Raises:
        ValueError: the module cannot be run on such an input, or its result does not depend on it.
    """
    try:
        seen = _run(module, tuple(input_shape), vocabulary, "meta")
    except Rejected:
        raise
    except Exception as on_meta:  # Any program may fail on tensors without numbers, in any way.
        try:
            real = _filled(module)
            seen = _run(real, tuple(input_shape), vocabulary, "cpu")
        except Exception as error:
            raise ValueError(
                f"{type(module).__name__} cannot be run on an input of the shape "
                f"{tuple(input_shape)}: {type(error).__name__}: {error}"
            ) from on_meta
    return _graph(seen, tuple(input_shape), vocabulary)


def _run(module: nn.Module, shape: Shape, vocabulary: int | None, device: str) -> _Watcher:
    size = (_SAMPLES, *shape)
    if vocabulary is None:
        inputs = torch.empty(size, device=device) if device == "meta" else torch.rand(size)
    else:
        inputs = torch.zeros(size, dtype=torch.int64, device=device)
    watcher = _Watcher(module, inputs)
    with torch.random.fork_rng(devices=[]), _scopes(watcher), watcher:
        result = module(inputs)
    if not isinstance(result, Tensor):
        raise ValueError(f"forward must return one tensor, and returned {type(result).__name__}")
    watcher.results = [result]
    return watcher


def _filled(module: nn.Module) -> nn.Module:
    """A copy on the CPU whose parameters and buffers are small numbers."""
    copied = copy.deepcopy(module)
    if any(tensor.is_meta for tensor in (*copied.parameters(), *copied.buffers())):
        copied = copied.to_empty(device="cpu")
        with torch.no_grad():
            for tensor in (*copied.parameters(), *copied.buffers()):
                tensor.fill_(0.01) if tensor.is_floating_point() else tensor.zero_()
    return copied


@dataclass
class _Call:
    """An operation, or all operations of one call of a torch.nn module.

    Attributes:
        name: of the operation or of the module's class.
        inputs: the calls whose values it takes, in order; 0 is the network's input.
        shape: of its last value.
        parameters, multiply_adds: of the whole batch for the latter.
        label: the dotted path of the module.
        moves: whether it only moves numbers.
    """

    name: str
    label: str = ""
    inputs: list[int] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    parameters: int = 0
    multiply_adds: int = 0
    moves: bool = False


class _Watcher(TorchDispatchMode):
    """Records each dispatched operation, in the scope of the module call that it belongs to."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.module, self.results = module, list[Any]()
        self.calls = [_Call("input", shape=tuple(inputs.shape))]
        self.makers: dict[int, int] = {id(inputs): 0}
        self.kept: list[Any] = [inputs]  # So that no id is used twice.
        self.paths = {id(item): path for path, item in module.named_modules()}
        self.owners = {
            id(tensor): path.rpartition(".")[0] for path, tensor in module.named_parameters()
        }
        self.counted = set[int]()
        self.open: list[tuple[nn.Module, int]] = []
        self.digest = hashlib.blake2b(digest_size=12)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [item for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)]
        outputs = [item for item in tree_leaves(result) if isinstance(item, Tensor)]
        name = func._schema.name.removeprefix("aten::")
        plain = [item for item in tree_leaves((args, kwargs)) if not isinstance(item, Tensor)]
        shapes = [tuple(item.shape) for item in outputs]
        self.digest.update(repr((name, [str(item) for item in plain], shapes)).encode())
        inputs = [self.makers[id(item)] for item in tensors if id(item) in self.makers]
        self.digest.update(repr(inputs).encode())
        owned = [item for item in tensors if id(item) in self.owners]
        if not inputs and not owned:
            return result  # It depends on nothing that is learnt or given.
        number = self._current(name, owned)
        call = self.calls[number]
        call.inputs += [item for item in inputs if item != number and item not in call.inputs]
        counter = flop_registry.get(func._overloadpacket)
        if counter is not None:
            flops = counter(*args, **(kwargs or {}), out_val=result)
            call.multiply_adds += int(flops) // 2
        for tensor in owned:
            if id(tensor) not in self.counted:
                self.counted.add(id(tensor))
                call.parameters += tensor.numel()
        for item in outputs:
            self.makers[id(item)] = number
            self.kept.append(item)
            call.shape = tuple(item.shape)
        self.kept += tensors
        return result

    def _current(self, name: str, owned: list[Tensor]) -> int:
        """The number of the call that an operation belongs to; a new one outside torch.nn."""
        for module, number in self.open:
            if _is_leaf(module):
                return number
        label = self.paths.get(id(self.open[-1][0]), "") if self.open else ""
        moves = name in _MOVES and not owned
        self.calls.append(_Call(f"aten.{name}", label, moves=moves))
        return len(self.calls) - 1

    def enter(self, module: nn.Module) -> None:
        if _is_leaf(module) and not any(_is_leaf(item) for item, _ in self.open):
            label = self.paths.get(id(module), "")
            self.calls.append(_Call(f"nn.{type(module).__name__}", label))
        self.open.append((module, len(self.calls) - 1))

    def leave(self) -> None:
        self.open.pop()


def _is_leaf(module: nn.Module) -> bool:
    """Whether it is a module of torch.nn that computes by itself, such as a layer."""
    kind = type(module)
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    return kind.__module__.startswith("torch.nn.modules") and kind not in containers


@contextmanager
def _scopes(watcher: _Watcher) -> Iterator[None]:
    """The watcher knows which module calls are open."""
    from torch.nn.modules.module import (
        register_module_forward_hook,
        register_module_forward_pre_hook,
    )

    def before(module: nn.Module, inputs: Any) -> None:
        watcher.enter(module)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        watcher.leave()

    handles = (register_module_forward_pre_hook(before), register_module_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _graph(seen: _Watcher, input_shape: Shape, vocabulary: int | None) -> Graph:
    """The folded graph of what was seen."""
    calls = seen.calls
    results = [seen.makers[id(item)] for item in seen.results if id(item) in seen.makers]
    if not results:
        raise ValueError(
            f"{type(seen.module).__name__} returned no tensor that depends on its input"
        )
    sources = _without_moves(calls)
    uses = [0] * len(calls)
    for number, call in enumerate(calls):
        if not call.moves:
            for source in sources[number]:
                uses[source] += 1
    for number in results:
        uses[_origin(number, calls, sources)] += 1
    blocks = _blocks(calls, sources, uses)
    live = _live({blocks[_origin(number, calls, sources)] for number in results}, blocks, sources)
    missing = sum(
        tensor.numel() for tensor in seen.module.parameters() if id(tensor) not in seen.counted
    )
    return _assembled(seen, blocks, sources, live, results, input_shape, vocabulary, missing)


def _origin(number: int, calls: list[_Call], sources: list[list[int]]) -> int:
    """The call that made the numbers which a call only moves."""
    while calls[number].moves and sources[number]:
        number = sources[number][0]
    return number


def _without_moves(calls: list[_Call]) -> list[list[int]]:
    """The inputs of each call, with calls that only move numbers replaced by their inputs."""
    sources: list[list[int]] = []
    for call in calls:
        inputs = list[int]()
        for source in call.inputs:
            if calls[source].moves and sources[source]:
                inputs += sources[source]
            else:
                inputs.append(source)
        sources.append(list(dict.fromkeys(inputs)))
    return sources


def _blocks(calls: list[_Call], sources: list[list[int]], uses: list[int]) -> list[int]:
    """The number of the first call of the block that each call belongs to."""
    blocks = list(range(len(calls)))
    for number, call in enumerate(calls):
        if call.moves or number == 0 or len(sources[number]) != 1:
            continue
        (source,) = sources[number]
        if source and uses[source] == 1 and not call.multiply_adds:
            blocks[number] = blocks[source]
    return blocks


def _live(results: set[int], blocks: list[int], sources: list[list[int]]) -> set[int]:
    """The blocks that the results need."""
    inside: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        inside.setdefault(block, []).append(number)
    live, waiting = set[int](), list(results)
    while waiting:
        block = waiting.pop()
        if block in live:
            continue
        live.add(block)
        waiting += [blocks[source] for member in inside[block] for source in sources[member]]
    return live | {0}


def _assembled(
    seen: _Watcher,
    blocks: list[int],
    sources: list[list[int]],
    live: set[int],
    results: list[int],
    input_shape: Shape,
    vocabulary: int | None,
    missing: int,
) -> Graph:
    members: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        if block in live and not seen.calls[number].moves:
            members.setdefault(block, []).append(number)
    # A block stands where its last call does, so that its inputs come before it.
    order = sorted(members, key=lambda block: members[block][-1])
    places = {block: place for place, block in enumerate(order)}
    first = node("input", shape=input_shape)
    if vocabulary is not None:
        first = node("input", shape=input_shape, vocabulary=vocabulary)
    nodes, edges = [first], list[Edge]()
    last = len(order) - 1
    for place, block in enumerate(order[1:], start=1):
        inside = [seen.calls[number] for number in members[block]]
        parameters = sum(call.parameters for call in inside)
        attributes: dict[str, Any] = {"shape": _whole(inside[-1].shape)}
        if place == last:
            # Unused parameters are the network's all the same.
            parameters += missing
            attributes["detail"] = seen.digest.hexdigest()
        if parameters:
            attributes["parameters"] = parameters
        if multiply_adds := sum(call.multiply_adds for call in inside) // _SAMPLES:
            attributes["multiply_adds"] = multiply_adds
        name = PREFIX + "+".join(dict.fromkeys(call.name for call in inside))
        nodes.append(Node(name, tuple(sorted(attributes.items())), inside[0].label))
        given = [
            blocks[source]
            for number in members[block]
            for source in sources[number]
            if blocks[source] != block
        ]
        edges += [
            Edge(places[source], place, slot) for slot, source in enumerate(dict.fromkeys(given))
        ]
    origins = dict.fromkeys(blocks[_origin(number, seen.calls, sources)] for number in results)
    edges += [Edge(places[block], len(nodes)) for block in origins]
    return Graph((*nodes, OUTPUT), tuple(edges))


def _whole(shape: tuple[int, ...]) -> Shape:
    """The shape with the batch written -1, also where the batch is part of a larger dimension."""
    if shape[:1] == (_SAMPLES,):
        return (BATCH, *shape[1:])
    if shape and shape[0] % _SAMPLES == 0:
        return (BATCH, shape[0] // _SAMPLES, *shape[1:])
    return tuple(shape) or (1,)
