"""The networks that the SST-2 benchmark trains fully: winners of a search, and ordinary ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from nas.record.history import History
from nas.search.finalists import winner
from spaces import Architecture, SearchSpace
from spaces.domains import Answer
from spaces.flexibert import Design, layers_of
from spaces.flexibert.named import PAPER, TINY
from spaces.ops import costs

DESIGNS = {"flexibert_tiny": TINY, "flexibert": PAPER}


@dataclass(frozen=True)
class Entry:
    """A network that is trained fully, and the group in which it is compared."""

    group: str
    architecture: Architecture
    parameters: int
    multiply_adds: int
    searched: float | None = None


def of_winner(history: History, arm: str) -> tuple[Architecture, float]:
    number = winner(history, arm)
    if history.finished is None or number is None:
        raise SystemExit(f"the run should be finished, and have a finalist of the arm {arm!r}")
    trial = history.trial(number)
    return trial.architecture, trial.score  # type: ignore[return-value]


def entry(
    space: SearchSpace, group: str, architecture: Architecture, score: float | None = None
) -> Entry:
    counted = costs(space.network_graph(space.graph(architecture)), space.shapes.input)
    return Entry(group, architecture, counted.parameters, counted.multiply_adds, score)


def ordinary_ones(
    space: SearchSpace, design: Design, stacks: tuple[int, ...]
) -> Iterator[Architecture]:
    """The space's networks with all layers alike and scaled dot products.

    Each layer has `stacks` feed-forward layers of one width.
    """
    widths = [(features,) * count for count in stacks for features in design.feed_forward]
    for layers, hidden, heads, feed_forward in product(
        design.layers, design.hidden, design.heads, widths
    ):
        decisions: list[tuple[str, Answer]] = [("layers", layers)]
        for layer in range(layers):
            sizes = [
                (f"feed_forward_{place}", features) for place, features in enumerate(feed_forward)
            ]
            answers = (
                ("hidden", hidden),
                ("heads", heads),
                ("operation", "sa_sdp"),
                ("stacks", len(feed_forward)),
                *sizes,
            )
            decisions += [(f"layer_{layer}/{question}", answer) for question, answer in answers]
        yield Architecture(space.name, tuple(decisions))


def of_size(space: SearchSpace, ordinary: Sequence[Entry], found: Entry, count: int) -> list[Entry]:
    """The ordinary networks with as many layers, and the nearest number of parameters not smaller.

    If there are fewer than `count` of them, the largest ones with fewer parameters follow.
    """
    depth = len(layers_of(space.graph(found.architecture)))
    same = [item for item in ordinary if len(layers_of(space.graph(item.architecture))) == depth]

    def distance(item: Entry) -> tuple[bool, int]:
        return item.parameters < found.parameters, abs(item.parameters - found.parameters)

    return [regrouped(item, "its size") for item in sorted(same, key=distance)[:count]]


def best(ordinary: Sequence[Entry], count: int) -> list[Entry]:
    by_score = sorted(ordinary, key=lambda item: -(item.searched or 0.0))
    return [regrouped(item, "best ordinary") for item in by_score[:count]]


def regrouped(item: Entry, group: str) -> Entry:
    return replace(item, group=group)
