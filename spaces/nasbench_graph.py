"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): graph networks of four operations, each fed by one
node before it; 26,206 that differ.

There are nine wirings. What no other operation reads is concatenated and goes to the output, except
the bare input: 59,040 architectures that fall into just the 26,206 classes of the authors' table.
How a graph network is built of them is not told here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from spaces.choices import Architecture, Chooser
from spaces.graph import INPUT, OUTPUT, Edge, Graph, Node
from spaces.space import SearchSpace, Shapes

if TYPE_CHECKING:
    import numpy

# In the authors' order, which their hash is made of.
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip_connect")
WIRINGS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
PATHS = ("op_1", "op_2", "op_3", "op_4")

_SKIP = OPERATIONS[-1]
_NODES = {name: Node(name) for name in OPERATIONS}
_CONCATENATION = Node("concat")


def define(choose: Chooser) -> Graph:
    """The wiring, then the four operations, of which one at least computes something.

    A wiring is written as the authors do: for each operation which node it reads, 0 being the
        input.
    """
    wiring = choose.one_of("wiring", WIRINGS)
    operations = [choose.one_of(path, OPERATIONS) for path in PATHS[:3]]
    operations.append(
        choose.one_of(PATHS[3], OPERATIONS[:-1] if operations == [_SKIP] * 3 else OPERATIONS)
    )
    edges = _edges(wiring, tuple(operation == _SKIP for operation in operations))
    return Graph(
        (INPUT, *(_NODES[operation] for operation in operations), _CONCATENATION, OUTPUT), edges
    )


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table, whose column `valid_hash` (N,) holds five decimal
    digits: the wiring, and the four operations.

    Raises:
        ValueError: a number is not such a hash.
    """
    result = []
    for number, key in enumerate(columns["valid_hash"].tolist()):
        digits = [int(digit) for digit in f"{key:05d}"] if key >= 0 else []
        if len(digits) != 5 or max(digits) > 8 or digits[1:] == [8, 8, 8, 8]:
            raise ValueError(
                f"the row {number} of `valid_hash` should be five digits below 9, the last four "
                f"not all 8; it is {key}"
            )
        decisions = zip(
            ("wiring", *PATHS),
            (WIRINGS[digits[0]], *(OPERATIONS[digit] for digit in digits[1:])),
            strict=True,
        )
        result.append(Architecture(space.name, tuple(decisions)))
    return result


@cache
def _edges(wiring: str, skips: tuple[bool, ...]) -> tuple[Edge, ...]:
    sources = [int(digit) for digit in wiring]
    bare = [True]
    for source, skip in zip(sources, skips, strict=True):
        bare.append(skip and bare[source])
    inner = [Edge(source, target) for target, source in enumerate(sources, start=1)]
    end = len(sources) + 1
    read = [
        Edge(number, end) for number in range(1, end) if number not in sources and not bare[number]
    ]
    return (*inner, *read, Edge(end, end + 1))


# The shapes are Cora's: 1,433 words of a paper, seven fields.
space = SearchSpace("nasbench_graph", define, Shapes((1433,), (7,)), builds=False, rows=rows)
