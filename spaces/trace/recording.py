"""The nodes and edges of a module that is being traced, and what each call adds to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import CodeType
from typing import Any

import torch
from torch import nn

from spaces.graph import OUTPUT, Edge, Graph, Node, node
from spaces.ops.finding import find
from spaces.ops.inference import infer
from spaces.ops.shapes import BATCH, Shape, shown
from spaces.trace.common_parts import edge, node_without_defaults
from spaces.trace.data_types import result_type
from spaces.trace.functions import FUNCTIONS
from spaces.trace.handlers import function_name
from spaces.trace.modules import COMPOSITES, attention_inputs, check_made_for, module_node
from spaces.trace.other_functions import fallback
from spaces.trace.state import tensors_of
from spaces.trace.untraceable import Untraceable, changed_in_forward
from spaces.trace.value import Traced

# The method itself, since `interception` replaces it while a module is traced.
MODULE_CALL: Any = nn.Module.__call__

# Operations whose value may be a view of their first input.
_VIEWS = frozenset(
    (
        *("identity", "flatten", "unflatten", "reshape", "expand", "permute", "transpose"),
        *("squeeze", "unsqueeze", "chunk", "split", "getitem"),
    )
)


class Recording:
    """The nodes and edges recorded so far.

    The traced program calls `call` for functions and `call_module` for modules.

    Attributes:
        module: the traced module.
        most: the number of nodes at which the recording gives up; None: it never does.
        nodes, edges: of the graph; a node's number is its place in `nodes`.
        types: the data type of each node's value, None where it is not known.
        sources: the parameters and buffers, by the number of their node.
        versions: for each memory, how often it was changed in place.
        paths: the dotted path of each part of the module, by the part's id.
        tensors: the values of parameters and buffers, by the tensor's id.
        calls: each part that is a node, and the nodes of its calls, by the part's id.
        input: the value of the module's input.
        mode_reader: the code that first read whether a module is in training; None if none did.
    """

    def __init__(
        self, module: nn.Module, input_shape: Shape, input_type: torch.dtype, most: int | None
    ) -> None:
        self.module, self.most = module, most
        self.nodes: list[Node] = [node("input", shape=input_shape)]
        self.types: list[torch.dtype | None] = [input_type]
        self.sources: dict[int, torch.Tensor] = {}
        self.edges: list[Edge] = []
        self.versions: list[int] = []
        self.paths = {id(item): path for path, item in module.named_modules()}
        self.tensors: dict[int, Traced] = {}
        self.calls: dict[int, tuple[nn.Module, list[int]]] = {}
        self.input = self.value(0, (BATCH, *input_shape))
        self.mode_reader: CodeType | None = None

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Records the call of a torch function that has a traced value among its arguments."""
        if not args and "input" in kwargs:
            args = (kwargs["input"],)
            kwargs = {key: value for key, value in kwargs.items() if key != "input"}
        if function is torch.Tensor.where:
            # The method's tensor is the second argument of the function.
            args = (args[1], args[0], *args[2:])
        elif function is torch.Tensor.unfold:
            raise Untraceable(
                "x.unfold, which makes windows along one dimension, has no operation in the "
                "vocabulary; F.unfold is another function"
            )
        name, in_place = function_name(function)
        in_place = in_place or kwargs.get("inplace") is True
        handle = FUNCTIONS.get(name)
        if handle is not None:
            result = handle(self.record, *args, **kwargs)
        else:
            result = fallback(self.record, function, args, kwargs)
        if in_place and args and isinstance(args[0], Traced):
            return self._overwrite(args[0], result)
        return result

    def call_module(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Records the call of a module that has a traced value among its arguments."""
        kind = type(module)
        if not kind.__module__.startswith("torch.nn.") or kind is nn.Sequential:
            return MODULE_CALL(module, *args, **kwargs)
        if module._forward_hooks or module._forward_pre_hooks:
            raise Untraceable(
                f"nn.{kind.__name__} has forward hooks, which have no place in a graph: do what "
                "they do in a module of yours around it"
            )
        if kind in COMPOSITES:
            has_options = any(value is not None and value is not False for value in kwargs.values())
            if len(args) != 1 or has_options:
                raise Untraceable(f"nn.{kind.__name__} is traced without masks")
            return COMPOSITES[kind](module, *args)
        if kind is nn.MultiheadAttention:
            return self._leaf(module, attention_inputs(*args, **kwargs)), None
        if kwargs.keys() - {"input"}:
            raise Untraceable(
                f"nn.{kind.__name__} is traced with tensors as its only arguments, got "
                f"{', '.join(kwargs)}"
            )
        inputs = (*args, *kwargs.values())
        result = self._leaf(module, inputs)
        return self._overwrite(inputs[0], result) if getattr(module, "inplace", False) else result

    def record(
        self, op: str, attributes: Mapping[str, Any], inputs: tuple[Any, ...], label: str = ""
    ) -> Traced:
        """Adds a node and returns its value; attributes equal to their defaults are left out."""
        operation = find(op)
        values = [item if isinstance(item, Traced) else self.tensor(item) for item in inputs]
        for value in values:
            if value.version != self.versions[value.memory]:
                raise Untraceable(
                    "this tensor was changed in place through a view of it: use the operation "
                    "that is not in place"
                )
        made = node_without_defaults(op, attributes, label)
        shape = self._inferred(made, values)
        number = len(self.nodes)
        if self.most is not None and number > self.most:
            raise Untraceable(f"it has more than {self.most} operations")
        self.nodes.append(made)
        self.types.append(result_type(op, [self.types[value.number] for value in values]))
        self.edges.extend(
            edge(value.number, number, place if operation.ordered else 0)
            for place, value in enumerate(values)
        )
        return self.value(number, shape, values[0].memory if op in _VIEWS else None)

    def tensor(self, tensor: Any) -> Traced:
        """The value of a parameter or buffer of the module."""
        if id(tensor) in self.tensors:
            return self.tensors[id(tensor)]
        if not isinstance(tensor, torch.Tensor):
            raise Untraceable(f"a tensor was expected, got {type(tensor).__name__}")
        attributes: dict[str, Any] = {"shape": tuple(tensor.shape)}
        for path, candidate in self.module.named_parameters():
            if candidate is tensor:
                return self._held("parameter", attributes, path, tensor)
        for path, candidate in self.module.named_buffers():
            if candidate is tensor:
                attributes["dtype"] = str(tensor.dtype).removeprefix("torch.")
                return self._held("buffer", attributes, path, tensor)
        raise Untraceable(
            "a tensor that was made in forward has no place in a graph: make it in __init__ and "
            "keep it by self.register_buffer(name, tensor)"
        )

    def _held(
        self, op: str, attributes: Mapping[str, Any], path: str, tensor: torch.Tensor
    ) -> Traced:
        self.sources[len(self.nodes)] = tensor
        made = self.tensors[id(tensor)] = self.record(op, attributes, (), label=path)
        self.types[made.number] = tensor.dtype
        return made

    def held(self, number: int) -> torch.Tensor | None:
        """The parameter or buffer whose node has this number."""
        return self.sources.get(number)

    def data_type(self, number: int) -> torch.dtype:
        """The data type of a node's value."""
        known = self.types[number]
        if known is None:
            raise Untraceable(f"the data type of {self.nodes[number].op} is not traced")
        return known

    def value(self, number: int, shape: Shape, memory: int | None = None) -> Traced:
        """The value of a node; `memory` is given if it may be a view of an earlier value."""
        if memory is None:
            memory = len(self.versions)
            self.versions.append(0)
        return Traced.made(self, number, shape, memory, self.versions[memory])

    def finished(self, result: Any) -> Graph:
        """The graph of the nodes that the result of `forward` needs."""
        if not isinstance(result, Traced):
            raise Untraceable(
                "forward must return one tensor that depends on its input, and returned "
                f"{type(result).__name__}"
            )
        if result.whole_shape[:1] != (BATCH,):
            raise Untraceable(
                "forward must return a tensor whose first dimension is the batch, and returned "
                f"the shape {shown(result.whole_shape)}"
            )
        live = self._live(result.number)
        self._mark_shared(live)
        places = {number: place for place, number in enumerate(sorted(live))}
        edges = [
            edge(places[source], places[target], slot)
            for source, target, slot in self.edges
            if target in live
        ]
        nodes = (*(self.nodes[number] for number in places), OUTPUT)
        return Graph(nodes, (*edges, Edge(places[result.number], len(places))))

    def release(self) -> None:
        """Lets go of the traced values, which refer to this recording.

        Otherwise the recording and the module would stay in memory until garbage is collected.
        """
        self.tensors.clear()
        del self.input

    def _live(self, result: int) -> set[int]:
        """The input, and the nodes that the result needs."""
        live = {0, result}
        for source, target, _ in reversed(self.edges):
            if target in live:
                live.add(source)
        return live

    def _leaf(self, module: nn.Module, inputs: tuple[Any, ...]) -> Traced:
        """The node of a torch.nn module."""
        if id(module) not in self.paths:
            kind = type(module).__name__
            raise Untraceable(
                f"the nn.{kind} is not a registered part of the module: assign it in __init__, "
                "lists as nn.ModuleList"
            )
        op, attributes = module_node(module)
        if isinstance(inputs[0], Traced):
            check_made_for(module, inputs[0].whole_shape)
        result = self.record(op, attributes, inputs, label=self.paths[id(module)])
        weights = module._parameters.get("weight")
        if weights is not None:
            self.types[result.number] = weights.dtype
        self.calls.setdefault(id(module), (module, []))[1].append(result.number)
        return result

    def _mark_shared(self, live: set[int]) -> None:
        """Gives the nodes of one module that is called several times the attribute `share`.

        Raises:
            Untraceable: weights are shared in another way.
        """
        holders = {
            tensor: self.nodes[value.number].label
            for tensor, value in self.tensors.items()
            if value.number in live
        }
        shares = 0
        for module, calls in self.calls.values():
            numbers = [number for number in calls if number in live]
            if not numbers or not find(self.nodes[numbers[0]].op).constructed:
                continue
            tensors = tensors_of(module)
            for tensor in tensors:
                label = self.nodes[numbers[0]].label
                if id(tensor) in holders:
                    raise Untraceable(
                        f"{label} and {holders[id(tensor)]} are tied: use one module twice, or "
                        "the parameter itself with F.linear"
                    )
                holders[id(tensor)] = label
            if len(numbers) > 1 and tensors:
                for number in numbers:
                    made = self.nodes[number]
                    attributes = tuple(sorted((*made.attributes, ("share", shares))))
                    self.nodes[number] = replace(made, attributes=attributes)
                shares += 1

    def _inferred(self, made: Node, values: list[Traced]) -> Shape:
        try:
            return infer(made, tuple([value.whole_shape for value in values]))
        except ValueError as error:
            received = " and ".join(shown(value.whole_shape) for value in values) or "nothing"
            raise Untraceable(f"{made} cannot take {received}: {error}") from error

    def _overwrite(self, target: Traced, result: Traced) -> Traced:
        """The value after an operation in place, which makes other views of its memory stale."""
        made = self.nodes[target.number]
        if made.op in ("parameter", "buffer"):
            raise changed_in_forward(made.label)
        self.versions[target.memory] += 1
        target.number = result.number
        target.whole_shape = result.whole_shape
        target.version = self.versions[target.memory]
        return target
