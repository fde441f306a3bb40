"""Which decisions of a space never change the network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from spaces.canonical import canonical_key
from spaces.choices import Architecture
from spaces.operators import attempt, domains
from spaces.space import SearchSpace

# A decision is called idle after this many other answers that changed nothing.
ENOUGH = 3


def idle_decisions(
    space: SearchSpace, architectures: Sequence[Architecture], random: Random
) -> tuple[str, ...]:
    """The paths whose answer was changed in some architectures, and never changed the network.

    Each path is tried in at most `ENOUGH` of the architectures, with one other answer each.
    """
    tried, effective = Counter[str](), set[str]()
    for architecture in architectures:
        key = None
        for path, domain in domains(space, architecture).items():
            if path in effective or tried[path] == ENOUGH or domain.size == 1:
                continue
            answer = architecture.answers[path]
            drawn = [domain.draw(random) for _ in range(10)]
            other = next((each for each in drawn if each != answer), answer)
            changed = attempt(space, {**architecture.answers, path: other}, random)
            if changed is None or changed.answers.get(path) == answer:
                continue
            key = key or canonical_key(space.graph(architecture))
            tried[path] += 1
            if canonical_key(space.graph(changed)) != key:
                effective.add(path)
    return tuple(path for path, times in tried.items() if times == ENOUGH and path not in effective)
