"""MAP-Elites' archive against brute force, and its figures by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.objectives.descriptors import cell_of
from nas.objectives.elite_archive import archive, illumination, scores
from nas.strategies import RandomSearch
from tests.contracts.strategy_contract import CELLS, play, score
from tests.nas.strategies.test_map_elites import WIDE


def test_the_archive_is_the_best_of_each_cell() -> None:
    history = play(RandomSearch(), CELLS, rounds=10, count=6, score=score)
    elites = archive(CELLS, history.observed, WIDE)
    assert set(elites) == {cell_of(CELLS, trial.architecture, WIDE) for trial in history.trials}
    for key, elite in elites.items():
        rivals = [
            trial for trial in history.trials if cell_of(CELLS, trial.architecture, WIDE) == key
        ]
        assert elite == min(rivals, key=lambda trial: (-trial.score, trial.number))
    assert scores(elites) == {key: elite.score for key, elite in elites.items()}
    assert archive(CELLS, (), WIDE) == {}


def test_figures_by_hand() -> None:
    best = {(0,): 10.0, (1,): 20.0, (2,): 5.0, (3,): 5.0}
    half = illumination({(0,): 5.0, (1,): 20.0}, best)
    assert (half.coverage, half.quality_diversity) == (0.5, 25.0)
    assert half.quality_diversity_share == 25 / 40
    assert (half.global_performance, half.reliability, half.precision) == (1.0, 1.5 / 4, 0.75)
    assert illumination(best, best).reliability == illumination(best, best).precision == 1.0
    shifted = illumination({(0,): 5.0}, best, offset=4.0)
    assert (shifted.quality_diversity, shifted.precision) == (1.0, 1 / 6)
    assert shifted.global_performance == 1 / 16
    assert illumination({}, best).precision == 0.0


@given(
    st.dictionaries(
        st.integers(0, 20),
        st.tuples(st.floats(1, 100), st.floats(0.01, 1), st.booleans()),
        min_size=1,
    )
)
def test_reliability_is_coverage_times_precision(
    cells: dict[int, tuple[float, float, bool]],
) -> None:
    best = {(key,): value for key, (value, _, _) in cells.items()}
    found = {(key,): value * share for key, (value, share, filled) in cells.items() if filled}
    figures = illumination(found, best)
    assert figures.reliability == pytest.approx(figures.coverage * figures.precision)
    assert 0 <= figures.coverage <= 1
    assert 0 <= figures.quality_diversity_share <= 1 + 1e-9
    assert 0 <= figures.global_performance <= 1 + 1e-9
    assert 0 <= figures.precision <= 1 + 1e-9


@pytest.mark.parametrize(
    ("found", "best", "message"),
    [
        ({}, {}, "no cell"),
        ({}, {(0,): 0.0}, "above the offset"),
        ({(1,): 1.0}, {(0,): 1.0}, "not among the 1"),
    ],
)
def test_figures_need_what_they_compare_with(found: dict, best: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        illumination(found, best)
