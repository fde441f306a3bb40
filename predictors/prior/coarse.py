"""A whole network as a coarse graph: few kinds of nodes, exact sums of what they cost.

Normalisations, activations and what only moves values are folded into the node whose value they
take. So a convolution with its normalisation and activation is one node, in a space of this engine
and in a module that was watched alike. Parameters and multiply-adds of what is folded are added to
the node, so the sums over a coarse graph are those of the network.

Shapes: N nodes and E edges of the coarse graph, F features of a node.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from predictors.prior.kinds import kinds_of
from predictors.prior.node_features import FEATURES, Part, row_of
from spaces.graph import Graph
from spaces.ops import node_costs
from spaces.ops.counting import NodeCosts, needed
from spaces.ops.shapes import Shape

_CHANNELS_LAST = ("linear", "embedding", "attention")
_FOLDED = frozenset(("normalisation", "rectifier", "smooth_activation", "gate", "softmax", "other"))


@dataclass(frozen=True)
class CoarseGraph:
    """One network.

    Attributes:
        node_NF: the features of the nodes (see `FEATURES`), the input first and the output last.
        source_E, target_E: the edges, in the order of their targets.
        parameters, multiply_adds: of the whole network, exact.
        activations: elements of the values of all nodes.
    """

    node_NF: np.ndarray
    source_E: np.ndarray
    target_E: np.ndarray
    parameters: int
    multiply_adds: int
    activations: int

    def __len__(self) -> int:
        return len(self.node_NF)


def coarse_graph(
    network: Graph, input_shape: Shape | None = None, *, executed: bool = False
) -> CoarseGraph:
    """The coarse graph of a whole network.

    Args:
        network: of operations with known costs, as `SearchSpace.network_graph` returns it.
        input_shape: as in `infer_shapes`.
        executed: whether operations that the output does not need are kept: a device may execute
            them, so they count for its time.

    Raises:
        ValueError: as `infer_shapes`.
    """
    folding = _Folding(network, node_costs(network, input_shape))
    folding.fold(range(len(network.nodes)) if executed else needed(network))
    return folding.result()


class _Folding:
    """The nodes of a network, each folded into one that was seen before or kept as its own."""

    def __init__(self, network: Graph, each: tuple[NodeCosts, ...]) -> None:
        count = len(network.nodes)
        self.network, self.each = network, each
        # The kept node of which each node is a part; -1 for constants, which have none.
        self.home = [-1] * count
        self.kept: list[int] = []
        self.kinds: dict[int, frozenset[str]] = {}
        self.sources: dict[int, list[int]] = {}
        self.parameters = [0] * count
        self.multiply_adds = [0] * count
        # Parameters of constants, which count where the constant is first used.
        self.carried = [0] * count
        self.channels_last = [False] * count

    def fold(self, numbers: Iterable[int]) -> None:
        """Finds a home for each of these nodes, which come in their order."""
        nodes, incoming, home = self.network.nodes, self.network.incoming, self.home
        for number in numbers:
            node, cost, arriving = nodes[number], self.each[number], incoming[number]
            role = _role(node.op, len(cost.shape))
            parameters = cost.parameters
            sources = [home[source] for source in arriving]
            if -1 in sources:
                parameters += self._carried_by(arriving)
                sources = [source for source in sources if source >= 0]
            if not sources and number and node.op != "output":
                self.carried[number] = parameters
                continue
            last = role.channels_last
            if last is None:
                last = self._inherited(arriving, len(cost.shape))
            self.channels_last[number] = last
            into = self._folded_into(number, role, sources)
            if into < 0:
                into = number
                self.kept.append(number)
                self.kinds[number] = role.kinds
                self.sources[number] = sources
            elif role.kinds:
                self.kinds[into] |= role.kinds
            home[number] = into
            self.parameters[into] += parameters
            self.multiply_adds[into] += cost.multiply_adds

    def _inherited(self, arriving: tuple[int, ...], rank: int) -> bool:
        """Whether the channels are last, for an operation that leaves them where they are.

        Images become sequences for attention, whose tokens' channels are last.
        """
        if not arriving:
            return False
        if rank == 3 and len(self.each[arriving[0]].shape) > 3:
            return True
        return self.channels_last[arriving[0]]

    def _carried_by(self, arriving: tuple[int, ...]) -> int:
        """The parameters of the constants among these nodes that were not counted before."""
        parameters = 0
        for source in arriving:
            if self.home[source] < 0:
                parameters, self.carried[source] = parameters + self.carried[source], 0
        return parameters

    def _folded_into(self, number: int, role: _Role, sources: list[int]) -> int:
        """The kept node that the node is folded into, or -1."""
        if number == 0 or not role.is_folded or sources.count(sources[0]) < len(sources):
            return -1
        # A product or sum of a value with itself is an activation, and was handled as such above;
        # the input stays alone.
        return sources[0] if sources[0] != 0 or not role.kinds else -1

    def result(self) -> CoarseGraph:
        """The kept nodes and the edges between them."""
        place = {number: position for position, number in enumerate(self.kept)}
        rows = [row_of(self._part(number)) for number in self.kept]
        counts = [len(self.sources[number]) for number in self.kept]
        sources = [place[source] for number in self.kept for source in self.sources[number]]
        return CoarseGraph(
            np.frombuffer(b"".join(rows), dtype=np.float32).reshape(-1, len(FEATURES)).copy(),
            np.array(sources, dtype=np.int32),
            np.repeat(np.arange(len(counts), dtype=np.int32), counts),
            sum(self.parameters),
            sum(self.multiply_adds),
            sum([math.prod(self.each[number].shape[1:]) for number in self.kept[1:-1]]),
        )

    def _part(self, number: int) -> Part:
        cost, last = self.each[number], self.channels_last[number]
        given, arguments = (cost.shape, last), len(self.sources[number])
        if arguments:
            incoming = self.network.incoming[number]
            # The largest argument: a gate and what it scales may come in either order.
            first = max(
                (source for source in incoming if self.home[source] >= 0),
                key=lambda source: math.prod(self.each[source].shape[1:]),
            )
            given = self.each[first].shape, self.channels_last[first]
        return Part(
            self.network.nodes[number],
            self.kinds[number],
            (cost.shape, last),
            given,
            arguments,
            cost.multiply_adds,
            self.parameters[number],
            self.multiply_adds[number],
        )


class _Role(NamedTuple):
    """What an operation is in a coarse graph.

    Attributes:
        kinds: see `kinds_of`.
        is_folded: whether it may become a part of the node whose value it takes.
        channels_last: whether the last dimension of its value is that of channels, not the second;
            None if that is as in its first argument.
    """

    kinds: frozenset[str]
    is_folded: bool
    channels_last: bool | None


@lru_cache(maxsize=65536)
def _role(op: str, rank: int) -> _Role:
    """The role of an operation whose value has that many dimensions, the batch among them."""
    kinds = kinds_of(op)
    last = None
    if rank < 3 or not kinds.isdisjoint(_CHANNELS_LAST) or (rank == 3 and _is_layer_norm(op)):
        last = True
    elif "convolution" in kinds or op.startswith(("batch_norm", "max_pool", "avg_pool")):
        last = False
    return _Role(kinds, kinds <= _FOLDED, last)


def _is_layer_norm(op: str) -> bool:
    return "layernorm" in op.lower().replace("_", "")
