"""Handlers of the functions that rearrange, cut, index or join tensors."""

from __future__ import annotations

from typing import Any

import torch

from spaces.ops import rearranging_rules
from spaces.ops.shapes import BATCH, dimension
from spaces.trace.attributes import json_value
from spaces.trace.handlers import Handler, Record
from spaces.trace.other_functions import fallback
from spaces.trace.sizes import BatchSize
from spaces.trace.untraceable import Untraceable


def _given(sizes: tuple[Any, ...]) -> Any:
    """Sizes or dimensions that were given one by one, or as one tuple or list."""
    return sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes


def reshape(record: Record, x: Any, *shape: Any, **kwargs: Any) -> Any:
    """`x.reshape(...)`; it becomes `flatten` if it keeps the batch and merges all other sizes."""
    wanted = json_value(kwargs.get("shape", _given(shape)))
    whole = rearranging_rules.reshaping({"shape": wanted}, (x.whole_shape,))
    if len(whole) == 2 and whole[0] == BATCH == x.whole_shape[0]:
        return record("flatten", {}, (x,))
    sizes = tuple("batch" if size == BATCH else size for size in whole)
    return record("reshape", {"shape": sizes}, (x,))


def expand(record: Record, x: Any, *shape: Any, **kwargs: Any) -> Any:
    """`x.expand(...)`."""
    return record("expand", {"shape": json_value(kwargs.get("size", _given(shape)))}, (x,))


def repeat(record: Record, x: Any, *sizes: Any) -> Any:
    """`x.repeat(...)`; it becomes `expand` if a dimension is repeated for every sample."""
    sizes = tuple(_given(sizes))
    if not any(isinstance(size, BatchSize) for size in sizes):
        return fallback(record, torch.Tensor.repeat, (x, *sizes), {})
    shape = tuple(
        "batch" if isinstance(size, BatchSize) else -1 if size == 1 else size for size in sizes
    )
    return record("expand", {"shape": shape}, (x,))


def permute(record: Record, x: Any, *dims: Any, **kwargs: Any) -> Any:
    """`x.permute(...)`."""
    wanted = kwargs.get("dims", dims[0] if len(dims) == 1 else dims)
    return record("permute", {"dims": json_value(wanted)}, (x,))


def squeeze(record: Record, x: Any, dim: Any = None) -> Any:
    """`x.squeeze(dim)`; without `dim`, all dimensions of size 1 are named."""
    ones = tuple(place for place, size in enumerate(x.whole_shape) if size == 1)
    return record("squeeze", {"dim": json_value(ones if dim is None else dim)}, (x,))


def flatten(record: Record, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """`x.flatten(start_dim, end_dim)`; the last dimension is written -1."""
    end = end_dim if end_dim != len(x.whole_shape) - 1 else -1
    return record("flatten", {"start_dim": start_dim, "end_dim": end}, (x,))


def pieces(op_name: str, amount: str) -> Handler:
    """The handler of `chunk` or `split`, whose every piece becomes a node.

    Args:
        op_name: the operation.
        amount: its attribute for the number or the sizes of the pieces.
    """

    def handle(record: Record, x: Any, pieces: Any = None, dim: int = 0, **kwargs: Any) -> Any:
        wanted = next(iter(kwargs.values())) if pieces is None else pieces
        attributes = {amount: json_value(wanted), "dim": dim}
        size = x.whole_shape[dimension(dim, x.whole_shape)]
        count = len(rearranging_rules.piece_sizes(attributes, size))
        return tuple(
            record(op_name, {**attributes, "index": index}, (x,)) for index in range(count)
        )

    return handle


def unbind(record: Record, x: Any, dim: int = 0) -> Any:
    """`x.unbind(dim)`: a `getitem` for each place."""
    place = dimension(dim, x.whole_shape)
    return tuple(select(record, x, place, index) for index in range(x.whole_shape[place]))


def select(record: Record, x: Any, dim: int, index: int) -> Any:
    """`x.select(dim, index)` as an index."""
    place = dimension(dim, x.whole_shape)
    return record("getitem", {"index": ((None, None, None),) * place + (index,)}, (x,))


def narrow(record: Record, x: Any, dim: int, start: int, length: int) -> Any:
    """`x.narrow(dim, start, length)` as an index."""
    before = (slice(None),) * dimension(dim, x.whole_shape)
    return getitem(record, x, (*before, slice(start, start + length)))


def getitem(record: Record, x: Any, index: Any) -> Any:
    """`x[index]`."""

    def one(item: Any) -> Any:
        if isinstance(item, slice):
            return (json_value(item.start), json_value(item.stop), json_value(item.step))
        if item is Ellipsis:
            return "..."
        if item is None or (isinstance(item, int) and not isinstance(item, bool)):
            return item
        raise Untraceable(
            "a tensor can be indexed by whole numbers, slices, None and ... only, got "
            f"{type(item).__name__}"
        )

    items = index if isinstance(index, tuple) else (index,)
    return record("getitem", {"index": tuple(map(one, items))}, (x,))


def joined(op_name: str) -> Handler:
    """The handler of `cat` or `stack`."""

    def handle(record: Record, tensors: Any = None, dim: int = 0, **kwargs: Any) -> Any:
        values = tuple(kwargs["tensors"] if tensors is None else tensors)
        return record(op_name, {"dim": kwargs.get("axis", dim)}, values)

    return handle
