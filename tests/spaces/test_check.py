"""The check of a space that is sound: no problems, and what the report says about it."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("name", "image", "size"),
    [
        ("convnet", (1, 8, 8), 72 * 99498**2 * 16),
        ("nasbench201", (3, 8, 8), 15625),
        ("nasbench101", (3, 8, 8), "unknown"),
    ],
)
def test_the_built_in_spaces_are_sound(name: str, image: tuple[int, ...], size: object) -> None:
    space = load_space(name).for_shapes(Shapes(image, (10,)))
    report = check(space, 4, seed=1, size_seconds=0.5 if size == "unknown" else 30.0)
    assert report.problems == ()
    assert report.size == size
    assert report.count == 4
    assert report.parameters is not None
    assert report.parameters.minimum <= report.parameters.median <= report.parameters.maximum
    assert "no problems" in report_text(report)


def test_the_report_says_how_many_tokens_there_are() -> None:
    space = load_space("flexibert_tiny").for_shapes(Shapes((6,), (3,), vocabulary=1200))
    report = check(space, 2, size_seconds=0.5)
    assert report.problems == ()
    assert "6 of 1,200 tokens, 3" in report_text(report)
    assert "4, 3" in report_text(checked(layers))


def test_a_sound_space_is_described() -> None:
    report = checked(layers)
    assert report.problems == ()
    assert (report.count, report.rejected, report.duplicates, report.size) == (8, 0, 5, 3)
    assert report.parameters is not None
    assert report.parameters.minimum == 4 * 5 + 3 * 5
    assert report.parameters.maximum == 16 * 5 + 3 * 17
    assert json.loads(json.dumps(report.to_dict()))["parameters"]["maximum"] == 131


def test_two_checks_of_one_seed_agree() -> None:
    first, second = checked(layers).to_dict(), checked(layers).to_dict()
    compared = [name for name in first if not name.endswith("_seconds")]
    assert {"size", "count", "parameters", "problems"} <= set(compared)
    assert second.keys() == first.keys()
    for name in compared:
        assert first[name] == second[name]


def test_a_torch_space_is_sound() -> None:
    def define(choose: Chooser) -> nn.Module:
        width = choose.integer("width", 4, 6)
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))

    report = checked(define, count=4)
    assert report.problems == ()
    assert report.size == 3


def test_a_space_of_tokens_gets_tokens() -> None:
    def define(choose: Chooser) -> Graph:
        builder = GraphBuilder()
        value = builder.node(
            "embedding",
            builder.input((5,)),
            num_embeddings=11,
            embedding_dim=choose.one_of("width", (2, 4)),
        )
        mean = builder.node("mean", value, dim=1)
        return builder.output(builder.node("linear", mean, out_features=3))

    assert checked(define, shapes=Shapes((5,), (3,))).problems == ()


def test_a_real_decision_makes_it_infinite() -> None:
    def define(choose: Chooser) -> Graph:
        return layers(choose, op="dropout", p=choose.real("p", 0.0, 0.5))

    report = checked(define)
    assert (report.problems, report.size) == ((), "infinite")
    assert "infinite" in report_text(report)


def test_rejections_are_counted_with_their_reasons() -> None:
    def define(choose: Chooser) -> Graph:
        if choose.one_of("unwanted", (True, False)):
            choose.reject("it is unwanted")
        return layers(choose)

    report = checked(define, count=20)
    assert report.problems == ()
    assert report.rejected > 0
    assert report.reasons == (("it is unwanted", report.rejected),)
    assert f"{report.rejected} times: it is unwanted" in report_text(report)


def test_one_architecture_only_is_no_problem() -> None:
    report = checked(lambda choose: layers(Chooser({"width": 4})))
    assert (report.problems, report.size, report.duplicates) == ((), 1, 7)


def test_a_count_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one architecture; got count=0"):
        check(SearchSpace("mine", layers, SHAPES), 0)


def test_a_space_that_only_describes_is_checked_as_far_as_it_goes() -> None:
    report = check(load_space("nasbench_graph"), 5, size_seconds=20.0)
    assert report.problems == ()
    assert (report.builds, report.size, report.parameters) == (False, 59040, None)
    text = report_text(report)
    assert "none are made: it describes architectures only" in text
    assert "seconds to build" not in text
