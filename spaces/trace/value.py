"""The value that stands for a tensor while a module is traced: it has a shape and no numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import nn

from spaces.ops.shapes import BATCH, Shape
from spaces.trace.sizes import BATCH_SIZE, Size
from spaces.trace.untraceable import Untraceable


class Recorder(Protocol):
    """Turns calls of torch functions into nodes."""

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any: ...

    def value(self, number: int, shape: Shape, memory: int | None = None) -> Traced: ...

    def data_type(self, number: int) -> torch.dtype: ...

    def held(self, number: int) -> torch.Tensor | None: ...


def _data_dependent(what: str) -> Callable[..., Any]:
    def refuse(self: Traced, *args: object) -> Any:
        raise Untraceable(
            f"{what} needs the numbers in a tensor, which differ from sample to sample, while an "
            "architecture is the same for all: decide by `choose`, by an attribute of the module "
            "or by x.shape, or compute with torch.where"
        )

    return refuse


# What the memory of all traced tensors is; nothing reads it.
_NOTHING = torch.empty(0)


class Traced(torch.Tensor):
    """A tensor of the traced program, whose calls of torch functions are recorded as nodes.

    It is a `torch.Tensor`, so that a program that asks is answered as for any tensor.

    Attributes:
        recorder: receives the calls.
        number: of the node that gives this value. An operation in place changes it.
        whole_shape: with the batch written `BATCH`.
        memory: the same number for values that may be views of one memory.
        version: how often that memory had been changed in place when this value was made. A value
            of an older version than its memory cannot be read any more.
    """

    recorder: Recorder
    number: int
    whole_shape: Shape
    memory: int
    version: int

    @staticmethod
    def made(
        recorder: Recorder, number: int, whole_shape: Shape, memory: int, version: int
    ) -> Traced:
        """The value with these attributes."""
        value: Any = torch.Tensor._make_subclass(Traced, _NOTHING)
        value.recorder, value.number, value.whole_shape = recorder, number, whole_shape
        value.memory, value.version = memory, version
        # By this mark torch knows a parameter.
        value._is_param = isinstance(recorder.held(number), nn.Parameter)
        return value

    def __repr__(self) -> str:  # type: ignore[override]
        return f"a traced tensor of the shape {tuple(self.shape)}"

    def __deepcopy__(self, memory: Any) -> Traced:
        return self  # It may be left in a list of the user's module.

    def __format__(self, spec: str) -> str:
        return repr(self)

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
    def dtype(self) -> torch.dtype:
        return self.recorder.data_type(self.number)

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self.dtype.is_complex

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def requires_grad(self) -> bool:
        tensor = self.recorder.held(self.number)
        if tensor is None and self.number:
            raise Untraceable("whether a computed tensor requires a gradient is not traced")
        return tensor is not None and tensor.requires_grad

    def numel(self) -> int:
        return self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0].__index__()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.recorder.call(torch.Tensor.unbind, (self, 0), {}))

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

    def operate(self: Traced, *others: Any, **options: Any) -> Any:
        return self.recorder.call(function, (self, *others), options)

    return operate


def _no_place(name: str) -> property:
    def refuse(self: Traced) -> Any:
        raise Untraceable(f"the tensor's attribute {name!r} has no place in a graph")

    return property(refuse)


def _transposed(self: Traced) -> Any:
    return self.recorder.call(torch.Tensor.transpose, (self, -2, -1), {})


for _name in ("T", "mT"):
    setattr(Traced, _name, property(_transposed))
# Methods are recorded here, before torch looks at the types of their arguments.
for _name in dir(torch.Tensor):
    if not _name.startswith("_") and _name not in vars(Traced):
        _is_method = callable(getattr(torch.Tensor, _name))
        setattr(Traced, _name, _operator(_name) if _is_method else _no_place(_name))

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
