"""Which node of a network takes the weights of which node of another."""

from __future__ import annotations

from dataclasses import replace

from nas.transfer import counterparts
from spaces import Graph, GraphBuilder
from spaces.graph import node
from tests.nas.transfer.chains import RELU, TANH, chain, linear


def test_the_counterparts_in_chains_are_the_common_prefix_of_operations() -> None:
    donor = chain(linear(8), RELU, linear(8), RELU, linear(3))
    child = chain(linear(8), RELU, linear(6), TANH, linear(3))
    assert counterparts(donor, child) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert counterparts(donor, chain(TANH, linear(8), RELU)) == {0: 0}
    longer = chain(linear(8), RELU, linear(8), RELU, linear(8), RELU, linear(3))
    # Only operations are compared. The head of the donor is the counterpart of a hidden layer.
    assert counterparts(donor, longer) == {number: number for number in range(6)}


def test_identity_and_dropout_are_skipped() -> None:
    donor = chain(linear(8), node("dropout", p=0.5), RELU, node("identity"), linear(3))
    assert counterparts(donor, chain(linear(8), RELU, linear(3))) == {0: 0, 1: 1, 2: 3, 3: 5, 4: 6}


def branches(*ops: str, then: str = "add") -> Graph:
    """Parallel branches, each an operation between two linear maps, and then `then`."""
    builder = GraphBuilder()
    value = builder.input((4,))

    def branch(op: str):
        inner = builder.node(op, builder.node("linear", value, out_features=5))
        return builder.node("linear", inner, out_features=5)

    ends = [branch(op) for op in ops]
    attributes = {"dim": 1} if then == "cat" else {}
    joined = builder.node(then, *ends, ordered=then == "cat", **attributes)
    return builder.output(builder.node("linear", joined, out_features=2))


def test_parallel_paths_are_followed_independently_to_their_first_difference() -> None:
    def first(count: int) -> dict[int, int]:
        return {number: number for number in range(count)}

    # Nodes: input, (linear, op, linear) for each branch, join, head, output.
    assert counterparts(branches("relu", "tanh"), branches("relu", "sigmoid")) == first(5)
    joined = branches("relu", "relu", then="cat")
    assert counterparts(joined, branches("relu", "relu", then="cat")) == first(10)
    multiplied = branches("relu", "relu", then="mul")
    assert counterparts(branches("relu", "relu"), multiplied) == first(7)


def attention(*labels: str, skipped: str = "relu") -> Graph:
    """An operation, then labelled linear maps, the first of them multiplied by a parameter."""
    builder = GraphBuilder()
    value = builder.node(skipped, builder.input((6, 4)))
    projected = [builder.add(linear(4, label), value) for label in labels]
    matrix = builder.add(
        replace(node("parameter", shape=(4, 4), fill=("uniform", -1.0, 1.0)), label="between")
    )
    product = builder.node("matmul", projected[0], matrix, ordered=True)
    return builder.output(builder.node("add", product, *projected[1:]))


def test_a_candidate_whose_label_ends_in_the_same_word_is_preferred() -> None:
    donor, child = attention("a.query", "a.key", "a.value"), attention("b.query", "b.value")
    assert counterparts(donor, child) == {0: 0, 1: 1, 2: 2, 3: 4, 4: 5, 5: 6}
    assert counterparts(attention("", "", ""), attention("", ""))[3] == 3, (
        "graphs that differ only in labels compare equal, but have different counterparts"
    )


def test_a_parameter_is_matched_with_the_first_node_that_uses_it() -> None:
    donor = attention("query", "key")
    assert counterparts(donor, donor) == {number: number for number in range(8)}
    assert counterparts(donor, attention("query", "key", skipped="tanh")) == {0: 0}
