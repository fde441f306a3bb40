"""The hashed features and their ridge regression, and what the strategy makes of them."""

from __future__ import annotations

import numpy
import pytest

from nas.strategies import SMBO, RandomSearch
from nas.strategies.smbo import place_of, ridge, strings
from spaces import Architecture
from spaces.load import load_space
from tests.contracts.strategy_contract import CELLS, play, score


def test_the_three_bags() -> None:
    space = load_space("nasbench201")
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none")
    paths = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    found = list(
        strings(space, Architecture("nasbench201", tuple(zip(paths, operations, strict=True))))
    )
    assert found.count("none") == found.count("add") == 2
    assert {"input -> none", "none -> nor_conv_1x1"} <= set(found)
    assert "edge_0_3 = nor_conv_3x3" in found
    assert len(found) == 10 + 12 + 6


def test_places_depend_on_the_text_alone() -> None:
    """Written down here, so that another process and another version of Python give them too."""
    assert [place_of(text, 1024) for text in ("conv2d", "input -> conv2d", "op0 = conv2d")] == [
        77,
        787,
        371,
    ]


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_ridge_is_the_minimum_and_its_error_that_of_leaving_one_out(shape: tuple[int, int]) -> None:
    random = numpy.random.default_rng(0)
    feature_NC, decay = random.normal(size=shape), 0.7
    score_N = 70 + 5 * random.normal(size=shape[0])
    line = ridge(feature_NC, score_N, decay)

    def solved(feature_NC, score_N, scale):
        # With a column for the intercept, which is not penalised; the weights' penalty is relative
        # to scores in standard deviations.
        whole = numpy.column_stack([feature_NC, numpy.ones(len(score_N))])
        penalty = decay * numpy.diag([1.0] * shape[1] + [0.0])
        return numpy.linalg.solve(whole.T @ whole + penalty, whole.T @ (score_N / scale)) * scale

    scale = score_N.std()
    assert [*line.weight_C, line.intercept] == pytest.approx(solved(feature_NC, score_N, scale))
    left = numpy.arange(shape[0])
    errors = [
        score_N[n]
        - numpy.append(feature_NC[n], 1.0)
        @ solved(feature_NC[left != n], score_N[left != n], scale)
        for n in left
    ]
    assert line.error == pytest.approx(float(numpy.sqrt(numpy.mean(numpy.square(errors)))))


def test_equal_scores_are_expected_everywhere() -> None:
    line = ridge(numpy.eye(4), numpy.full(4, 3.0), 0.1)
    assert line.predict(numpy.eye(4)) == pytest.approx(3.0)
    assert line.error == pytest.approx(0.0)


def test_it_beats_chance_and_says_what_it_expects() -> None:
    strategy = SMBO(initial=6, pool=40)
    histories = [play(strategy, CELLS, 10, 4, score, seed) for seed in range(2)]
    chance = [play(RandomSearch(), CELLS, 10, 4, score, seed).best.score for seed in range(2)]  # type: ignore[union-attr]
    assert sum(history.best.score for history in histories) > sum(chance)  # type: ignore[union-attr]
    told = [trial for history in histories for trial in history.trials[8:]]
    expected = [trial for trial in told if trial.prediction is not None]
    assert 0.75 < len(expected) / len(told) < 1, (
        "nine in ten, the others are drawn with probability epsilon"
    )
    error = numpy.mean(
        [abs(trial.prediction.mean - trial.score) for trial in expected if trial.number >= 20]
    )  # type: ignore[union-attr]
    assert error < 0.2, "the landscape is linear in the decisions"


def test_a_failure_counts_as_the_worst() -> None:
    history = play(
        SMBO(initial=8, pool=30, epsilon=0.0),
        CELLS,
        8,
        4,
        lambda item: None if item.answers["op0"] != "conv2d" else score(item),
    )
    assert (
        len(
            [
                trial
                for trial in history.trials[16:]
                if trial.architecture.answers["op0"] == "conv2d"
            ]
        )
        > 12
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": 1}, "initial >= 2"),
        ({"pool": 0}, "pool >= 1"),
        ({"features": 0}, "features >= 1"),
        ({"decay": 0.0}, "decay > 0"),
        ({"epsilon": 2.0}, "probability"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SMBO(**settings)
