"""The shape of a traced tensor, whose batch size is not a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spaces.trace.untraceable import Untraceable

NO_NUMBER = (
    "the batch size was used as a number, but the network must serve every batch size: keep the "
    "batch as a dimension of its own (x.flatten(1), x.reshape(x.shape[0], ...))"
)


class BatchSize:
    """The batch size of a traced tensor, `x.shape[0]`.

    It can be an argument of view, reshape and expand. It is not a number, since the network serves
    every batch size.
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
_REFLECTED = tuple(f"r{_name}" for _name in _ARITHMETIC)
_COMPARISONS = ("lt", "le", "gt", "ge")
_CONVERSIONS = ("int", "float", "index", "neg", "bool")
for _name in (*_ARITHMETIC, *_REFLECTED, *_COMPARISONS, *_CONVERSIONS):
    setattr(BatchSize, f"__{_name}__", _no_number(_name))


class Size(tuple):
    """A traced value's sizes, as `torch.Size`: plain ints, and `BATCH_SIZE` for the batch."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        chosen = tuple.__getitem__(self, index)
        return Size(chosen) if isinstance(index, slice) else chosen

    def numel(self) -> int:
        """The number of elements, which is known only if these sizes do not contain the batch."""
        result = 1
        for size in self:
            result = result * size
        return result
