"""The coarse graph of what was watched: moves left out, and calls joined into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spaces.details import DETAIL
from spaces.graph import OUTPUT, Edge, Graph, Node, node
from spaces.ops.observed import PREFIX
from spaces.ops.shapes import BATCH, Shape
from spaces.trace.blocks import blocks
from spaces.trace.watched_calls import SAMPLES, Call, Watcher


def folded(seen: Watcher, input_shape: Shape, vocabulary: int | None) -> Graph:
    """The graph of the blocks of what was seen.

    Work that the output does not need counts at the last block, as torch does it all the same; so
    do parameters that are never used.

    Raises:
        ValueError: the result does not depend on the input.
    """
    calls = seen.calls
    sources = _without_moves(calls)
    results = [seen.maker(item) for item in seen.results]
    origins = [
        origin
        for number in results
        if number is not None
        for origin in (sources[number] if calls[number].moves else [number])
    ]
    live = _live(origins, sources)
    if 0 not in live or not origins:
        raise ValueError(
            f"{type(seen.module).__name__} returned no tensor that depends on its input"
        )
    last = max(origins)
    block_of = blocks(calls, sources, live, last)
    members: dict[int, list[int]] = {}
    for number in live[1:]:
        members.setdefault(block_of[number], []).append(number)
    # A block stands where its last call does, so that its inputs come before it.
    order = sorted(members)
    places = {0: 0, **{block: place for place, block in enumerate(order, start=1)}}
    nodes, edges = [_input(input_shape, vocabulary)], list[Edge]()
    for place, block in enumerate(order, start=1):
        inside = members[block]
        nodes.append(_node([calls[number] for number in inside]))
        given = [block_of[source] for number in inside for source in sources[number]]
        edges += [
            Edge(places[source], place, slot)
            for slot, source in enumerate(item for item in dict.fromkeys(given) if item != block)
        ]
    if order:
        nodes[places[block_of[last]]] = _with_the_rest(nodes[places[block_of[last]]], seen, live)
    ends = dict.fromkeys(places[block_of[origin]] for origin in origins)
    edges += [Edge(place, len(nodes)) for place in ends]
    return Graph((*nodes, OUTPUT), tuple(edges))


def _without_moves(calls: Sequence[Call]) -> list[list[int]]:
    """The inputs of each call, with calls that only move numbers replaced by their inputs."""
    sources: list[list[int]] = []
    for call in calls:
        inputs = list[int]()
        for source in call.inputs:
            inputs += sources[source] if calls[source].moves else [source]
        sources.append(list(dict.fromkeys(inputs)))
    return sources


def _live(results: Sequence[int], sources: Sequence[Sequence[int]]) -> list[int]:
    """The calls that the results need, ascending."""
    live, waiting = set[int](), list(results)
    while waiting:
        number = waiting.pop()
        if number not in live:
            live.add(number)
            waiting += sources[number]
    return sorted(live)


def _input(shape: Shape, vocabulary: int | None) -> Node:
    if vocabulary is None:
        return node("input", shape=shape)
    return node("input", shape=shape, vocabulary=vocabulary)


def _node(inside: Sequence[Call]) -> Node:
    """The node of a block; its label is that of its first layer."""
    attributes: dict[str, Any] = {"shape": _whole(inside[-1])}
    costs = {
        "parameters": sum(call.parameters for call in inside),
        "multiply_adds": sum(call.multiply_adds for call in inside),
    }
    attributes |= {name: count for name, count in costs.items() if count}
    labels = [call.label for call in inside if call.parameters and call.multiply_adds]
    label = next(filter(None, (*labels, *(call.label for call in inside))), "")
    names = dict.fromkeys(filter(None, (call.name for call in inside)))
    return Node(PREFIX + ("+".join(names) or "moved"), tuple(sorted(attributes.items())), label)


def _with_the_rest(last: Node, seen: Watcher, live: Sequence[int]) -> Node:
    """The last block's node, with the digest and with the costs that are no block's."""
    attributes, needed = dict[str, Any](last.attributes), set(live)
    others = [call for number, call in enumerate(seen.calls) if number not in needed]
    parameters = sum(tensor.numel() for tensor in seen.module.parameters())
    rest = {
        "parameters": parameters - sum(seen.calls[number].parameters for number in live),
        "multiply_adds": sum(call.multiply_adds for call in others),
    }
    for name, count in rest.items():
        if count:
            attributes[name] = attributes.get(name, 0) + count
    attributes[DETAIL] = seen.digest.hexdigest()
    return Node(last.op, tuple(sorted(attributes.items())), last.label)


def _whole(call: Call) -> Shape:
    """The shape with the batch written -1, also where the batch is part of a larger dimension."""
    shape = call.shape
    if call.fixed:
        return tuple(shape) or (1,)
    if shape[:1] == (SAMPLES,):
        return (BATCH, *shape[1:])
    if shape and shape[0] % SAMPLES == 0:
        return (BATCH, shape[0] // SAMPLES, *shape[1:])
    return tuple(shape) or (1,)
