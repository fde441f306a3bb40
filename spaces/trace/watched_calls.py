"""What is recorded while a module is watched: each dispatched operation, by module call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry

from spaces.structure import by_name, leaves
from spaces.trace.bare_results import bare_result, described

# Samples in the observed batch: a batch norm in training needs two.
SAMPLES = 2
# Operations that only move, view or copy numbers.
_MOVES = frozenset(
    (
        *("view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select"),
        *("unsqueeze", "squeeze", "clone", "detach", "alias", "unbind", "split", "chunk"),
        *("split_with_sizes", "as_strided", "_to_copy", "contiguous", "reshape", "copy", "narrow"),
        *("unfold", "flip", "roll", "lift_fresh"),
    )
)
# Operations that take only the shape of a tensor.
_FRESH = frozenset(
    (
        *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
        *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided", "randint_like"),
    )
)


@dataclass
class Call:
    """An operation, or all operations of one call of a torch.nn module.

    Attributes:
        name: of the operation or of the module's class; empty if it only moves numbers.
        inputs: the calls whose values it takes, in order; 0 is the network's input.
        shape: of its last value.
        parameters: how many trained numbers are used here first.
        multiply_adds: of the whole batch; once all is seen, of one sample.
        constant: those of them that depend on no input, so that they may not grow with the batch.
        label: the dotted path of the module.
        moves: whether it only moves numbers.
        fixed: whether no value that it takes depends on the input.
    """

    name: str
    label: str = ""
    inputs: list[int] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    parameters: int = 0
    multiply_adds: int = 0
    constant: int = 0
    moves: bool = False
    fixed: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is no operation, but one of several inputs, or all outputs."""
        return self.name in ("input", "outputs")


class Watcher(TorchDispatchMode):
    """Records each dispatched operation, in the scope of the module call that it belongs to.

    A tensor is known by its `id`. All tensors are kept, so that no `id` is used twice.

    Attributes:
        module: the watched module.
        results: what it returned.
        calls: what was recorded; a call's number is its place here.
        makers: the number of the call that made each tensor.
        written: for each memory, the number of the call that last wrote to it.
        fixed: the tensors that depend on no input.
        kept: the tensors.
        paths: the dotted path of each part of the module, by the part's id.
        owners: the module's parameters.
        places: the parameters in the order of their first use.
        counted: for each parameter, the number of the call that uses it first.
        open: the calls of modules that have not ended, from the outermost to the innermost, each
            with the number of the latest call when it began.
        is_meta: whether the inputs have no numbers.
        digest: of all operations, with their settings and the order of their inputs.
    """

    def __init__(self, module: nn.Module, inputs: Any) -> None:
        super().__init__()
        self.module, self.results = module, list[Any]()
        given = by_name(inputs, "")
        self.calls = [Call("input", shape=_flat(given.values()))]
        if isinstance(inputs, Tensor):
            self.calls[0].shape = tuple(inputs.shape)
        else:
            # The graph has one input; each of several is a call of its own behind it.
            self.calls += [
                Call("input", name, [0], tuple(item.shape)) for name, item in given.items()
            ]
        first = len(self.calls) - len(given)
        self.makers = {id(item): first + place for place, item in enumerate(given.values())}
        self.kept: list[Any] = [*given.values()]
        self.paths = {id(item): path for path, item in module.named_modules()}
        self.owners = {id(tensor) for tensor in module.parameters()}
        self.places: dict[int, int] = {}
        self.is_meta = any(item.is_meta for item in given.values())
        self.written: dict[int, int] = {}
        self.fixed = set[int]()
        self.counted: dict[int, int] = {}
        self.open: list[tuple[nn.Module, int]] = []
        self.digest = hashlib.blake2b(digest_size=12)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():
            # There composed operations arrive whole.
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        tensors = list(_tensors((args, kwargs)))
        if self.is_meta and any(not item.is_meta and item.ndim for item in tensors):
            args, kwargs = _all_without_numbers(func, args, kwargs, tensors)
        key = described((args, kwargs))
        if tensors and all(item.is_meta for item in _tensors((args, kwargs))):
            result = bare_result(func, args, kwargs, key)
        else:
            result = func(*args, **kwargs)
        outputs = list(_tensors(result))
        makers = [self.maker(item) for item in tensors]
        owned = [item for item in tensors if id(item) in self.owners]
        inputs = [maker for maker in makers if maker is not None]
        weights = [self.places.setdefault(id(item), len(self.places)) for item in owned]
        self.digest.update(repr((func._schema.name, key, inputs, weights)).encode())
        if (not inputs and not owned) or _plain_name(func) in _FRESH:
            return result  # Its numbers depend on nothing that is learnt or given.
        fixed = all(
            id(item) in self.fixed
            for item, maker in zip(tensors, makers, strict=True)
            if maker is not None
        )
        number = self._current(func, inputs, owned)
        call = self.calls[number]
        call.fixed = call.fixed and fixed
        call.inputs += [item for item in inputs if item != number and item not in call.inputs]
        counter = flop_registry.get(func._overloadpacket)
        if counter is not None:
            multiply_adds = int(counter(*args, **kwargs, out_val=result)) // 2
            call.multiply_adds += multiply_adds
            call.constant += multiply_adds if fixed else 0
        for tensor in owned:
            if id(tensor) not in self.counted:
                self.counted[id(tensor)] = number
                call.parameters += tensor.numel()
        if func._schema.is_mutable:
            self._write(func, args, number)
        for item in outputs:
            self.makers[id(item)] = number
            if fixed:
                self.fixed.add(id(item))
        if outputs:
            call.shape = tuple(outputs[0].shape)
        self.kept += tensors
        self.kept += outputs
        return result

    def maker(self, tensor: Any) -> int | None:
        """The call that made a value, or wrote to its memory since; None if none did."""
        made = self.makers.get(id(tensor))
        if not self.written or not isinstance(tensor, Tensor):
            return made
        written = self.written.get(_memory(tensor))
        return written if made is None or (written is not None and written > made) else made

    def _write(self, func: Any, args: tuple[Any, ...], number: int) -> None:
        for argument, value in zip(func._schema.arguments, args, strict=False):
            changed = argument.alias_info is not None and argument.alias_info.is_write
            if changed and isinstance(value, Tensor):
                self.written[_memory(value)] = number
                self.fixed.discard(id(value))

    def returned(self, result: Any) -> None:
        """Keeps what the module returned: one tensor, or several, which then make one value."""
        self.results = [item for item in leaves(result) if isinstance(item, Tensor)]
        if not isinstance(result, Tensor):
            found = [self.maker(item) for item in self.results]
            makers = dict.fromkeys(maker for maker in found if maker is not None)
            self.digest.update(repr([tuple(item.shape) for item in self.results]).encode())
            shape = _flat(self.results)
            self.results = [result]
            if makers:
                self.makers[id(result)] = len(self.calls)
                self.calls.append(Call("outputs", "", list(makers), shape))

    def _current(self, func: Any, inputs: list[int], owned: list[Tensor]) -> int:
        """The number of the call that an operation belongs to; a new one outside torch.nn."""
        for module, number in self.open:
            if _is_leaf(module):
                return number
        name = _plain_name(func)
        label = self.paths.get(id(self.open[-1][0]), "") if self.open else ""
        # A copy into memory that holds other values mixes them.
        moves = name in _MOVES and not owned and len(set(inputs)) == 1
        self.calls.append(Call(_call_name(name), label, moves=moves, fixed=True))
        return len(self.calls) - 1

    def leaf(self) -> Call | None:
        """The call of the torch.nn module that is running; None if none is."""
        return next((self.calls[item] for module, item in self.open if _is_leaf(module)), None)

    def enter(self, module: nn.Module) -> None:
        if _is_leaf(module) and not any(_is_leaf(item) for item, _ in self.open):
            label = self.paths.get(id(module), "")
            self.calls.append(Call(f"nn.{type(module).__name__}", label, fixed=True))
        self.open.append((module, len(self.calls) - 1))

    def leave(self, output: Any) -> None:
        module, number = self.open.pop()
        if _is_leaf(module) and not any(_is_leaf(item) for item, _ in self.open):
            first = next(_tensors(output), None)
            if first is not None and self.maker(first) == number:
                self.calls[number].shape = tuple(first.shape)


def _flat(tensors: Iterable[Tensor]) -> tuple[int, int]:
    """The shape of all numbers of these tensors in one row for each sample."""
    return SAMPLES, max(1, sum(tensor.numel() for tensor in tensors) // SAMPLES)


def _all_without_numbers(func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
    """The arguments with tensors that were made on the CPU replaced by such without numbers.

    Raises:
        ValueError: the operation would write to memory with numbers.
    """
    if not any(item.is_meta for item in tensors):
        return args, kwargs
    if func._schema.is_mutable:
        raise ValueError("values without numbers cannot be written to memory with numbers")

    def bare(item: Any) -> Any:
        has_numbers = isinstance(item, Tensor) and not item.is_meta and item.ndim
        return torch.empty_like(item, device="meta") if has_numbers else item

    return tree_map(bare, (args, kwargs))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


@lru_cache(maxsize=4096)
def _plain_name(func: Any) -> str:
    """An operation's name, the same where it works in place."""
    return func._schema.name.removeprefix("aten::").removesuffix("_")


def _call_name(name: str) -> str:
    return "" if name in _MOVES else f"aten.{name}"


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


# Modules of torch.nn that only call others.
_CONTAINERS = (
    *(nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Transformer, nn.TransformerEncoder),
    *(nn.TransformerDecoder, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
)


def _is_leaf(module: nn.Module) -> bool:
    """Whether it is a module of torch.nn that computes by itself, such as a layer."""
    kind = type(module)
    return kind.__module__.startswith("torch.nn.modules") and kind not in _CONTAINERS
