"""The strategy `smbo`: its hashed features, their ridge regression, and its proposals."""

from __future__ import annotations

import numpy
import pytest

from nas.strategies import SMBO, RandomSearch
from nas.strategies.smbo import place_of, ridge, strings
from spaces import Architecture
from spaces.load import load_space
from tests.contracts.strategy_contract import CELLS, best_score, play, score


def test_the_three_kinds_of_strings() -> None:
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
    """They are fixed here, so they are the same in every process and version of Python."""
    texts = ("conv2d", "input -> conv2d", "op0 = conv2d")
    assert [place_of(text, 1024) for text in texts] == [77, 787, 371]


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_ridge_is_the_minimum_and_its_error_that_of_leaving_one_out(shape: tuple[int, int]) -> None:
    random = numpy.random.default_rng(0)
    feature_NC, decay = random.normal(size=shape), 0.7
    score_N = 70 + 5 * random.normal(size=shape[0])
    line = ridge(feature_NC, score_N, decay)

    def solved(feature_NC, score_N, scale):
        # There is a column for the intercept, which is not penalised. The penalty on the weights is
        # relative to standardised scores.
        whole = numpy.column_stack([feature_NC, numpy.ones(len(score_N))])
        penalty = decay * numpy.diag([1.0] * shape[1] + [0.0])
        return numpy.linalg.solve(whole.T @ whole + penalty, whole.T @ (score_N / scale)) * scale

    scale = score_N.std()
    assert [*line.weight_C, line.intercept] == pytest.approx(solved(feature_NC, score_N, scale))
    errors = []
    for n in range(shape[0]):
        others = numpy.arange(shape[0]) != n
        solution = solved(feature_NC[others], score_N[others], scale)
        errors.append(score_N[n] - numpy.append(feature_NC[n], 1.0) @ solution)
    assert line.error == pytest.approx(float(numpy.sqrt(numpy.mean(numpy.square(errors)))))


def test_equal_scores_are_expected_everywhere() -> None:
    line = ridge(numpy.eye(4), numpy.full(4, 3.0), 0.1)
    assert line.predict(numpy.eye(4)) == pytest.approx(3.0)
    assert line.error == pytest.approx(0.0)


def test_it_beats_chance_and_predicts_the_scores() -> None:
    strategy = SMBO(initial=6, pool=40)
    histories = [play(strategy, CELLS, 10, 4, score, seed) for seed in range(2)]
    chance = [best_score(play(RandomSearch(), CELLS, 10, 4, score, seed)) for seed in range(2)]
    assert sum(best_score(history) for history in histories) > sum(chance)
    late = [trial for history in histories for trial in history.trials[8:]]
    num_predicted = sum(trial.prediction is not None for trial in late)
    assert 0.75 < num_predicted / len(late) < 1, (
        "nine in ten are predicted, the others are drawn with probability epsilon"
    )
    errors = [
        abs(trial.prediction.mean - trial.score)
        for trial in late
        if trial.prediction is not None and trial.number >= 20
    ]
    assert numpy.mean(errors) < 0.2, "the score is linear in the decisions"


def test_a_failure_counts_as_the_worst() -> None:
    history = play(
        SMBO(initial=8, pool=30, epsilon=0.0),
        CELLS,
        8,
        4,
        lambda item: None if item.answers["op0"] != "conv2d" else score(item),
    )
    first_ops = [trial.architecture.answers["op0"] for trial in history.trials[16:]]
    assert first_ops.count("conv2d") > 12


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
