"""A table of some rows as a smooth function of the whole space, as `benchmarks/search.py` uses it.

The space of these tests has words, numbers, a subset, and a question that is not always asked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks.search import judge, parse, search
from benchmarks.smooth_table import CLIMBS, SmoothFunction, SmoothTable, features, read_smooth
from nas.strategies.local import LocalSearch
from nas.strategies.random import RandomSearch
from nas.tasks.arrays import ARCHITECTURE
from spaces import Architecture
from spaces.load import load_space
from spaces.operators import enumerate_all, sample

SPACE = """
from spaces import SearchSpace, Shapes
from spaces.graph import GraphBuilder


def define(choose, shapes):
    builder = GraphBuilder()
    value = builder.input(shapes.input)
    op, width = choose.one_of("op", ("relu", "gelu", "tanh")), choose.one_of("width", (4, 8))
    for _ in range(choose.integer("depth", 1, 5)):
        value = builder.node(op, builder.node("linear", value, out_features=width))
    if choose.one_of("wide", (False, True)):
        value = builder.node("linear", value, out_features=choose.integer("last", 9, 11))
    for label in choose.subset("ends", ("relu", "tanh"), minimum=0):
        value = builder.node(label, value)
    return builder.output(builder.node("linear", value, out_features=shapes.output[0]))


space = SearchSpace("own", define, Shapes((5,), (2,)))
"""


def accuracy(architecture: Architecture) -> float:
    answers = architecture.answers
    depth, wide = answers["depth"], answers["wide"]
    assert isinstance(depth, int)
    assert isinstance(wide, bool)
    bonus = 3.0 if answers["op"] == "gelu" and answers["width"] == 8 else 0.0
    return bonus - (depth - 4) ** 2 + wide - ("tanh" in str(answers["ends"]))


@pytest.fixture
def where(tmp_path: Path) -> tuple[str, str]:
    """The space, and a table of draws of it, of which one has no value."""
    (tmp_path / "own.py").write_text(SPACE)
    where, path = f"{tmp_path / 'own.py'}:space", tmp_path / "own.npz"
    space, random = load_space(where), Random(0)
    rows = [sample(space, random) for _ in range(400)]
    score_N = np.array([accuracy(row) for row in rows])
    score_N[7] = np.nan
    texts = np.array([row.to_json() for row in rows])
    columns = {ARCHITECTURE: texts, "score": score_N, "negated": -score_N}
    np.savez(path, **columns)  # pyright: ignore[reportArgumentType]
    return where, str(path)


@pytest.fixture
def function(where: tuple[str, str]) -> SmoothFunction:
    return read_smooth(*where, "score", "negated")


def test_decisions_are_numbers_from_0_to_1_and_those_not_asked_add_nothing(
    where: tuple[str, str],
) -> None:
    space = load_space(where[0])
    decisions = {"op": "gelu", "width": 8, "depth": 4, "wide": False, "ends": ("tanh",)}
    narrow = Architecture("own", tuple(decisions.items()))
    assert features(space, narrow) == {
        "op='gelu'": 1.0,
        "width=8": 1.0,
        "depth": 0.75,
        "wide=False": 1.0,
        "ends='tanh'": 1.0,
    }
    decisions |= {"wide": True, "last": 11}
    paths = ("op", "width", "depth", "wide", "last", "ends")
    wide = Architecture("own", tuple((path, decisions[path]) for path in paths))
    assert features(space, wide)["last"] == 1.0


def test_the_function_resembles_what_the_rows_say_on_architectures_that_are_no_rows(
    where: tuple[str, str], function: SmoothFunction
) -> None:
    rows = set(np.load(where[1])[ARCHITECTURE].tolist())
    others = [each for each in enumerate_all(function.space) if each.to_json() not in rows]
    true_N = np.array([accuracy(each) for each in others])
    assert len(others) > 50
    score_N, negated_N = function.values(others).T
    assert np.corrcoef(score_N, true_N)[0, 1] > 0.8
    np.testing.assert_allclose(score_N, -negated_N)


def test_the_function_has_pairs_of_decisions(function: SmoothFunction) -> None:
    every = list(enumerate_all(function.space))
    value_N = function.values(every)[:, 0]
    mean = {
        (op, width): value_N[
            [(each.answers["op"], each.answers["width"]) == (op, width) for each in every]
        ].mean()
        for op in ("relu", "gelu")
        for width in (4, 8)
    }
    # Only gelu gains by the width, by 3. The penalty takes a part of this.
    gain = (mean["gelu", 8] - mean["gelu", 4]) - (mean["relu", 8] - mean["relu", 4])
    assert 1.0 < gain < 3.5


def test_the_climbs_find_the_best_of_the_whole_space(function: SmoothFunction) -> None:
    every = list(enumerate_all(function.space))
    for value_N, optimum in zip(function.values(every).T, function.optima, strict=True):
        assert optimum.value == pytest.approx(value_N.max())
        assert 1 <= optimum.reached <= CLIMBS
    assert function.optima[0].architecture != function.optima[1].architecture


def test_a_search_is_judged_against_the_optimum_that_it_need_not_find(
    function: SmoothFunction,
) -> None:
    table = SmoothTable(function)
    rows = search(table, RandomSearch(), 16, 4, 0)
    optimum = function.optima[0].architecture
    value_N = table.objective_N[rows]
    figures = judge(table.table(), rows)
    assert table.row(optimum) not in rows, "choose a seed whose search misses the optimum"
    assert figures["evaluations_to_best"] == float("inf")
    assert figures["regret_16"] == pytest.approx(function.optima[0].value - value_N.max())
    assert figures["regret_16"] > 0
    chosen = function.optima[1].value + value_N.max()
    assert figures["test_regret_16"] == pytest.approx(chosen)


def test_local_search_finds_the_optimum_in_whatever_order_searches_are_made(
    function: SmoothFunction,
) -> None:
    def figures(seed: int) -> dict[str, float]:
        table = SmoothTable(function)
        rows = search(table, LocalSearch(), 64, 4, seed)
        return judge(table.table(), rows)

    first = figures(1)
    assert figures(2) != first == figures(1)
    assert first["evaluations_to_best"] <= 64
    assert first["regret_64"] == 0.0


def test_smooth_is_refused_beside_what_needs_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "search.py --space own --table own.npz --objective score --test score --smooth"
    monkeypatch.setattr(sys, "argv", command.split())
    assert parse().smooth
    for other in ("--listed", "--cost=score"):
        monkeypatch.setattr(sys, "argv", [*command.split(), other])
        with pytest.raises(SystemExit):
            parse()
        assert "leave out --listed and --cost" in capsys.readouterr().err
