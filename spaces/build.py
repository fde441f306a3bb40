"""From a graph to PyTorch: the text of a module, and an instance made by executing that text.

text = source(graph)       a Python file that needs torch only; an export contains this file
module = build(graph)      an instance of the class in that file
"""

from __future__ import annotations

import hashlib
import keyword
import linecache
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spaces.graph import Graph, Node, Value
from spaces.ops import find, needed, settings, whole_shapes
from spaces.ops.shapes import BATCH, Shape, shown

if TYPE_CHECKING:
    from torch import nn

_FILE = '''import torch
from torch import nn


class {class_name}(nn.Module):
    """Takes ({taken}) and gives ({given})."""

{initial}    def forward(self, x: torch.Tensor) -> torch.Tensor:
{forward}'''

_INITIAL = """    def __init__(self) -> None:
        super().__init__()
{members}
"""


@dataclass(frozen=True)
class Member:
    """One attribute of the generated class.

    Attributes:
        name: of the attribute.
        constructor: the expression that makes it.
        nodes: the numbers of the nodes that use it.
        is_buffer: whether it is a buffer, and not a module or a parameter.
    """

    name: str
    constructor: str
    nodes: tuple[int, ...]
    is_buffer: bool = False

    @property
    def line(self) -> str:
        """The member's line in `__init__`."""
        if self.is_buffer:
            return f'self.register_buffer("{self.name}", {self.constructor})'
        return f"self.{self.name} = {self.constructor}"


def source(graph: Graph, input_shape: Shape | None = None, class_name: str = "Network") -> str:
    """A complete Python file with one `nn.Module`, which imports torch only.

    Nodes that the output does not need are left out. If the output receives several values, they
    are added up.

    >>> from spaces import GraphBuilder
    >>> builder = GraphBuilder()
    >>> graph = builder.output(builder.node("linear", builder.input((4,)), out_features=2))
    >>> print(source(graph).splitlines()[-1].strip())
    return self.linear_1(x)

    Args:
        graph: of operations of the vocabulary (`spaces.ops`).
        input_shape: without the batch; by default the attribute `shape` of the graph's input.
        class_name: a Python name for the class.

    Raises:
        ValueError: the output does not depend on the input, an operation cannot take its inputs, or
            `class_name` is not a name.
    """
    is_name = class_name.isidentifier() and class_name.isascii()
    if not is_name or keyword.iskeyword(class_name) or class_name in ("torch", "nn"):
        raise ValueError(f"class_name must be a Python name, got {class_name!r}")
    shapes = _checked_shapes(graph, input_shape)
    return _source(graph, shapes, members_of(graph, shapes), class_name)


def build(graph: Graph, input_shape: Shape | None = None) -> nn.Module:
    """A new instance of the class in `source(graph, input_shape)`.

    Torch initialises the weights from its global generator. The attribute `labels` of the instance
    maps the name of each member to the label of the first node that uses the member.

    Raises:
        ValueError: as `source`.
    """
    shapes = _checked_shapes(graph, input_shape)
    members = members_of(graph, shapes)
    module: Any = _compiled(_source(graph, shapes, members, "Network"))()
    module.labels = {member.name: graph.nodes[member.nodes[0]].label for member in members}
    return module


def members_of(graph: Graph, shapes: tuple[Shape, ...]) -> tuple[Member, ...]:
    """The members of the generated class, in order of first use.

    A member is named by the label of its node, or else by its operation and a number.

    Args:
        graph: of operations of the vocabulary.
        shapes: `whole_shapes(graph)`.

    Raises:
        ValueError: nodes that share weights need different constructors.
    """
    members: dict[tuple[str, int, Value], Member] = {}
    taken, counts = {*_reserved(), "labels"}, dict[str, int]()
    for number in needed(graph)[:-1]:
        if number == 0:
            continue
        node = graph.nodes[number]
        inputs = tuple(shapes[source] for source in graph.incoming[number])
        constructor = find(node.op).module(settings(node), inputs)
        if constructor is None:
            continue
        share = node.get("share")
        key = (node.op, number if share is None else 0, share)
        if key in members:
            first = members[key]
            if first.constructor != constructor:
                both = f"{first.constructor} and {constructor}"
                raise ValueError(
                    f"the nodes {first.nodes[0]} and {number} share weights (share={share!r}), "
                    f"but are {both}"
                )
            members[key] = replace(first, nodes=(*first.nodes, number))
        else:
            name = _name(node.op, node.label, taken, counts)
            taken.add(name)
            members[key] = Member(name, constructor, (number,), is_buffer=node.op == "buffer")
    return tuple(members.values())


def _source(
    graph: Graph, shapes: tuple[Shape, ...], members: tuple[Member, ...], class_name: str
) -> str:
    lines = "".join(f"        {member.line}\n" for member in members)
    return _FILE.format(
        class_name=class_name,
        taken=_sizes(shapes[0]),
        given=_sizes(shapes[-1]),
        initial=_INITIAL.format(members=lines) if members else "",
        forward="".join(f"        {line}".rstrip() + "\n" for line in _forward(graph, members)),
    )


@lru_cache(maxsize=256)
def _compiled(text: str) -> type[nn.Module]:
    """The class of a generated file, whose lines linecache knows so that tracebacks show them."""
    path = f"<network {hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}>"
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    scope: dict[str, Any] = {"__name__": "network"}
    exec(compile(text, path, "exec"), scope)
    return scope["Network"]


def _checked_shapes(graph: Graph, input_shape: Shape | None) -> tuple[Shape, ...]:
    if 0 not in needed(graph):
        raise ValueError(
            "the graph's output gets no value that depends on its input, so there is no network "
            "to build: connect them"
        )
    shapes = whole_shapes(graph, input_shape)
    if shapes[-1][:1] != (BATCH,):
        raise ValueError(
            f"the graph's output has the shape {shown(shapes[-1])}: its first dimension must be "
            "the batch"
        )
    return shapes


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    """Names that a module's members may not take."""
    from torch import nn

    return frozenset(dir(nn.Module())) | frozenset(keyword.kwlist)


def _name(op: str, label: str, taken: set[str], counts: dict[str, int]) -> str:
    """A Python name that is not taken: the label, or else the operation and a number.

    Only ASCII letters, digits and underscores of a label reach the source.
    """
    word = re.sub(r"[^0-9A-Za-z_]", "_", op.split(".")[-1]).lower()
    wanted = re.sub(r"[^0-9A-Za-z_]", "_", label)
    if not wanted.strip("_"):
        counts[word] = counts.get(word, 0) + 1
        wanted = f"{word}_{counts[word]}"
    elif wanted[0].isdigit() or wanted.startswith("__"):
        wanted = f"{word}_{wanted.lstrip('_')}"
    name, again = wanted, 1
    while name in taken:
        again += 1
        name = f"{wanted}_{again}"
    return name


def _forward(graph: Graph, members: tuple[Member, ...]) -> list[str]:
    """The lines of `forward`.

    The value of a node reuses a variable that no later line needs, its own input's if possible.
    Otherwise it gets a new one.
    """
    live = needed(graph)
    parts, part = _parts(graph, live), ""
    owners = {number: f"self.{member.name}" for member in members for number in member.nodes}
    uses = {number: sum(map(set(live).__contains__, graph.outgoing[number])) for number in live}
    expressions = {0: "x"}
    pending = {"x": uses[0]}  # variable -> how many later uses its value has
    uses_batch = any(_uses_batch(graph.nodes[number]) for number in live)
    lines = ["batch = x.shape[0]"] if uses_batch else []
    for number in live[1:]:
        node = graph.nodes[number]
        values = tuple(expressions[source] for source in graph.incoming[number])
        for value in values:
            if value in pending:
                pending[value] -= 1
        expression = find(node.op).call(settings(node), values, owners.get(number, ""))
        if node.op == "output":
            # The last value is returned without a name.
            if lines and lines[-1].startswith(f"{expression} = "):
                expression = lines.pop().removeprefix(f"{expression} = ")
            lines.append(f"return {expression}")
        elif node.op in ("parameter", "buffer", "identity"):
            expressions[number] = expression
            if expression in pending:
                pending[expression] += uses[number]
        else:
            free = (name for name in (*values, *pending) if pending.get(name) == 0)
            variable = next(free, f"x{len(pending)}")
            expressions[number], pending[variable] = variable, uses[number]
            before, part = part, parts.get(number, part)
            if part != before:
                lines += [*([""] if lines else []), *([f"# {part}"] if part else [])]
            lines.append(f"{variable} = {expression}")
    return lines


def _parts(graph: Graph, live: tuple[int, ...]) -> dict[int, str]:
    """The part of the network that each labelled node is in, for comments in `forward`.

    It is the first one or two names of the node's label, if longer labels begin with them. Whatever
    a label contains, only letters, digits, and "_", ".", "/", "-" reach the source.
    """
    labelled = [number for number in live if graph.nodes[number].label]
    names = {number: tuple(re.split("[/.]", graph.nodes[number].label)) for number in labelled}
    beginnings = {
        label[:depth] for label in names.values() for depth in (1, 2) if len(label) > depth
    }
    longest = {
        number: next((label[:depth] for depth in (2, 1) if label[:depth] in beginnings), ())
        for number, label in names.items()
    }
    return {
        number: re.sub(r"[^\w./-]", "_", graph.nodes[number].label[: len("/".join(part))])
        for number, part in longest.items()
    }


def _uses_batch(node: Node) -> bool:
    shape = node.get("shape")
    return isinstance(shape, tuple) and "batch" in shape


def _sizes(shape: Shape) -> str:
    return ", ".join(("batch", *map(str, shape[1:])))
