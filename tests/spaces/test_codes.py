"""Answers as categories and back, for all kinds of questions, conditional ones too."""

from __future__ import annotations

from random import Random

import numpy
import pytest

from spaces import Chooser, Graph, GraphBuilder, SearchSpace
from spaces.codes import BINS, Codes, codes
from spaces.domains import Integer, OneOf, Permutation, Real, Subset
from spaces.load import load_space
from spaces.operators import attempt, domains, fix, sample


def nested(choose: Chooser) -> Graph:
    """All kinds of questions; the first decides which are asked, and `size` is of two kinds."""
    builder = GraphBuilder()
    value = builder.input()
    if choose.one_of("kind", ["numbers", "sets"]) == "numbers":
        width, size = choose.integer("width", 1, 40), choose.integer("size", 1, 3)
        value = builder.node(
            "wide", value, width=width, size=size, rate=choose.real("rate", 1e-4, 1e-1, log=True)
        )
        for number in range(size):
            ops = [*["a", "b", "c"][: number + 1], "d"]
            value = builder.node(choose.one_of(f"op{number}", ops), value)
    else:
        chosen = choose.subset("of", ["p", "q", "r", "s"], minimum=1, maximum=2)
        order = choose.permutation("order", ["x", "y", "z"])
        value = builder.node(
            "set", value, chosen=chosen, order=order, size=choose.one_of("size", ["small", "big"])
        )
    return builder.output(value)


NESTED = SearchSpace("nested", nested)


def coded(space: SearchSpace, number: int) -> tuple[Codes, list, numpy.ndarray]:
    architectures = [sample(space, Random(seed)) for seed in range(number)]
    code = codes([domains(space, each) for each in architectures])
    return code, architectures, code.encode([each.answers for each in architectures])


def test_each_kind_has_its_columns() -> None:
    asked = {
        "op": OneOf(("a", "b", "c")),
        "depth": Integer(2, 5),
        "width": Integer(1, 160),
        "rate": Real(1e-4, 1.0, True),
        "set": Subset(("p", "q"), 0, 2),
        "order": Permutation(("x", "y", "z")),
        "held": OneOf((3,)),
    }
    code = codes([asked])
    assert code.sizes == (3, 4, BINS, BINS, 2, 2, 3, 3, 3), "the question with one answer has none"
    given = {
        "op": "b",
        "depth": 5,
        "width": 11,
        "rate": 1e-2,
        "set": ("q",),
        "order": ("z", "x", "y"),
        "held": 3,
    }
    row = code.encode([given])[0]
    assert row.tolist() == [1, 3, 1, 8, 0, 1, 1, 2, 0]
    for seed in range(20):
        answers = code.decode(row.tolist(), Random(seed))
        assert answers["op"] == "b"
        assert answers["depth"] == 5
        assert 11 <= answers["width"] <= 20
        assert 1e-2 <= answers["rate"] <= 10**-1.75
        assert answers["set"] == ("q",)
        assert answers["order"] == ("z", "x", "y")


@pytest.mark.parametrize(
    "space",
    [NESTED, load_space("convnet"), load_space("nasbench101"), load_space("nasbench201")],
    ids=lambda space: space.name,
)
def test_answers_survive_coding_and_decoding(space: SearchSpace) -> None:
    code, architectures, code_NG = coded(space, 40)
    assert (code_NG >= 0).all()
    assert (code_NG < numpy.array(code.sizes)).all()
    for architecture, code_G in zip(architectures, code_NG, strict=True):
        answers = code.decode(code_G.tolist(), Random(0))
        back = attempt(space, answers, Random(0))
        assert back is not None
        assert back.answers.keys() == architecture.answers.keys(), "the same questions are asked"
        assert (code.encode([back.answers]) == code_G).all(), "the answers have the same categories"


def test_a_question_that_is_not_asked_has_a_category() -> None:
    code, architectures, code_NG = coded(NESTED, 40)
    paths = [path for path, domain, _ in code.questions for _ in range(domain_columns(domain))]
    columns = {path: column for column, path in enumerate(paths)}
    for architecture, code_G in zip(architectures, code_NG, strict=True):
        assert (code_G[columns["rate"]] == code.sizes[columns["rate"]] - 1) == (
            "rate" not in architecture.answers
        )
    assert code.sizes[columns["kind"]] == 2, "always asked"
    known = {"kind", "width", "size", "rate", "op0", "op1", "op2", "of", "order"}
    assert code.decode(code_NG[0].tolist(), Random(0)).keys() <= known


def domain_columns(domain) -> int:
    return len(domain.labels) if isinstance(domain, Subset | Permutation) else 1


def test_any_categories_become_an_architecture() -> None:
    """Categories are drawn independently; decoded answers that fit are used, the rest is drawn."""
    code, _, _ = coded(NESTED, 40)
    random = Random(0)
    for _ in range(300):
        answers = code.decode([random.randrange(size) for size in code.sizes], random)
        assert 1 <= len(answers.get("of", ("one",))) <= 2  # type: ignore[arg-type]
        made = attempt(NESTED, answers, random)
        assert made is not None
        NESTED.graph(made)
        assert all(
            made.answers[path] == answer
            for path, answer in answers.items()
            if path in made.answers and path in ("width", "of", "order")
        )


def test_domains_that_differ_between_architectures_are_joined() -> None:
    code = codes(
        [
            {"op": OneOf(("a", "b")), "n": Integer(1, 3)},
            {"op": OneOf(("b", "c")), "n": Integer(2, 6)},
        ]
    )
    assert code.questions == (("op", OneOf(("a", "b", "c")), True), ("n", Integer(1, 6), True))


def test_held_decisions_have_no_column() -> None:
    code, _, _ = coded(fix(load_space("nasbench201"), {"edge_0_1": "none"}), 5)
    assert [path for path, _, _ in code.questions] == [
        "edge_0_2",
        "edge_1_2",
        "edge_0_3",
        "edge_1_3",
        "edge_2_3",
    ]
