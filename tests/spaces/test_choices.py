"""Choosers, domains and architectures: every kind of choice, paths, keys, JSON, mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Architecture, Chooser, Rejected
from spaces.domains import Domain, Integer, OneOf, Permutation, Real, Subset

finite_domains = st.sampled_from(
    [
        OneOf(("a", 1, None, 2.5)),
        Integer(-2, 5),
        Subset(("a", "b", "c", "d"), 1, 3),
        Subset((), 0, 0),
        Permutation(("a", "b", "c", "d")),
    ]
)
domains = st.one_of(
    finite_domains,
    st.sampled_from([Real(0.0, 1.0, False), Real(1e-5, 1.0, True), Real(2.0, 2.0, False)]),
)


@given(finite_domains)
def test_a_finite_domain_counts_its_answers(domain: Domain) -> None:
    assert domain.size is not None
    answers = [domain.at(index) for index in range(domain.size)]
    assert len(set(answers)) == domain.size
    assert all(domain.accepts(answer) for answer in answers)


@given(domains, st.integers(0, 1000))
def test_draws_and_steps_stay_in_the_domain(domain: Domain, seed: int) -> None:
    answer = domain.draw(Random(seed))
    assert domain.accepts(answer)
    near = domain.near(answer)
    assert answer not in near
    assert len(set(near)) == len(near)
    assert all(domain.accepts(step) for step in near)


def test_an_impossible_answer_is_refused_and_the_message_lists_the_possible_ones() -> None:
    for ask, says in (
        (lambda choose: choose.one_of("w", (8, "a")), "its answers are: 8, 'a'"),
        (lambda choose: choose.integer("w", 1, 4), "its answers are: whole numbers from 1 to 4"),
        (lambda choose: choose.real("w", 0.5, 2), "its answers are: numbers from 0.5 to 2"),
        (
            lambda choose: choose.subset("w", ("a", "b"), minimum=1),
            "its answers are: 1 to 2 of 'a', 'b', in this order",
        ),
        (
            lambda choose: choose.permutation("w", ("a", "b")),
            "its answers are: 'a', 'b', in any order",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(says)):
            ask(Chooser({"w": "other"}))


def test_every_kind_of_choice_and_its_path() -> None:
    choose = Chooser(None, Random(0))
    with choose.scope("block"):
        assert choose.one_of("op", (len, max)) in (len, max)
        with choose.scope("inner"):
            assert 2 <= choose.integer("n", 2, 4) <= 4
    assert 0.1 <= choose.real("x", 0.1, 10, log=True) <= 10
    assert len(choose.subset("s", ["a", "b", "c"], minimum=2, maximum=2)) == 2
    assert sorted(choose.permutation("p", [3, 1, 2])) == [1, 2, 3]
    assert list(choose.decisions) == ["block/op", "block/inner/n", "x", "s", "p"]
    assert choose.decisions["block/op"] in ("len", "max")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda choose: choose.one_of("a", []), "'a' has no options"),
        (lambda choose: (choose.one_of("a", [1]), choose.one_of("a", [1])), "'a' is asked twice"),
        (lambda choose: choose.one_of("a", [object()]), "an option must be a string"),
        (
            lambda choose: choose.integer("a", 3, 2),
            "'a' needs whole numbers low <= high, got 3 and 2",
        ),
        (lambda choose: choose.real("a", 0, 1, log=True), "'a' needs finite low <= high"),
        (lambda choose: choose.subset("a", [1, 2], minimum=3), "'a' needs 0 <= minimum"),
        (lambda choose: choose.permutation("a", [1, 1]), "two options with the label 1"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(ask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(Chooser(None, Random(0)))


def test_two_options_with_one_label_are_refused_when_replayed() -> None:
    with pytest.raises(ValueError, match="two options with the label 1"):
        Chooser({"a": 1}).one_of("a", [1, True])


def test_reject_says_its_reason() -> None:
    with pytest.raises(Rejected, match="too large"):
        Chooser().reject("too large")


@given(
    st.lists(
        st.tuples(
            st.text(),
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(),
                st.floats(allow_nan=False, allow_infinity=False),
                st.text(),
            ),
        ),
        unique_by=lambda item: item[0],
    )
)
def test_an_architecture_survives_json(decisions: list[tuple[str, object]]) -> None:
    architecture = Architecture("s", tuple(decisions))  # type: ignore[arg-type]
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert again.key == architecture.key
    assert hash(again) == hash(architecture)


def printed(code: str) -> str:
    """What the code prints in another process."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_key_is_the_same_in_another_process_and_version() -> None:
    architecture = Architecture("s", (("a", "x"), ("b", 0.1), ("c", ("p", "q"))))
    assert architecture.key == "f49e6c881ce01000"
    code = (
        "from spaces import Architecture; "
        "print(Architecture('s', (('a', 'x'), ('b', 0.1), ('c', ('p', 'q')))).key)"
    )
    assert printed(code) == architecture.key


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"space": 1, "decisions": {}}', '{"space": "s", "decisions": {"a": {}}}'],
)
def test_malformed_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an architecture is a JSON object"):
        Architecture.from_json(text)


def test_spaces_import_without_torch() -> None:
    code = "import sys, spaces, spaces.operators, spaces.load; print('torch' in sys.modules)"
    assert printed(code) == "False"
