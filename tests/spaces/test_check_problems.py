"""The check of a broken space: everything that is wrong becomes a sentence in the report."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from spaces import Chooser, Graph, GraphBuilder, SearchSpace, Shapes
from spaces.check import Report, check, report_text
from spaces.load import load_space

SHAPES = Shapes((4,), (3,))


def checked(define: Callable[..., Any], count: int = 8, shapes: Shapes = SHAPES) -> Report:
    return check(SearchSpace("mine", define, shapes), count, size_seconds=2.0)


def layers(choose: Chooser, *, features: int = 3, op: str = "relu", **attributes: Any) -> Graph:
    """A sound network, except for what a test changes in it."""
    builder = GraphBuilder()
    value = builder.node(
        "linear", builder.input((4,)), out_features=choose.one_of("width", (4, 8, 16))
    )
    value = builder.node(op, value, **attributes)
    return builder.output(builder.node("linear", value, out_features=features))


def raises(choose: Chooser) -> Graph:
    return {}[choose.one_of("op", ("relu", "tanh"))]


def wrong_type(choose: Chooser) -> Any:
    return [choose.one_of("op", ("relu", "tanh"))]


def sometimes_wrong_type(choose: Chooser) -> Any:
    return layers(choose) if choose.one_of("good", (True, False)) else None


def duplicate_labels(choose: Chooser) -> Graph:
    return layers(choose, op=choose.one_of("op", ("relu", "relu")))


def asked_twice(choose: Chooser) -> Graph:
    choose.one_of("width", (1, 2))
    return layers(choose)


def rejects_all(choose: Chooser) -> Graph:
    choose.reject(f"{choose.one_of('op', ('relu', 'tanh'))} is not wanted")
    return layers(choose)


def wrong_outputs(choose: Chooser) -> Graph:
    return layers(choose, features=7)


def unknown_operation(choose: Chooser) -> Graph:
    return layers(choose, op="rellu")


def not_finite(choose: Chooser) -> Graph:
    return layers(choose, op="log")


def unconnected(choose: Chooser) -> Graph:
    builder = GraphBuilder()
    builder.input((4,))
    return builder.output(builder.node("parameter", shape=(choose.one_of("size", (3, 4)),)))


def no_parameters(choose: Chooser) -> Graph:
    builder = GraphBuilder()
    return builder.output(builder.node(choose.one_of("op", ("relu", "tanh")), builder.input((4,))))


def takes_three(choose: Chooser, shapes: Shapes, more: int) -> Graph:
    return layers(choose)


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (raises, r"test_check_problems\.py:\d+ in raises: KeyError: '(relu|tanh)'"),
        (
            wrong_type,
            r"a space's program returns a Graph or a torch\.nn\.Module; 'wrong_type' returned list",
        ),
        (sometimes_wrong_type, r"(returned NoneType|a torch\.nn\.Module|NoneType)"),
        (duplicate_labels, r"'op' has two options with the label 'relu'"),
        (asked_twice, r"'width' is asked twice"),
        (
            rejects_all,
            r"rejected 1000 draws in a row, so nothing can be sampled: "
            r"(relu|tanh) is not wanted \(\d+ times\)",
        ),
        (
            wrong_outputs,
            r"the network gives the shape \(7,\) for each sample, and the data want \(3,\)",
        ),
        (unknown_operation, r"there is no operation 'rellu'; did you mean 'relu'"),
        (not_finite, r"the outputs for random inputs are infinite or not a number"),
        (
            unconnected,
            r"(output gets no value that depends on its input|gives the shape \([34],\))",
        ),
        (no_parameters, r"(the network has no parameters|the network gives the shape \(4,\))"),
        (takes_three, r"a space's program is define\(choose\) or define\(choose, shapes\)"),
    ],
)
def test_a_broken_space_gives_sentences(define: Callable[..., Any], message: str) -> None:
    report = checked(define)
    assert any(re.search(message, problem) for problem in report.problems), report.problems
    text = report_text(report)
    assert "problem" in text
    assert "no problems" not in text
    assert json.dumps(report.to_dict())


def test_a_problem_names_the_first_architecture_and_counts_the_others() -> None:
    (problem,) = checked(wrong_outputs).problems
    assert " [architecture " in problem
    assert problem.endswith(", and 7 more]")
    assert "width=" in problem


def test_a_program_that_draws_for_itself_is_found() -> None:
    numbers = itertools.count(4)
    report = checked(lambda choose: layers(choose, op="dropout", p=1 / next(numbers)))
    (problem, *_) = report.problems
    assert "returned another graph when it was run again with the same answers" in problem
    assert "first dropout(p=" in problem


def test_a_program_that_asks_other_questions_in_a_replay_is_found() -> None:
    numbers = itertools.count()

    def define(choose: Chooser) -> Graph:
        choose.one_of(f"question{next(numbers)}", (1, 2))
        return layers(choose)

    assert any(
        "asks other questions when it is run again with the same answers" in problem
        for problem in checked(define).problems
    )


def test_a_module_that_cannot_run_is_found() -> None:
    from torch import Tensor

    class Mismatched(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(4, width), nn.Linear(width + 1, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layer(x))

    report = checked(lambda choose: Mismatched(choose.one_of("width", (3,))), count=2)
    (problem,) = report.problems
    assert problem.startswith("Mismatched cannot be traced, "), (
        "the tracer's own place in this project tells the user nothing"
    )
    assert problem.endswith("and 1 more]")


def test_a_module_that_branches_on_numbers_is_no_problem() -> None:
    from torch import Tensor

    class Branching(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = nn.Linear(4, width)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if x.sum() > 0 else -self.layer(x)

    assert not checked(lambda choose: Branching(choose.one_of("width", (3,))), count=2).problems


def test_a_missing_gradient_is_found() -> None:
    def define(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        start = builder.input((4,))
        width = choose.one_of("width", (3,))
        lost = builder.node("zero", builder.node("linear", start, out_features=width))
        kept = builder.node("linear", start, out_features=3)
        return builder.output(builder.node("mul", kept, builder.node("exp", lost)))

    (problem,) = checked(define, count=1).problems
    assert "2 of 4 parameters get no gradient" in problem


def test_a_graph_that_a_predictor_cannot_read_is_a_problem() -> None:
    def encode(graph: object) -> None:
        raise ValueError("it cannot be read")

    found = check(load_space("nasbench201"), count=2, encode=encode)
    assert "it cannot be read" in found.problems[0]


def test_a_space_that_builds_is_not_excused_for_unknown_operations() -> None:
    report = checked(lambda choose: layers(choose, op="gelo"))
    assert any("there is no operation 'gelo'" in problem for problem in report.problems)


def test_a_program_of_modules_that_draws_for_itself_is_found_despite_the_cache() -> None:
    numbers = itertools.count(4)

    def define(choose: Chooser) -> nn.Module:
        width = choose.one_of("width", [4, 8])
        return nn.Sequential(
            nn.Linear(4, width), nn.Dropout(1 / next(numbers)), nn.Linear(width, 3)
        )

    (problem, *_) = checked(define).problems
    assert "returned another graph when it was run again with the same answers" in problem
