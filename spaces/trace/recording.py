"""From a user's module to a graph: the module runs once on a value without numbers, and what it
calls becomes nodes.

    graph = trace(module, (3, 32, 32))       module may be on the meta device
    twin = build(graph)
    copy_state(module, twin)                 the twin now computes what the module computes

The user's own modules are entered; modules of torch.nn, parameters and buffers are nodes, whose
label is the dotted path. Shapes are inferred at each call, so `x.shape[1]` is a plain number and
may decide; the numbers in a tensor may not.
"""

from __future__ import annotations

import linecache
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from spaces.choices import Rejected
from spaces.graph import OUTPUT, Edge, Graph, Node, node
from spaces.ops import find, infer
from spaces.ops.shape_rules import BATCH, Shape, shown
from spaces.trace.functions import FUNCTIONS, VIEWS, fallback, function_name
from spaces.trace.modes import alike_in_evaluation, in_other_mode, mode_reader
from spaces.trace.modules import COMPOSITES, attention_inputs, check_made_for, module_node
from spaces.trace.value import Traced, Untraceable


def trace(module: nn.Module, input_shape: Shape) -> Graph:
    """The graph of what `module` computes for a batch of inputs of `input_shape` (without the
    batch), in its present mode.

    Raises:
        ValueError: the module does what a graph cannot hold (it decides by the numbers in a tensor,
            mixes the samples of a batch, calls a function unknown to the vocabulary, returns
            something else than one tensor, computes something else in the other mode), or its
            shapes do not fit. The message names the file and line, shows the line, and says what to
            do.
    """
    try:
        graph = _run(module, tuple(input_shape))
        if reader := mode_reader(module):
            with in_other_mode(module):
                other = _run(module, tuple(input_shape))
            if not alike_in_evaluation(graph, other):
                raise Untraceable(
                    "it computes something else in evaluation than in training, and a graph is "
                    "one program for both. self.training decides in "
                    f"{reader.co_filename}:{reader.co_firstlineno}, {reader.co_qualname}: "
                    "let nn.Dropout, F.dropout(x, p, self.training) and norm modules make the "
                    "difference"
                )
    except Rejected:
        raise
    except Exception as error:
        raise ValueError(_sentence(module, error)) from error
    return graph


def _run(module: nn.Module, input_shape: Shape) -> Graph:
    recording = _Recording(module, input_shape)
    with _recorded(recording):
        result = recording.call_module(module, (recording.input,), {})
    return recording.finished(result)


def copy_state(original: nn.Module, built: nn.Module) -> None:
    """Gives `built`, which `build` made of `original`'s trace, the parameters and buffers of
    `original`, and its mode.

    Raises:
        ValueError: a member of `built` with parameters or buffers has no counterpart of the same
            shapes in `original`.
    """
    labels: Mapping[str, str] | None = getattr(built, "labels", None)
    if labels is None:
        raise ValueError(
            "copy_state needs a module made by spaces.build.build, which knows the labels of its "
            "members"
        )
    with torch.no_grad():
        for name, label in labels.items():
            member = getattr(built, name)
            if isinstance(member, torch.Tensor):
                _copy_tensors({name: member}, {name: _found(original, label, name)}, label)
            elif own := {**dict(member.named_parameters()), **dict(member.named_buffers())}:
                source = _found(original, label, name)
                _copy_tensors(
                    own, {**dict(source.named_parameters()), **dict(source.named_buffers())}, label
                )
    built.train(original.training)


def _found(original: nn.Module, label: str, name: str) -> Any:
    found: Any = original
    for part in label.split(".") if label else ():
        found = getattr(found, part, None)
    if found is None:
        raise ValueError(
            f"the member {name!r} was traced from {label!r}, but {type(original).__name__} has "
            "nothing of that name"
        )
    return found


def _copy_tensors(own: dict[str, torch.Tensor], given: dict[str, torch.Tensor], label: str) -> None:
    for name, tensor in own.items():
        source = given.get(name)
        if source is None or source.shape != tensor.shape:
            received = "nothing" if source is None else f"the shape {tuple(source.shape)}"
            raise ValueError(
                f"{label or 'the module'}: {name} should have the shape {tuple(tensor.shape)}, "
                f"the original has {received}"
            )
        tensor.copy_(source)
        tensor.requires_grad_(source.requires_grad)
    if len(given) != len(own):
        raise ValueError(
            f"{label or 'the module'}: the original also holds "
            f"{', '.join(sorted(set(given) - set(own)))}, which was not traced"
        )


class _Recording:
    """The nodes and edges made so far. `call` and `call_module` are where the traced program comes
    in.
    """

    def __init__(self, module: nn.Module, input_shape: Shape) -> None:
        self.module = module
        self.nodes: list[Node] = [node("input", shape=input_shape)]
        self.edges: list[Edge] = []
        self.versions: list[int] = []
        self.paths = {id(item): path for path, item in module.named_modules()}
        self.tensors: dict[int, Traced] = {}
        self.calls: dict[int, tuple[nn.Module, list[int]]] = {}
        self.input = self.value(0, (BATCH, *input_shape))

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A torch function was called with a traced value among its arguments."""
        if not args and "input" in kwargs:
            args, kwargs = (
                (kwargs["input"],),
                {key: value for key, value in kwargs.items() if key != "input"},
            )
        name, in_place = function_name(function)
        in_place = in_place or kwargs.get("inplace") is True
        handle = FUNCTIONS.get(name)
        result = (
            handle(self.record, *args, **kwargs)
            if handle is not None
            else fallback(self.record, function, args, kwargs)
        )
        return (
            self._overwrite(args[0], result)
            if in_place and args and isinstance(args[0], Traced)
            else result
        )

    def call_module(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A module was called with a traced value among its arguments."""
        kind = type(module)
        if not kind.__module__.startswith("torch.nn.") or kind is nn.Sequential:
            return _CALL(module, *args, **kwargs)
        if module._forward_hooks or module._forward_pre_hooks:
            raise Untraceable(
                f"nn.{kind.__name__} has forward hooks, which have no place in a graph: do what "
                "they do in a module of yours around it"
            )
        if kind in COMPOSITES:
            if len(args) != 1 or any(
                value is not None and value is not False for value in kwargs.values()
            ):
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
        """A new node, and its value. Attributes that have their default values are left out."""
        operation = find(op)
        values = [item if isinstance(item, Traced) else self.tensor(item) for item in inputs]
        for value in values:
            if value.version != self.versions[value.storage]:
                raise Untraceable(
                    "this tensor was changed in place through a view of it: use the operation "
                    "that is not in place"
                )
        defaults = operation.defaults
        given = [
            (name, value)
            for name, value in attributes.items()
            if name not in defaults or defaults[name] != value
        ]
        if (
            attributes.get("stride", False) == attributes.get("kernel_size", True)
            and defaults["stride"] is None
        ):
            given = [item for item in given if item[0] != "stride"]
        made = Node(op, tuple(sorted(given)), label)
        shape = self._inferred(made, values)
        number = len(self.nodes)
        self.nodes.append(made)
        self.edges.extend(
            Edge(value.number, number, place if operation.ordered else 0)
            for place, value in enumerate(values)
        )
        return self.value(number, shape, values[0].storage if op in VIEWS else None)

    def tensor(self, tensor: Any) -> Traced:
        """The value of a parameter or buffer of the module."""
        if id(tensor) in self.tensors:
            return self.tensors[id(tensor)]
        if not isinstance(tensor, torch.Tensor):
            raise Untraceable(f"a tensor was expected, got {type(tensor).__name__}")
        for op, named in (
            ("parameter", self.module.named_parameters()),
            ("buffer", self.module.named_buffers()),
        ):
            for path, candidate in named:
                if candidate is tensor:
                    attributes = {"shape": tuple(tensor.shape)} | (
                        {"dtype": str(tensor.dtype).removeprefix("torch.")}
                        if op == "buffer"
                        else {}
                    )
                    self.tensors[id(tensor)] = self.record(op, attributes, (), label=path)
                    return self.tensors[id(tensor)]
        raise Untraceable(
            "a tensor that was made in forward has no place in a graph: make it in __init__ and "
            "keep it by self.register_buffer(name, tensor)"
        )

    def value(self, number: int, shape: Shape, storage: int | None = None) -> Traced:
        """What the node gives; `storage` where it may be a view of a value made before."""
        if storage is None:
            storage = len(self.versions)
            self.versions.append(0)
        return Traced(self, number, shape, storage, self.versions[storage])

    def finished(self, result: Any) -> Graph:
        """The graph of the nodes that the result needs."""
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
            Edge(places[source], places[target], slot)
            for source, target, slot in self.edges
            if target in live
        ]
        nodes = (*(self.nodes[number] for number in places), OUTPUT)
        return Graph(nodes, (*edges, Edge(places[result.number], len(places))))

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
        self.calls.setdefault(id(module), (module, []))[1].append(result.number)
        return result

    def _mark_shared(self, live: set[int]) -> None:
        """Gives the nodes that use one module several times the attribute `share`, and refuses
        other ways of sharing weights.
        """
        holders = {
            tensor: self.nodes[value.number].label
            for tensor, value in self.tensors.items()
            if value.number in live
        }
        shares = 0
        for module, calls in self.calls.values():
            numbers = [number for number in calls if number in live]
            tensors = (
                [*module.parameters(), *module.buffers()]
                if numbers and find(self.nodes[numbers[0]].op).constructed
                else []
            )
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
                    self.nodes[number] = replace(
                        made, attributes=tuple(sorted((*made.attributes, ("share", shares))))
                    )
                shares += 1

    def _inferred(self, made: Node, values: list[Traced]) -> Shape:
        try:
            return infer(made, tuple([value.whole_shape for value in values]))
        except ValueError as error:
            received = " and ".join(shown(value.whole_shape) for value in values) or "nothing"
            raise Untraceable(f"{made} cannot take {received}: {error}") from error

    def _overwrite(self, target: Traced, result: Traced) -> Traced:
        """The value after an operation in place. Other views of its memory are then out of date."""
        made = self.nodes[target.number]
        if made.op in ("parameter", "buffer"):
            raise _remembers(made.label)
        self.versions[target.storage] += 1
        target.number, target.whole_shape, target.version = (
            result.number,
            result.whole_shape,
            self.versions[target.storage],
        )
        return target


_MODULE: Any = nn.Module
_CALL: Any = nn.Module.__call__
_GETATTR: Any = nn.Module.__getattr__
_SETATTR: Any = nn.Module.__setattr__
_LOCK = threading.RLock()


@contextmanager
def _recorded(recording: _Recording) -> Iterator[None]:
    """While this lasts, modules that this thread calls with a traced value, and parameters that it
    reads, go to the recording.

    A traced value is kept out of buffers, where torch would let it in.
    """
    thread = threading.get_ident()

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == thread and any(
            isinstance(value, Traced) for value in (*args, *kwargs.values())
        ):
            return recording.call_module(module, args, kwargs)
        return _CALL(module, *args, **kwargs)

    def read(module: nn.Module, name: str) -> Any:
        value = _GETATTR(module, name)
        return (
            recording.tensor(value)
            if isinstance(value, torch.Tensor) and threading.get_ident() == thread
            else value
        )

    def write(module: nn.Module, name: str, value: Any) -> None:
        if isinstance(value, Traced) and name in module._buffers:
            raise _remembers(name)
        _SETATTR(module, name, value)

    with _LOCK:
        _MODULE.__call__, _MODULE.__getattr__, _MODULE.__setattr__ = call, read, write
        try:
            yield
        finally:
            _MODULE.__call__, _MODULE.__getattr__, _MODULE.__setattr__ = _CALL, _GETATTR, _SETATTR


def _remembers(name: str) -> Untraceable:
    return Untraceable(
        f"{name} is changed in forward, but a graph has no memory from one batch to the next: "
        "keep running statistics to norm modules, and compute new values without operations in "
        "place"
    )


_TORCH = str(Path(torch.__file__).parent)
_HERE = Path(__file__).parent
_OURS = (_TORCH, str(_HERE), str(_HERE.with_name("ops")), "<frozen")


def _sentence(module: nn.Module, error: Exception) -> str:
    """What went wrong, with the user's line: the last one of the traceback that is neither torch's
    nor ours.
    """
    place: TracebackType | None = error.__traceback__
    found: tuple[str, int, str] | None = None
    while place is not None:
        file = place.tb_frame.f_code.co_filename
        if not file.startswith(_OURS):
            found = (file, place.tb_lineno, place.tb_frame.f_code.co_qualname)
        place = place.tb_next
    what = str(error) if isinstance(error, Untraceable) else f"{type(error).__name__}: {error}"
    name = type(module).__name__
    if found is None:
        return f"{name} cannot be traced: {what}"
    file, line, function = found
    return (
        f"{name} cannot be traced, {file}:{line}, in {function}:\n    "
        f"{linecache.getline(file, line).strip()}\n{what}"
    )
