"""The state of an optimizer as tensors by name, and back, whatever it holds.

A name is the parameter's place in the optimizer and the name that the optimizer uses, such as
`0.exp_avg`. What is no tensor becomes one, and its name ends in what it was: `#int`, `#float`, or
`#list` with the number of items, which are named by their places, `0.Q.1`. A tensor whose numbers
lie in memory in another order than usual has this order in its name, such as `#order10` for a
transposed matrix: kernels round differently for different orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_ORDER = "#order"
_NUMBERS = {"#int": (int, torch.int64), "#float": (float, torch.float64)}
# The step that some optimizers count once for a group of parameters.
_GROUP, _STEP = "group", "step"


def tensors_of(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors by name. They are not copied."""
    found = dict[str, Tensor]()
    parameters = _parameters(optimizer)
    for place, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            found |= dict(_encoded(f"{place}.{name}", value, parameters[place]))
    for number, group in enumerate(optimizer.param_groups):
        if _STEP in group:
            found |= dict(_encoded(f"{_GROUP}{number}.{_STEP}", int(group[_STEP]), None))
    return found


def restore(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Gives the optimizer the state that `tensors_of` has returned."""
    parameters = _parameters(optimizer)
    state: dict[int, dict[str, Any]] = {}
    for name in tensors:
        place, own = name.split(".", 1)
        if place.isdecimal() and "." not in own:
            own = own.partition("#")[0]
            value = _decoded(f"{place}.{own}", tensors, parameters[int(place)])
            state.setdefault(int(place), {})[own] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    for number, group in enumerate(optimizer.param_groups):
        group.pop(_STEP, None)
        if f"{_GROUP}{number}.{_STEP}#int" in tensors:
            group[_STEP] = int(tensors[f"{_GROUP}{number}.{_STEP}#int"])


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _encoded(name: str, value: Any, parameter: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        order = _order(value)
        is_usual = order == _usual_order(value, parameter)
        yield name if is_usual else f"{name}{_ORDER}{''.join(map(str, order))}", value
    elif isinstance(value, list):
        yield f"{name}#list", torch.tensor(len(value))
        for place, each in enumerate(value):
            yield from _encoded(f"{name}.{place}", each, parameter)
    elif isinstance(value, int | float):
        kind = f"#{type(value).__name__}"
        yield f"{name}{kind}", torch.tensor(value, dtype=_NUMBERS[kind][1])
    else:
        assert value is None, f"the optimizer keeps {name} as {type(value).__name__}"


def _decoded(name: str, tensors: Mapping[str, Tensor], parameter: Tensor) -> Any:
    if f"{name}#list" in tensors:
        count = int(tensors[f"{name}#list"])
        return [_decoded(f"{name}.{place}", tensors, parameter) for place in range(count)]
    for kind, (number, _) in _NUMBERS.items():
        if f"{name}{kind}" in tensors:
            return number(tensors[f"{name}{kind}"].item())
    written = next((each for each in tensors if each.startswith(f"{name}{_ORDER}")), name)
    value = tensors[written]
    order = tuple(map(int, written.partition(_ORDER)[2])) or _usual_order(value, parameter)
    made = torch.empty([value.shape[dimension] for dimension in order], dtype=value.dtype)
    return made.permute([order.index(place) for place in range(value.ndim)]).copy_(value)


def _usual_order(value: Tensor, parameter: Tensor | None) -> tuple[int, ...]:
    """The order in which optimizers create their state: of the parameter's shape, as it is."""
    if parameter is not None and value.shape == parameter.shape:
        return _order(parameter)
    return tuple(range(value.ndim))


def _order(tensor: Tensor) -> tuple[int, ...]:
    """The dimensions, from the outermost in memory to the innermost."""
    return tuple(
        sorted(range(tensor.ndim), key=lambda dimension: (-tensor.stride(dimension), dimension))
    )
