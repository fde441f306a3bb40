"""What a prior says of one module of the user's own, in the units of the tables that it knows.

Shapes: K experts, R numbers in the row of a network (see `predictors.prior.experts`), L nodes and T
trees of an expert.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.strategies.prior import LEAST_TRUST
from predictors.prior.coarse import CoarseGraph, coarse_graph
from predictors.prior.experts import EXPECTED, FARTHEST, Expert, Prior, expected_correlation
from predictors.prior.networks import collate
from spaces import Graph, Shapes
from spaces.load import find_named
from spaces.ops import node_costs
from spaces.structure import is_shape

if TYPE_CHECKING:
    from torch import nn

# An expert is near enough below this distance, where a search would begin with its opinion.
NEAR = FARTHEST - LEAST_TRUST / EXPECTED
# The share of all networks for which an interval holds.
LEVEL = 0.9
_NORMAL = NormalDist()
_WITHIN = _NORMAL.inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True)
class Place:
    """Where a network would be in a table.

    Attributes:
        value: of the table's column, in its own units.
        better_than: the share of the table's networks that are worse: lower scores, higher costs.
    """

    value: float
    better_than: float


@dataclass(frozen=True)
class Opinion:
    """What one expert says of a network.

    Attributes:
        expert: where it learnt.
        distance: from the network to those that it knows.
        correlation: what is expected of the expert at this distance.
        expected: where the network would be in the table.
        lowest, highest: the ends of the 90 % interval, by value.
    """

    expert: Expert
    distance: float
    correlation: float
    expected: Place
    lowest: Place
    highest: Place


@dataclass(frozen=True)
class Unasked:
    """A table whose experts say nothing of a network.

    Attributes:
        table: its name.
        distance: of its nearest expert.
        is_far: whether that is too far; otherwise the network is larger or smaller than all that
            the expert can tell apart.
    """

    table: str
    distance: float
    is_far: bool


@dataclass(frozen=True)
class Judged:
    """What experts say of one network.

    Attributes:
        opinions: of those that are asked, the nearest first.
        unasked: the tables without an expert that is asked, the nearest first.
    """

    opinions: tuple[Opinion, ...]
    unasked: tuple[Unasked, ...]


@dataclass(frozen=True)
class JudgedModule:
    """What a prior says of a module.

    Attributes:
        parameters, multiply_adds: of the module, for one sample.
        scores, costs: what the experts of scores say, and those of costs.
    """

    parameters: int
    multiply_adds: int
    scores: Judged
    costs: Judged


def load_module(name: str) -> nn.Module:
    """The module that `my_file.py:network` or `package.module:network` names.

    Its tensors have no memory if a function makes it and can do so on the meta device.

    Raises:
        ValueError: there is no such object, or it is neither an `nn.Module` nor a function without
            arguments that returns one.
    """
    from torch import nn

    from spaces.making import made

    found = find_named("module", name, {}, own="my_file.py:network") if ":" in name else None
    if found is None:
        raise ValueError(
            f"--module names an object in a file or a package, as my_file.py:network or "
            f"package.module:network; got {name!r}"
        )
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise ValueError(
            f"{name} should be an nn.Module, or a function without arguments that returns one; it "
            f"is of the type {type(found).__name__}"
        )
    _check_no_arguments(name, found)
    module = made(found, (), lambda: None)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"the function {name} should return an nn.Module; it returned the type "
            f"{type(module).__name__}"
        )
    return module


def _check_no_arguments(name: str, function: Any) -> None:
    try:
        needed = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    except ValueError:
        # Functions that are not written in Python may have no signature. The call will tell.
        return
    if needed:
        raise ValueError(
            f"{name} should be an nn.Module, or a function that makes one and needs no arguments; "
            f"it needs {', '.join(needed)}. Give each a default or write a function that calls it; "
            "a space's program is named with --space"
        )


def judge(
    prior: Prior, module: nn.Module, shapes: Shapes, *, check_output: bool = False
) -> JudgedModule:
    """What the prior says of the module.

    An expert's opinion is shrunk towards the middle of its table by the correlation that is
    expected at its distance. The interval is that of a bivariate normal distribution with this
    correlation, in normal scores of the table.

    Args:
        prior: the experts.
        module: as it is, in its present mode.
        shapes: of its inputs.
        check_output: whether the shape of its output has to be that of `shapes`.

    Raises:
        ValueError: the module cannot be described, as when its output does not depend on its
            input; or its output has another shape.
    """
    from spaces.trace import describe

    graph = describe(module, shapes.input, shapes.vocabularies)
    # A graph of a module with several inputs states their shapes itself.
    stated = graph.nodes[0].get("shape") is not None or not is_shape(shapes.input)
    shape = None if stated else tuple(shapes.input)
    if check_output:
        _check_output(graph, shape, shapes)
    needed = coarse_graph(graph, shape)
    # A device also executes what the output does not need.
    executed = coarse_graph(graph, shape, executed=True)
    return JudgedModule(
        executed.parameters,
        executed.multiply_adds,
        _judged(prior, needed, cost=False),
        _judged(prior, executed, cost=True),
    )


def _check_output(graph: Graph, shape: Any, shapes: Shapes) -> None:
    returned = node_costs(graph, shape)[-1].shape[1:]
    if is_shape(shapes.output) and tuple(returned) != tuple(shapes.output):
        raise ValueError(
            f"--output says that the module returns the shape {_text(shapes.output)} for each "
            f"sample; it returns {_text(returned)}"
        )


def _text(shape: Any) -> str:
    return ",".join(map(str, shape)) or "of a single number"


def _judged(prior: Prior, network: CoarseGraph, *, cost: bool) -> Judged:
    """What the prior's experts of scores, or of costs, say of the network."""
    row_1R = prior.heard.rows(collate([network]))
    distance_K, tells_K = prior.distances(row_1R), prior.tells_apart(row_1R)
    opinions, unasked = list[Opinion](), dict[str, Unasked]()
    for row in np.argsort(distance_K, kind="stable").tolist():
        expert, distance = prior.experts[row], float(distance_K[row])
        if expert.cost != cost:
            continue
        alone = prior.only([row])
        is_far = distance >= NEAR
        if is_far or not tells_K[row]:
            unasked.setdefault(expert.table, Unasked(expert.table, distance, is_far))
        else:
            opinions.append(_opinion(expert, distance, float(alone.opinions(row_1R)[0, 0])))
    # The experts of one table may differ in the sizes that they can tell apart.
    silent = unasked.keys() - {opinion.expert.table for opinion in opinions}
    return Judged(tuple(opinions), tuple(unasked[table] for table in unasked if table in silent))


def _opinion(expert: Expert, distance: float, said: float) -> Opinion:
    """The opinion of an expert that says this normal score."""
    correlation = expected_correlation(distance)
    mean, deviation = correlation * said, math.sqrt(1 - correlation**2)
    normal_3 = np.array([mean - _WITHIN * deviation, mean, mean + _WITHIN * deviation])
    worst, expected, best = (
        Place(float(value), _NORMAL.cdf(normal))
        for value, normal in zip(expert.in_own_units(normal_3), normal_3.tolist(), strict=True)
    )
    lowest, highest = (best, worst) if expert.cost else (worst, best)
    return Opinion(expert, distance, correlation, expected, lowest, highest)
