"""The coarse graph of what was watched: moves left out, and chains folded into blocks."""

from __future__ import annotations

from typing import Any

from spaces.graph import OUTPUT, Edge, Graph, Node, node
from spaces.ops.observed import PREFIX
from spaces.ops.shapes import BATCH, Shape
from spaces.trace.watched_calls import SAMPLES, Call, Watcher


def folded(seen: Watcher, input_shape: Shape, vocabulary: int | None) -> Graph:
    """The folded graph of what was seen."""
    calls = seen.calls
    results = [seen.makers[id(item)] for item in seen.results if id(item) in seen.makers]
    if not results:
        raise ValueError(
            f"{type(seen.module).__name__} returned no tensor that depends on its input"
        )
    sources = _without_moves(calls)
    uses = [0] * len(calls)
    for number, call in enumerate(calls):
        if not call.moves:
            for source in sources[number]:
                uses[source] += 1
    for number in results:
        uses[_origin(number, calls, sources)] += 1
    blocks = _blocks(calls, sources, uses)
    live = _live({blocks[_origin(number, calls, sources)] for number in results}, blocks, sources)
    missing = sum(
        tensor.numel() for tensor in seen.module.parameters() if id(tensor) not in seen.counted
    )
    return _assembled(seen, blocks, sources, live, results, input_shape, vocabulary, missing)


def _origin(number: int, calls: list[Call], sources: list[list[int]]) -> int:
    """The call that made the numbers which a call only moves."""
    while calls[number].moves and sources[number]:
        number = sources[number][0]
    return number


def _without_moves(calls: list[Call]) -> list[list[int]]:
    """The inputs of each call, with calls that only move numbers replaced by their inputs."""
    sources: list[list[int]] = []
    for call in calls:
        inputs = list[int]()
        for source in call.inputs:
            if calls[source].moves and sources[source]:
                inputs += sources[source]
            else:
                inputs.append(source)
        sources.append(list(dict.fromkeys(inputs)))
    return sources


def _blocks(calls: list[Call], sources: list[list[int]], uses: list[int]) -> list[int]:
    """The number of the first call of the block that each call belongs to."""
    blocks = list(range(len(calls)))
    for number, call in enumerate(calls):
        if call.moves or number == 0 or len(sources[number]) != 1:
            continue
        (source,) = sources[number]
        if source and uses[source] == 1 and not call.multiply_adds:
            blocks[number] = blocks[source]
    return blocks


def _live(results: set[int], blocks: list[int], sources: list[list[int]]) -> set[int]:
    """The blocks that the results need."""
    inside: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        inside.setdefault(block, []).append(number)
    live, waiting = set[int](), list(results)
    while waiting:
        block = waiting.pop()
        if block in live:
            continue
        live.add(block)
        waiting += [blocks[source] for member in inside[block] for source in sources[member]]
    return live | {0}


def _assembled(
    seen: Watcher,
    blocks: list[int],
    sources: list[list[int]],
    live: set[int],
    results: list[int],
    input_shape: Shape,
    vocabulary: int | None,
    missing: int,
) -> Graph:
    members: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        if block in live and not seen.calls[number].moves:
            members.setdefault(block, []).append(number)
    # A block stands where its last call does, so that its inputs come before it.
    order = sorted(members, key=lambda block: members[block][-1])
    places = {block: place for place, block in enumerate(order)}
    first = node("input", shape=input_shape)
    if vocabulary is not None:
        first = node("input", shape=input_shape, vocabulary=vocabulary)
    nodes, edges = [first], list[Edge]()
    last = len(order) - 1
    for place, block in enumerate(order[1:], start=1):
        inside = [seen.calls[number] for number in members[block]]
        parameters = sum(call.parameters for call in inside)
        attributes: dict[str, Any] = {"shape": _whole(inside[-1].shape)}
        if place == last:
            # Unused parameters are the network's all the same.
            parameters += missing
            attributes["detail"] = seen.digest.hexdigest()
        if parameters:
            attributes["parameters"] = parameters
        if multiply_adds := sum(call.multiply_adds for call in inside) // SAMPLES:
            attributes["multiply_adds"] = multiply_adds
        name = PREFIX + "+".join(dict.fromkeys(call.name for call in inside))
        nodes.append(Node(name, tuple(sorted(attributes.items())), inside[0].label))
        given = [
            blocks[source]
            for number in members[block]
            for source in sources[number]
            if blocks[source] != block
        ]
        edges += [
            Edge(places[source], place, slot) for slot, source in enumerate(dict.fromkeys(given))
        ]
    origins = dict.fromkeys(blocks[_origin(number, seen.calls, sources)] for number in results)
    edges += [Edge(places[block], len(nodes)) for block in origins]
    return Graph((*nodes, OUTPUT), tuple(edges))


def _whole(shape: tuple[int, ...]) -> Shape:
    """The shape with the batch written -1, also where the batch is part of a larger dimension."""
    if shape[:1] == (SAMPLES,):
        return (BATCH, *shape[1:])
    if shape and shape[0] % SAMPLES == 0:
        return (BATCH, shape[0] // SAMPLES, *shape[1:])
    return tuple(shape) or (1,)
