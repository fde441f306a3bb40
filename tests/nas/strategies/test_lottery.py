"""The benchmark of settings by lottery: win probabilities, optimism of selection, and grids."""

from __future__ import annotations

import argparse
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.lottery import GRIDS, is_default, make_plug_in
from benchmarks.lottery_plot import lottery_plot
from benchmarks.lottery_standings import beats, standing

ARGUMENTS = argparse.Namespace(
    space="nasbench201",
    table=Path("nas/data/nasbench201.npz"),
    objective="c100_val_200",
    cost="",
    settings={},
)


def rows(setting: str, tuning: list[float], test: list[float]) -> list[dict]:
    regrets = [("tuning", value) for value in tuning] + [("test", value) for value in test]
    return [{"setting": setting, "phase": phase, "regret": regret} for phase, regret in regrets]


def test_ties_count_half() -> None:
    assert beats(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    random = np.random.default_rng(0)
    one, other = random.integers(0, 5, 20).astype(float), random.integers(0, 5, 30).astype(float)
    assert beats(one, other) + beats(other, one) == pytest.approx(1)
    assert beats(one, one) == 0.5


def test_the_setting_is_chosen_on_tuning_seeds_and_judged_on_others() -> None:
    both = [*rows("a", [1.0, 3.0], [4.0, 6.0]), *rows("b", [4.0, 4.0], [2.0, 4.0])]
    found = standing(both, ["b"])
    assert (found.settings, found.chosen) == (2, "a")
    assert (found.chosen_tuning, found.chosen_test, found.gap) == (2.0, 5.0, 3.0)
    assert found.drift == pytest.approx(1.0)
    assert found.overstated == pytest.approx(2.0)
    assert (found.best, found.worst, found.default) == (("b", 3.0), ("a", 5.0), 3.0)
    assert found.quartiles == (3.5, 4.0, 4.5)


@pytest.mark.parametrize("strategy", GRIDS)
def test_every_grid_is_of_settings_that_its_strategy_accepts(strategy: str) -> None:
    texts = make_plug_in(strategy, ARGUMENTS)
    assert len(texts) == len(set(texts)) > 0
    assert is_default(texts[0], ARGUMENTS), "the default is in the grid"
    two = argparse.Namespace(**{**vars(ARGUMENTS), "settings": {strategy: 2}})
    few = make_plug_in(strategy, two)
    assert few[0] == texts[0]
    assert len(few) == min(2, len(texts))
    assert set(few) <= set(texts)


def test_the_picture_is_a_drawing_of_all() -> None:
    regrets = {
        "one": {"one:a=1": [0.1, 0.2], "one:a=2": [0.3, 0.1]},
        "other": {"other": [0.0, 2.0]},
    }
    chances = {(first, second): 0.25 for first in regrets for second in regrets}
    drawn = ElementTree.fromstring(lottery_plot(regrets, chances, "a title & more"))
    kinds = [item.tag.partition("}")[2] for item in drawn.iter()]
    assert kinds.count("circle") == 6 + 3
    assert kinds.count("rect") == 1 + 2 + 4
