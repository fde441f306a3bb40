"""What flows through a user's module while it is traced: a value that knows its shape and which
node makes it, but has no numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch

from spaces.ops.shape_rules import BATCH, Shape


class Untraceable(Exception):
    """The program did something that a graph cannot hold; the message says what, and what to do."""


class Recorder(Protocol):
    """Turns calls of torch functions into nodes."""

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any: ...

    def value(self, number: int, shape: Shape, storage: int | None = None) -> Traced: ...


NO_NUMBER = (
    "the batch size was used as a number, but the network must serve every batch size: keep the "
    "batch as a dimension of its own "
    "(x.flatten(1), x.reshape(x.shape[0], ...))"
)


class BatchSize:
    """`x.shape[0]`: it may be handed to view, reshape and expand, but it is no number, since the
    network serves every batch size.
    """

    def __repr__(self) -> str:
        return "batch"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, BatchSize):
            return True
        raise Untraceable(
            f"the batch size was compared with {other!r}, but the network must serve every batch "
            "size"
        )

    def __hash__(self) -> int:
        return hash("batch")


BATCH_SIZE = BatchSize()


def _no_number(name: str) -> Callable[..., Any]:
    def refuse(self: BatchSize, *others: object) -> Any:
        raise Untraceable(NO_NUMBER)

    refuse.__name__ = name
    return refuse


_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
for _name in (
    *_ARITHMETIC,
    *(f"r{_name}" for _name in _ARITHMETIC),
    "lt",
    "le",
    "gt",
    "ge",
    "int",
    "float",
    "index",
    "neg",
    "bool",
):
    setattr(BatchSize, f"__{_name}__", _no_number(_name))


class Size(tuple):
    """A traced value's sizes, as `torch.Size`: plain ints, and `BATCH_SIZE` for the batch."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        chosen = tuple.__getitem__(self, index)
        return Size(chosen) if isinstance(index, slice) else chosen

    def numel(self) -> int:
        """The number of elements, which is known only where there is no batch."""
        result = 1
        for size in self:
            result = result * size
        return result


class DataType:
    """`x.dtype`: it may be handed to `to`, which then changes nothing."""


DATA_TYPE = DataType()


def _data_dependent(what: str) -> Callable[..., Any]:
    def refuse(self: Traced, *args: object) -> Any:
        raise Untraceable(
            f"{what} needs the numbers in a tensor, which differ from sample to sample, while an "
            "architecture is the same for all: "
            "decide by `choose`, by an attribute of the module or by x.shape, or compute with "
            "torch.where"
        )

    return refuse


class Traced:
    """A tensor of the traced program.

    Attributes:
        number: the node that makes it. An operation in place changes it.
        whole_shape: its shape, the batch written `BATCH`.
        storage: equal for values that may be views of one memory.
        version: how often the memory had been changed in place when this value was made; older
            values may not be read any more.
    """

    __slots__ = ("number", "recorder", "storage", "version", "whole_shape")

    def __init__(
        self, recorder: Recorder, number: int, whole_shape: Shape, storage: int, version: int
    ) -> None:
        self.recorder = recorder
        self.number = number
        self.whole_shape = whole_shape
        self.storage = storage
        self.version = version

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        return _recorder_of((*args, *kwargs.values())).call(function, args, kwargs)

    @property
    def shape(self) -> Size:
        return Size([BATCH_SIZE if size == BATCH else size for size in self.whole_shape])

    def copy(self) -> Traced:
        """The same value in memory of its own."""
        return self.recorder.value(self.number, self.whole_shape)

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    @property
    def ndim(self) -> int:
        return len(self.whole_shape)

    def dim(self) -> int:
        return len(self.whole_shape)

    @property
    def dtype(self) -> DataType:
        return DATA_TYPE

    @property
    def device(self) -> torch.device:
        return torch.device("meta")

    @property
    def requires_grad(self) -> bool:
        return True

    def numel(self) -> int:
        return self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0].__index__()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.recorder.call(torch.Tensor.unbind, (self, 0), {}))

    def __getattr__(self, name: str) -> Any:
        function = getattr(torch.Tensor, name, None)
        if function is None:
            raise AttributeError(f"a tensor has no attribute {name!r}")
        if not callable(function):
            if name in ("T", "mT"):
                return self.recorder.call(torch.Tensor.transpose, (self, -2, -1), {})
            raise Untraceable(f"the tensor's attribute {name!r} has no place in a graph")
        return lambda *args, **kwargs: self.recorder.call(function, (self, *args), kwargs)

    def __setitem__(self, index: object, value: object) -> None:
        raise Untraceable(
            "x[...] = ... has no place in a graph: build the value with torch.cat, torch.where "
            "or F.pad"
        )

    __hash__ = object.__hash__
    __bool__ = _data_dependent("`if`, `while`, `and`, `or` or `not` on a tensor")
    __int__ = _data_dependent("int(tensor)")
    __float__ = _data_dependent("float(tensor)")
    __index__ = _data_dependent("a tensor as an index or a count")
    __contains__ = _data_dependent("`in` on a tensor")
    item = _data_dependent("tensor.item()")
    tolist = _data_dependent("tensor.tolist()")
    numpy = _data_dependent("tensor.numpy()")


def _operator(name: str) -> Callable[..., Any]:
    function = getattr(torch.Tensor, name)

    def operate(self: Traced, *others: Any) -> Any:
        return self.recorder.call(function, (self, *others), {})

    return operate


_OPERATORS = (
    "add",
    "radd",
    "iadd",
    "sub",
    "rsub",
    "isub",
    "mul",
    "rmul",
    "imul",
    "truediv",
    "rtruediv",
    "itruediv",
    "pow",
    "rpow",
    "matmul",
    "rmatmul",
)
for _name in (
    *_OPERATORS,
    "neg",
    "abs",
    "getitem",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "and",
    "or",
    "invert",
):
    setattr(Traced, f"__{_name}__", _operator(f"__{_name}__"))


def _recorder_of(values: Any) -> Recorder:
    for value in values:
        if isinstance(value, Traced):
            return value.recorder
        if isinstance(value, tuple | list):
            for item in value:
                if isinstance(item, Traced):
                    return item.recorder
    raise Untraceable("a traced tensor is hidden inside of an argument: hand it over directly")


_SIZES = frozenset(
    {
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "output_padding",
        "output_size",
        "size",
        "scale_factor",
    }
)


def json_value(value: Any) -> Any:
    """The value as a node's attribute.

    Raises:
        Untraceable: it is not a JSON value.
    """
    if isinstance(value, tuple | list):
        return tuple(map(json_value, value))
    if isinstance(value, BatchSize):
        return "batch"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise Untraceable(
        f"the argument {value!r} has no place in a graph, which holds numbers, texts and tuples "
        "of them"
    )


def short(name: str, value: Any) -> Any:
    """(3, 3) as 3, which is how one writes it by hand."""
    if name in _SIZES:
        value = json_value(value)
        if (
            isinstance(value, tuple)
            and value
            and value[0] is not None
            and all(item == value[0] for item in value)
        ):
            value = value[0]
        return int(value) if isinstance(value, float) and value.is_integer() else value
    return json_value(value)
