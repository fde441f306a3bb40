"""Results of operations on tensors without numbers, remembered by the shapes of what is given.

Torch computes such a result by running the operation's Python description, which takes milliseconds
for a norm. Networks repeat their blocks, and a space its networks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

_MOST_KEPT = 8192
# By operation and arguments: size, stride and data type of each result, and whether it is one.
_KEPT: OrderedDict[Hashable, tuple[tuple[Any, ...], bool]] = OrderedDict()


def described(item: Any) -> Hashable:
    """What an operation's result depends on, if tensors have no numbers: shapes and settings.

    Devices are left out, and so are generators: their text holds an address, which differs in each
    process.
    """
    if isinstance(item, Tensor):
        if is_lazy(item):
            return None
        return tuple(item.shape), item.stride(), item.dtype
    if isinstance(item, list | tuple):
        return tuple(map(described, item))
    if isinstance(item, dict):
        return tuple((name, described(value)) for name, value in item.items())
    if isinstance(item, torch.device | torch.Generator):
        return None
    return type(item).__name__, item


def bare_result(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], key: Hashable) -> Any:
    """The result of a dispatched operation whose tensors are all on the meta device.

    Args:
        func: the operation.
        args, kwargs: its arguments.
        key: `described` of both.
    """
    if not _is_pure(func):
        return func(*args, **kwargs)
    known = _KEPT.get((func, key))
    if known is None:
        made = func(*args, **kwargs)
        several = isinstance(made, list | tuple)
        outputs = tuple(made) if several else (made,)
        if all(isinstance(item, Tensor) and not item.is_complex() for item in outputs):
            metas = tuple((tuple(item.shape), item.stride(), item.dtype) for item in outputs)
            _KEPT[func, key] = metas, several
            if len(_KEPT) > _MOST_KEPT:
                _KEPT.popitem(last=False)
        return made
    metas, several = known
    outputs = tuple(
        torch.empty_strided(size, stride, dtype=dtype, device="meta")
        for size, stride, dtype in metas
    )
    return outputs if several else outputs[0]


_PURE: dict[Any, bool] = {}


def _is_pure(func: Any) -> bool:
    """Whether the operation changes nothing, and its results share no memory with its arguments."""
    if func not in _PURE:
        schema = func._schema
        values = (*schema.arguments, *schema.returns)
        _PURE[func] = not schema.is_mutable and all(item.alias_info is None for item in values)
    return _PURE[func]
