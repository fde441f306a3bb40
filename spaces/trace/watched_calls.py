"""What is recorded while a module is watched: each dispatched operation, by module call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# Samples in the observed batch: a batch norm in training needs two.
SAMPLES = 2
# Operations that only move, view or copy numbers.
_MOVES = frozenset(
    (
        *("view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select"),
        *("unsqueeze", "squeeze", "clone", "detach", "alias", "unbind", "split", "chunk"),
        *("split_with_sizes", "as_strided", "_to_copy", "contiguous", "reshape", "copy_", "narrow"),
        *("unfold", "flip", "roll", "lift_fresh", "squeeze_", "unsqueeze_", "detach_"),
    )
)


@dataclass
class Call:
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


class Watcher(TorchDispatchMode):
    """Records each dispatched operation, in the scope of the module call that it belongs to."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.module, self.results = module, list[Any]()
        self.calls = [Call("input", shape=tuple(inputs.shape))]
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
        self.calls.append(Call(f"aten.{name}", label, moves=moves))
        return len(self.calls) - 1

    def enter(self, module: nn.Module) -> None:
        if _is_leaf(module) and not any(_is_leaf(item) for item, _ in self.open):
            label = self.paths.get(id(module), "")
            self.calls.append(Call(f"nn.{type(module).__name__}", label))
        self.open.append((module, len(self.calls) - 1))

    def leave(self) -> None:
        self.open.pop()


def _is_leaf(module: nn.Module) -> bool:
    """Whether it is a module of torch.nn that computes by itself, such as a layer."""
    kind = type(module)
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    return kind.__module__.startswith("torch.nn.modules") and kind not in containers
