"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): 26,206 different graph networks of four operations.

Each operation reads one node before it; there are nine such wirings. The results that no other
operation reads are concatenated and go to the output, except the input itself. The space has 59,040
architectures, which fall into exactly the 26,206 classes of the authors' table. It describes them
and does not build networks.
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

# In the order of the digits in the authors' hash.
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip_connect")
WIRINGS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
PATHS = ("op_1", "op_2", "op_3", "op_4")

_SKIP = OPERATIONS[-1]
_NODES = {name: Node(name) for name in OPERATIONS}
_CONCATENATION = Node("concat")


def define(choose: Chooser) -> Graph:
    """The wiring, then the four operations, at least one of which is not a skip connection.

    As in the paper, a wiring has a digit for each operation: the node that it reads, 0 for the
    input.
    """
    wiring = choose.one_of("wiring", WIRINGS)
    operations = [choose.one_of(path, OPERATIONS) for path in PATHS[:3]]
    last_options = OPERATIONS[:-1] if operations == [_SKIP] * 3 else OPERATIONS
    operations.append(choose.one_of(PATHS[3], last_options))
    nodes = [_NODES[operation] for operation in operations]
    edges = _edges(wiring, tuple(operation == _SKIP for operation in operations))
    return Graph((INPUT, *nodes, _CONCATENATION, OUTPUT), edges)


def rows(columns: Mapping[str, numpy.ndarray]) -> list[Architecture]:
    """The architecture of each row of a table.

    Its column `valid_hash` (N,) holds a number of five decimal digits: the index of the wiring and
    those of the four operations.

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
        answers = (WIRINGS[digits[0]], *(OPERATIONS[digit] for digit in digits[1:]))
        decisions = tuple(zip(("wiring", *PATHS), answers, strict=True))
        result.append(Architecture(space.name, decisions))
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
