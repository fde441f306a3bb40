"""The value that stands for a tensor while a module is traced: it has a shape and no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch

from spaces.ops.shapes import BATCH, Shape
from spaces.trace.sizes import BATCH_SIZE, DATA_TYPE, DataType, Size
from spaces.trace.untraceable import Untraceable


class Recorder(Protocol):
    """Turns calls of torch functions into nodes."""

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any: ...

    def value(self, number: int, shape: Shape, storage: int | None = None) -> Traced: ...


def _data_dependent(what: str) -> Callable[..., Any]:
    def refuse(self: Traced, *args: object) -> Any:
        raise Untraceable(
            f"{what} needs the numbers in a tensor, which differ from sample to sample, while an "
            "architecture is the same for all: decide by `choose`, by an attribute of the module "
            "or by x.shape, or compute with torch.where"
        )

    return refuse


class Traced:
    """A tensor of the traced program, whose calls of torch functions are recorded as nodes.

    Attributes:
        recorder: receives the calls.
        number: of the node that gives this value. An operation in place changes it.
        whole_shape: with the batch written `BATCH`.
        storage: the same number for values that may be views of one memory.
        version: how often that memory had been changed in place when this value was made. A value
            of an older version than its memory cannot be read any more.
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


_ARITHMETIC = ("add", "sub", "mul", "truediv")
_OPERATORS = (
    *(f"{prefix}{name}" for name in _ARITHMETIC for prefix in ("", "r", "i")),
    *("pow", "rpow", "matmul", "rmatmul", "neg", "abs", "getitem"),
    *("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "invert"),
)
for _name in _OPERATORS:
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
