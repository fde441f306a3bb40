"""What tells two modules apart that one graph describes.

A graph does not hold everything: the contents of a mask, what is frozen, how a weight is
initialised, an attribute that only training reads. `identity` is a digest of these. It is written
into the graph's input node, so that modules with different digests have different canonical keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import Tensor, nn

from spaces.making import calls_of
from spaces.plain_values import (
    OF_MODULES,
    SCALARS,
    class_contents,
    digest_of,
    full_name,
    plain_value,
)

_OF_TORCH = OF_MODULES - {"training"}
_HOOKS = tuple(sorted(name for name in _OF_TORCH if name.endswith("_hooks")))


def identity(module: nn.Module, home: str = "") -> str:
    """24 hexadecimal digits, equal for modules that differ in nothing but their graphs.

    Such modules have the same classes and plain attributes, the same frozen parameters, the same
    buffers, and the same initial values under one seed. The latter two follow from the calls that
    made the modules (see `spaces.making`), so nothing is computed.
    """
    tensors = _Tensors()
    write = partial(plain_value, tensor=tensors.written, home=home)
    calls = list[Any]()
    for name, given, keywords, result in calls_of(module):
        by_keyword = [
            (key, item if type(item) in SCALARS else write(item))
            for key, item in keywords.items()
            if item is not None
        ]
        calls.append((name, [write(item) for item in given], by_keyword))
        if isinstance(result, Tensor):
            tensors.number(result)
    text = repr((calls, list(_parts(module, write, home))))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _parts(module: nn.Module, write: Callable[[Any], Any], home: str) -> Iterator[Any]:
    """Each module inside with its attributes and tensors, in order; a shared one only once."""
    seen = dict[int, int]()
    classes = dict[type, Any]()  # What a class contains is the same for each of its modules.
    waiting: list[tuple[str, nn.Module]] = [("", module)]
    while waiting:
        path, item = waiting.pop()
        if id(item) in seen:
            yield path, seen[id(item)]
            continue
        seen[id(item)] = len(seen)
        held = item.__dict__
        if type(item).__module__.startswith("torch._dynamo"):  # A compiled module.
            waiting += [(f"{path}.{name}", part) for name, part in item.named_children()]
            continue
        kind = type(item)
        first = kind not in classes
        if first:
            classes[kind] = class_contents(kind, write)
        yield (
            path,
            full_name(kind, home),
            classes[kind] if first else None,
            [
                (name, value if type(value) in SCALARS else write(value))
                for name, value in sorted(held.items())
                if name not in _OF_TORCH
            ],
            [
                (name, None if tensor is None else _written(tensor, write))
                for name, tensor in (*item._parameters.items(), *item._buffers.items())
            ],
            [(name, write(list(held[name].values()))) for name in _HOOKS if held.get(name)],
        )
        waiting += [
            (f"{path}.{name}", child) for name, child in item._modules.items() if child is not None
        ]


def _written(tensor: Tensor, write: Callable[[Any], Any]) -> Any:
    hooks = [write(hook) for hook in (tensor._backward_hooks or {}).values()]
    return write(tensor), tensor.requires_grad, hooks


class _Tensors:
    """The numbers of tensors in the order in which calls returned them.

    Two tensors that share their numbers have one number, such as `x` and `x.data`. A tensor that no
    call returned is written as its contents.
    """

    def __init__(self) -> None:
        self._numbers = dict[object, int]()
        self._seen = dict[int, int]()  # By `id`, which is quicker to find than a place.

    def number(self, tensor: Tensor) -> int:
        known = self._seen.get(id(tensor))
        if known is None:
            known = self._numbers.setdefault(_place(tensor), len(self._numbers))
            self._seen[id(tensor)] = known
        return known

    def written(self, tensor: Tensor) -> object:
        if id(tensor) in self._seen:
            return self._seen[id(tensor)]
        if not tensor.is_meta and _place(tensor) not in self._numbers:
            return digest_of(tensor)
        return self.number(tensor)


def _place(tensor: Tensor) -> object:
    """Where the tensor's numbers are."""
    try:
        storage = tensor.untyped_storage()._cdata
        return storage, tensor.storage_offset(), tensor.shape, tensor.stride()
    except (NotImplementedError, RuntimeError, ValueError):  # Sparse, or not yet of any shape.
        return id(tensor)
