"""Which watched calls form one block of the description: a layer with the light work around it.

A call is heavy if it multiplies by weights of its own, as a layer does. Three rules join calls:

1. Light calls between one call and the next on every path belong to the former. So a norm and an
   activation join their convolution, and the products of attention join the projection to queries,
   keys and values.
2. A light call that takes several values joins the heavy block that makes one of them only for it.
   So a sum joins the last layer of its residual branch.
3. A light block whose value is used once joins its user, as the norm before a layer.

Each rule keeps the graph acyclic: it joins what has one entry and one exit, or a value to its only
user. The value of a block is that of its last call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spaces.trace.watched_calls import Call

# A longer stretch of light work is not searched for.
_MOST_BETWEEN = 64


def blocks(
    calls: Sequence[Call], sources: Sequence[Sequence[int]], live: Sequence[int], last: int
) -> dict[int, int]:
    """The number of the last call of the block that each live call belongs to.

    Args:
        calls: what was watched; calls that stay alone are `alone`.
        sources: of each call the earlier calls whose values it takes.
        live: the calls that form blocks, ascending; 0 is the input.
        last: the call that gives the network's output.
    """
    joined = _Blocks(live)
    _between(calls, sources, live, last, joined)
    users = _users(sources, live, joined)
    for number in live:
        _to_a_branch(number, calls, sources, joined, users, last)
    for number in reversed(live):
        _to_its_user(number, calls, joined, users, last)
    return {number: joined.last(number) for number in live}


class _Blocks:
    """Disjoint sets of calls; each is known by its last call."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._above = {number: number for number in numbers}
        self.members = {number: [number] for number in numbers}

    def last(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = number = self._above[self._above[number]]
        return number

    def join(self, first: int, second: int) -> None:
        low, high = sorted((self.last(first), self.last(second)))
        if low != high:
            self._above[low] = high
            self.members[high] += self.members.pop(low)


def _is_light(number: int, calls: Sequence[Call]) -> bool:
    call = calls[number]
    return not call.alone and not (call.parameters and call.multiply_adds)


def _between(
    calls: Sequence[Call],
    sources: Sequence[Sequence[int]],
    live: Sequence[int],
    last: int,
    joined: _Blocks,
) -> None:
    """Rule 1, on the calls that depend on the input."""
    given = [number for number in live if not calls[number].fixed]
    # Before a call and after it, the nearest call on every path from the input and to the output.
    entry = _dominators(given, {n: [s for s in sources[n] if not calls[s].fixed] for n in given})
    uses: dict[int, list[int]] = {number: [] for number in given}
    for number in given:
        for source in sources[number]:
            if source in uses:
                uses[source].append(number)
    leaving = _dominators([last, *(n for n in reversed(given) if n != last)], uses)
    places = {number: place for place, number in enumerate(given)}
    for first in given:
        after = leaving.get(first)
        if first == 0 or calls[first].alone or after is None or entry.get(after) != first:
            continue
        reach = given[places[first] + 1 : places[after] + 1]
        if len(reach) > _MOST_BETWEEN:
            continue
        inside = [number for number in reach if _is_between(number, first, entry)]
        if all(_is_light(number, calls) for number in inside):
            for number in inside:
                joined.join(first, number)


def _is_between(number: int, first: int, entry: dict[int, int]) -> bool:
    """Whether every path to `number` goes through `first`."""
    while number > first:
        number = entry.get(number, -1)
    return number == first


def _dominators(ordered: Sequence[int], sources: dict[int, list[int]]) -> dict[int, int]:
    """The immediate dominator of each node: the nearest one on every path from the first node."""
    places = {number: place for place, number in enumerate(ordered)}
    result: dict[int, int] = {}
    for number in ordered[1:]:
        common: int | None = None
        for source in sources[number]:
            if source != ordered[0] and source not in result:
                continue  # It is not reached from the first node.
            common = source if common is None else _meet(common, source, places, result)
        if common is not None:
            result[number] = common
    return result


def _meet(one: int, other: int, places: dict[int, int], above: dict[int, int]) -> int:
    while one != other:
        if places[one] > places[other]:
            one = above[one]
        else:
            other = above[other]
    return one


def _users(
    sources: Sequence[Sequence[int]], live: Sequence[int], joined: _Blocks
) -> dict[int, set[int]]:
    """For each call, the calls of other blocks that take its value."""
    users: dict[int, set[int]] = {number: set() for number in live}
    for number in live:
        for source in sources[number]:
            if joined.last(source) != joined.last(number):
                users[source].add(number)
    return users


def _using(number: int, joined: _Blocks, users: dict[int, set[int]]) -> set[int]:
    """The blocks that take the value of the block of `number`."""
    block = joined.last(number)
    found = {joined.last(user) for item in joined.members[block] for user in users[item]}
    return found - {block}


def _to_a_branch(
    number: int,
    calls: Sequence[Call],
    sources: Sequence[Sequence[int]],
    joined: _Blocks,
    users: dict[int, set[int]],
    last: int,
) -> None:
    """Rule 2."""
    block = joined.last(number)
    members = joined.members[block]
    if number != block or not all(_is_light(item, calls) for item in members):
        return
    before = {joined.last(source) for item in members for source in sources[item]} - {block}
    own = [
        item
        for item in before
        if item and item != joined.last(last) and _using(item, joined, users) == {block}
    ]
    heavy = [
        item
        for item in own
        if not calls[item].alone
        and not all(_is_light(each, calls) for each in joined.members[item])
    ]
    if len(before) > 1 and len(own) == len(heavy) == 1:
        joined.join(heavy[0], block)


def _to_its_user(
    number: int, calls: Sequence[Call], joined: _Blocks, users: dict[int, set[int]], last: int
) -> None:
    """Rule 3; what does not depend on the input joins its only user also where it is heavy."""
    block = joined.last(number)
    if number != block or number == 0 or block == joined.last(last):
        return
    members = joined.members[block]
    if any(calls[item].alone for item in members):
        return
    if not all(_is_light(item, calls) or calls[item].fixed for item in members):
        return
    using = _using(number, joined, users)
    if len(using) == 1 and not any(calls[user].alone for user in using):
        joined.join(block, *using)
