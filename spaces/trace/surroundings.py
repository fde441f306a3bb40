"""What a watched module finds around it: the CPU as its device, and gradients as in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from spaces.trace.recurrent import RECURRENT, recurrent_result
from spaces.trace.watched_calls import Watcher

_CPU, _META = torch.device("cpu"), torch.device("meta")
# What the attributes of a tensor without numbers are, as a program has to see them.
_ATTRIBUTES: dict[Any, Any] = {
    Tensor.device.__get__: _CPU,  # type: ignore[attr-defined]
    Tensor.is_cpu.__get__: True,  # type: ignore[attr-defined]
    Tensor.is_meta.__get__: False,  # type: ignore[attr-defined]
}


class _Surroundings(TorchFunctionMode):
    """Tensors without numbers say that they are on the CPU; what is made there has no numbers."""

    def __init__(self, watcher: Watcher, device: str) -> None:
        super().__init__()
        self.watcher, self.has_numbers = watcher, device != "meta"

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in RECURRENT and not kwargs:
            return recurrent_result(self.watcher, func, args)
        if self.has_numbers:
            return func(*args, **kwargs)
        if func in _ATTRIBUTES and args[0].is_meta:
            return _ATTRIBUTES[func]
        if func is Tensor.type and len(args) == 1 and not kwargs and args[0].is_meta:
            return torch.empty(0, dtype=args[0].dtype).type()
        if func in (Tensor.cpu, Tensor.to) and args[0].is_meta:
            args = tuple(_META if _is_cpu(item) else item for item in args)
            if func is Tensor.cpu:
                return args[0]
        if _is_cpu(kwargs.get("device")) and not (func is Tensor.to and not args[0].is_meta):
            kwargs = {**kwargs, "device": _META}
        return func(*args, **kwargs)


def _is_cpu(device: Any) -> bool:
    return isinstance(device, torch.device | str) and str(device).startswith("cpu")


@contextmanager
def surroundings(watcher: Watcher, device: str) -> Iterator[None]:
    """Within this context, a program that asks finds what it would find in training on the CPU.

    Tensors on the meta device say that they are on the CPU, and gradients are recorded. Attention
    is computed by the matrix products that torch's counter knows.

    Args:
        watcher: counts what recurrent layers cost.
        device: of the module that runs, "cpu" or "meta".
    """
    with sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), _Surroundings(watcher, device):
        yield
