"""The number of architectures of large spaces, whether or not their decisions are independent."""

from __future__ import annotations

import pytest

from spaces import Chooser, Graph, GraphBuilder, SearchSpace
from spaces.cardinality import size


def chain(*ops: str) -> Graph:
    builder = GraphBuilder()
    value = builder.input()
    for op in ops:
        value = builder.node(op, value)
    return builder.output(value)


@pytest.mark.parametrize(
    ("layers", "options", "extra"), [(1, 4, 2), (2, 3, 3), (3, 3, 2), (4, 2, 2)]
)
def test_size_finds_questions_that_hide_behind_one_combination(
    layers: int, options: int, extra: int
) -> None:
    """Many independent parts ask `more` unless all layers of the part take their first option."""

    def define(choose: Chooser) -> Graph:
        for part in range(12):
            answers = [
                choose.integer(f"part{part}/layer{layer}", 0, options - 1)
                for layer in range(layers)
            ]
            if any(answers):
                choose.integer(f"part{part}/more", 1, extra)
        return chain("relu")

    assert size(SearchSpace("hidden", define)) == ((options**layers - 1) * extra + 1) ** 12


def test_size_is_exact_without_enumeration_if_decisions_are_independent() -> None:
    def deep(choose: Chooser) -> Graph:
        ops = []
        for number in range(choose.one_of("layers", [2, 30])):
            op = choose.one_of(f"op{number}", ["conv", "pool", "skip"])
            ops.append(op + str(choose.integer(f"kernel{number}", 1, 4)) if op == "conv" else op)
        return chain(*ops)

    assert size(SearchSpace("deep", deep)) == 6**2 + 6**30
    with pytest.raises(ValueError, match="more than 1000"):
        size(COUPLED_LARGE, limit=1000)


def coupled_large(choose: Chooser) -> Graph:
    ops = [choose.one_of(f"op{number}", ["a", "b", "c"]) for number in range(20)]
    if ops.count("a") % 2:
        choose.reject("odd")
    return chain(*ops)


COUPLED_LARGE = SearchSpace("coupled_large", coupled_large)
